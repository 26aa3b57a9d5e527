#include "runtime/broker/agent_run.h"

#include <algorithm>
#include <utility>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/diagnostics.h"
#include "runtime/broker/plan_run.h"

namespace taper::broker {

using authority::CallState;
using authority::EndReason;

AgentRun::AgentRun(const OwnedState& owned, TaskHost& tasks, std::shared_ptr<TaskLife> life,
                   const authority::Activation& activation, ServeChannel serve, OnStep on_step,
                   Steps steps)
    : sessions_(owned, tasks),
      life_(std::move(life)),
      serve_(std::move(serve)),
      on_step_(std::move(on_step)),
      chain_(activation.chain),
      keeps_(steps) {
  const capsules::Capsule& root = life_->parts().authority.capsule(task())->root();
  program_ = root.agent_entry.program;
  end_on_ = root.end_on;
  report_.task = activation.task;
  report_.resumed = activation.resumed;
  report_.joined = activation.joined;
}

bool AgentRun::ready() const {
  if (over() || failure_) return false;
  if (started_ && sessions_.attached() != SessionHost::Attached::open && life_->agent_runs() &&
      !killed_ && !channel_gone_boot_ms_)
    return true;
  return started_ ? sessions_.ready() : !life_->ending();
}

void AgentRun::advance() {
  if (!ready()) return;
  if (!started_) return start();
  // Whoever closed his end is given time to go by himself.
  if (sessions_.attached() == SessionHost::Attached::gone && !channel_gone_boot_ms_)
    channel_gone_boot_ms_ = now().boot_ms;
  if (sessions_.attached() == SessionHost::Attached::misused && !std::exchange(killed_, true))
    life_->kill_agent();
  sessions_.advance();
}

void AgentRun::start() {
  started_ = true;
  Result<TaskLife::AgentAnswer> answer =
      life_->start_agent(chain_, [this](const CallId&, const Result<CallEnd>& end) {
        if (end.ok()) program_over(*end);
      });
  // A host that has no room for it now says nothing about the program: a later run starts it.
  if (!answer.ok()) return life_->fail(answer.error());
  if (const auto* denial = std::get_if<authority::Denial>(&*answer)) return denied(*denial);
  auto& started = std::get<TaskLife::AgentStarted>(*answer);
  auto channel = serve_(std::move(started.channel), sessions_, task());
  if (!channel.ok()) return life_->fail(channel.error());
  channel_ = std::move(*channel);
  sessions_.attach(channel_->channel(), life_, chain_);
}

void AgentRun::publish(StepReport report) {
  report.id = "agent";
  report.tool = program_;
  if (on_step_) on_step_(report);
  if (keeps_ == Steps::kept) steps_.keep(std::move(report));
}

void AgentRun::denied(const authority::Denial& denial) {
  StepReport report;
  report.decision = denial.decision;
  report.verdict = "deny";
  report.code = denial.error.code();
  report.error = denial.error;
  publish(std::move(report));
  EndReason reason = denial.ends_task;
  if (reason == EndReason::none && chain_over()) return leave(denial.error);
  if (reason == EndReason::none) reason = life_->parts().authority.check_time(task(), now());
  (void)life_->end(reason == EndReason::none ? EndReason::step_denied : reason);
}

// Whatever it left running ends with the task.
void AgentRun::program_over(const CallEnd& end) {
  StepReport report;
  report.decision = end.decision;
  report.verdict = "allow";
  report.outcome = authority::call_state_name(end.state);
  report.code = end.code;
  report.error = end.error;
  std::string words = sessions_.words().substr(0, limits::kStderrShownBytes);
  while (words.ends_with('\n')) words.pop_back();
  report.err = escape_text(words);
  publish(std::move(report));
  if (life_->ending() || failure_) return;
  // Its cell went alone, or the host could make none: a later run starts it anew.
  if (end.state == CallState::interrupted || authority::never_ran(end.state, end.code))
    return leave(end.error);
  if (end.state == CallState::done) {
    // Without this tripwire the task lives on, until it idles or its lease ends.
    if (end_on_.completion) (void)life_->end(EndReason::completion);
    return;
  }
  if (chain_over()) return end_chain();
  const bool violated = end.code == Code::violation && end_on_.violation;
  (void)life_->end(violated ? EndReason::violation : EndReason::failure);
}

bool AgentRun::chain_over() const {
  const auto due = life_->parts().authority.chain_due(task(), chain_, now());
  return due && *due <= now().boot_ms;
}

// The blocks of the own chain may end it before the task's time is over: the task stays, without
// this run.
void AgentRun::look_at_time() {
  sessions_.look_at_time();
  if (over() || life_->ending() || failure_) return;
  const bool stays = channel_gone_boot_ms_ && !killed_ &&
                     now().boot_ms >= *channel_gone_boot_ms_ + limits::kUpstreamGraceMs;
  if (stays) {
    killed_ = true;
    life_->kill_agent();
  }
  if (chain_over()) end_chain();
}

void AgentRun::end_chain() {
  leave(Error(Code::lease_over, {.field = "the chain's blocks",
                                 .expected = "time left",
                                 .got = "none",
                                 .fix = "narrow again with a longer lease"}));
}

void AgentRun::leave(const Error& error) {
  if (failure_) return;
  failure_ = error;
  life_->cancel_calls();
  life_->kill_agent();
}

std::optional<std::int64_t> AgentRun::wake_boot_ms() const {
  if (over() || life_->ending() || failure_) return std::nullopt;
  std::optional<std::int64_t> wake = sessions_.wake_boot_ms();
  const auto due = life_->parts().authority.chain_due(task(), chain_, now());
  if (due) wake = std::min(wake.value_or(*due), *due);
  if (channel_gone_boot_ms_ && !killed_) {
    const std::int64_t until = *channel_gone_boot_ms_ + limits::kUpstreamGraceMs;
    wake = std::min(wake.value_or(until), until);
  }
  return wake;
}

void AgentRun::interrupted() {
  const Status ended = life_->end(EndReason::cancelled);
  if (!ended.ok()) warn(to_line(ended.error()));
}

Result<RunReport> AgentRun::take_report() {
  TAPER_ASSERT(over());
  channel_.reset();
  if (life_->failure()) return Error(*life_->failure());
  if (failure_) return Error(*failure_);
  report_.state = life_->state();
  report_.reason = life_->reason();
  report_.code = code_of(life_->reason());
  report_.steps = steps_.take();
  return std::move(report_);
}

std::unique_ptr<TaskRun> begin_run(const OwnedState& owned, TaskHost& tasks,
                                   const authority::Activation& activation, ServeChannel serve,
                                   OnStep on_step, Steps steps) {
  std::shared_ptr<TaskLife> life = tasks.life(activation.task);
  if (owned.authority->capsule(activation.task)->root().entry == capsules::EntryKind::agent)
    return std::make_unique<AgentRun>(owned, tasks, std::move(life), activation, std::move(serve),
                                      std::move(on_step), steps);
  return std::make_unique<PlanRun>(std::move(life), activation, std::move(on_step), steps);
}

}  // namespace taper::broker
