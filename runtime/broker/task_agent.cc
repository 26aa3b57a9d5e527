// The program that is a task's agent, as a part of that task's life.
#include "runtime/broker/outcome.h"
#include "runtime/broker/task_life.h"

namespace taper::broker {

using authority::CallState;

Result<TaskLife::AgentAnswer> TaskLife::start_agent(const Hash& chain, Ended ended) {
  TAPER_ASSERT(!over_ && !agent_);
  const std::string name = parts_.authority.capsule(task_)->root().agent_entry.program;
  const Status loaded = parts_.tools.load(name);
  if (!loaded.ok() && loaded.code() != Code::tool_file_malformed) return loaded.error();
  Result<authority::AgentDecision> decision =
      parts_.authority.start_agent(task_, chain, parts_.tools.tools(), now());
  if (!decision.ok()) {
    fail(decision.error());
    return decision.error();
  }
  if (auto* denial = std::get_if<authority::Denial>(&*decision))
    return AgentAnswer(std::move(*denial));
  auto& start = std::get<authority::AgentStart>(*decision);
  const authority::PermitFacts& facts = start.permit.facts();
  Agent agent{chain, facts.call, start.decision, facts.deadline_boot_ms, std::move(ended)};
  Result<Fd> channel = parts_.spawner.run_agent(std::move(start.permit), parts_.tools.program(name),
                                                parts_.tools.entry(name));
  if (channel.ok()) {
    agent_ = std::move(agent);
    return AgentAnswer(AgentStarted{agent_->decision, std::move(*channel)});
  }
  const Status recorded =
      record_agent(agent, outcome_without_run(CallState::failed, channel.error()));
  if (channel.code() == Code::spawner_lost) spawner_lost(channel.error());
  return recorded.ok() ? channel.error() : recorded.error();
}

void TaskLife::kill_agent() {
  // A lost spawner has taken its cells along; poll says so.
  if (agent_) (void)parts_.spawner.kill_call(agent_->call);
}

Status TaskLife::record_agent(const Agent& agent, const authority::Outcome& outcome) {
  return parts_.authority.agent_over(task_, agent.chain, agent.decision, outcome, now());
}

// As of a call, but that it gives nothing that would have to be kept.
void TaskLife::take_agent_report(const sandbox::RunReport& report) {
  if (report.end == sandbox::RunEnd::deadline && !ending()) {
    end_by_time(agent_->deadline_boot_ms);
    if (over_) return;
  }
  authority::Outcome outcome = outcome_of(report, authority::ToolKind::agent);
  if (report.end == sandbox::RunEnd::killed && ending()) outcome.code = code_of(ending_);
  CallEnd end{.call = report.call};
  end.decision = agent_->decision;
  end.state = outcome.state;
  end.code = outcome.code;
  if (end.state != CallState::done)
    end.error = report.error.code() == Code::ok ? Error(end.code) : report.error;
  end.acts = !ending();
  const Agent agent = *std::exchange(agent_, std::nullopt);
  const Status recorded = record_agent(agent, outcome);
  if (!recorded.ok() && !ending()) {
    agent.ended(report.call, recorded.error());
    return fail(recorded.error());
  }
  agent.ended(report.call, std::move(end));
  if (!over_) try_finish();
}

}  // namespace taper::broker
