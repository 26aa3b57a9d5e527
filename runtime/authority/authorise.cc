#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/authority/command.h"
#include "runtime/authority/explain.h"
#include "runtime/authority/permit_maker.h"
#include "runtime/authority/profile.h"
#include "runtime/authority/state.h"

namespace taper::authority {
namespace {

using capsules::Object;

std::string_view verb_name(capsules::Verb verb) {
  switch (verb) {
    case capsules::Verb::unset: break;
    case capsules::Verb::discover: return "discover";
    case capsules::Verb::call: return "call";
    case capsules::Verb::poll: return "poll";
    case capsules::Verb::result: return "result";
    case capsules::Verb::update: return "update";
    case capsules::Verb::cancel: return "cancel";
    case capsules::Verb::retry: return "retry";
    case capsules::Verb::resume: return "resume";
  }
  return "unset";
}

// One call being decided: what was asked, what was ruled, what will be written.
struct Case {
  const CallRequest& request;
  const Result<Object>& arguments;
  const Now& now;
  Ruling ruling;
  DecisionId decision = crypto::random_id<DecisionId>();
};

Object decision_body(const TaskId& task, const TaskRecord& record, const Case& c) {
  Object body = task_body(verb_name(c.request.verb), task, record, c.now);
  body.emplace_back("decision", c.decision.hex());
  body.emplace_back("verdict", c.ruling.error ? "deny" : "allow");
  body.emplace_back("step", printable(c.request.step));
  body.emplace_back("tool", printable(c.request.tool));
  if (c.ruling.error) {
    body.emplace_back("question", question_name(c.ruling.failed));
    add_error(body, *c.ruling.error);
  } else {
    body.emplace_back("number", count_value(0));
  }
  return body;
}

// What stands for an argument's value where the capsule keeps arguments out of the log. `json` is
// the value as a refusal tells it, or words of ours where there is none.
std::string kind_of_value(const std::string& json) {
  if (json.empty() || json == "nothing") return json;
  const std::string bytes = " of " + std::to_string(json.size()) + " bytes as JSON, not logged";
  switch (json.front()) {
    case '"': return "a string" + bytes;
    case '{': return "an object" + bytes;
    case '[': return "an array" + bytes;
    default: return "a value" + bytes;
  }
}

// A refusal as the log may keep it.
Error loggable(const Error& error, Question failed, const LiveTask& task) {
  if (failed != Question::arguments || task.root().log_all_arguments) return error;
  ErrorDetail detail = error.detail();
  detail.got = kind_of_value(detail.got);
  return Error(error.code(), std::move(detail));
}

// The arguments' canonical bytes hashed, or themselves where the capsule says so.
void add_arguments(Object& body, const Case& c, bool whole) {
  if (!c.arguments) {
    body.emplace_back("arguments_digest", crypto::hash(c.request.arguments).hex());
    return;
  }
  const std::string text = capsules::write_canonical(*c.arguments);
  body.emplace_back("arguments_digest", crypto::hash(as_bytes(text)).hex());
  if (whole) body.emplace_back("arguments", *c.arguments);
}

void add_grant(Object& body, const LiveTask& task, const Case& c) {
  if (c.ruling.depth == 0) return;
  const std::size_t last = c.ruling.depth - 1;
  body.emplace_back("grant", printable(task.levels[0][c.ruling.line[0]].id));
  if (last > 0)
    body.emplace_back("kept_grant", printable(task.levels[last][c.ruling.line[last]].id));
  if (c.ruling.tool != nullptr) body.emplace_back("tool_digest", c.ruling.tool->digest.hex());
  if (!c.ruling.error) {
    body.emplace_back("matched", matched_constraints(task, c.ruling));
    body.emplace_back("reserved_bytes", count_value(c.ruling.reserve_bytes));
    const std::vector<std::string>& secrets = task.root().grants[c.ruling.line[0]].secrets;
    if (!secrets.empty())
      body.emplace_back("secrets", capsules::Array(secrets.begin(), secrets.end()));
  }
}

Status put_decision(store::WriteTxn& txn, const Object& body, std::vector<Answer> answers,
                    const DecisionId& decision, TaskRecord& record) {
  TAPER_CHECK(append_for(txn, store::LeafType::decision, body, record));
  const DecisionView view{capsules::write_canonical(body), std::move(answers)};
  return txn.put_new(store::Table::decisions, decision.span(), encode_decision(view));
}

PermitFacts permit_facts(const LiveTask& task, const Surroundings& around, const CallId& call,
                         Case& c) {
  const std::size_t index = c.ruling.line[0];
  const capsules::Grant& grant = task.root().grants[index];
  PermitFacts facts;
  facts.task = task.id;
  facts.call = call;
  facts.decision = c.decision;
  facts.grant = static_cast<std::uint32_t>(index);
  facts.tool = c.ruling.tool->name;
  facts.kind = c.ruling.tool->kind;
  if (facts.kind == ToolKind::builtin) facts.inputs = builtin_inputs(*c.arguments);
  facts.argv = std::move(c.ruling.argv);
  facts.program = c.ruling.tool->program;
  facts.writes = c.ruling.tool->effect != capsules::Effect::read;
  facts.trees = *task.trees[index];
  facts.caps = cell_caps(grant.cell);
  facts.caps.output_bytes = std::min<std::size_t>(facts.caps.output_bytes, c.ruling.reserve_bytes);
  const std::int64_t left = time_left(task, around, c.now, Idle::runs_a_call).ms;
  const std::int64_t wall = std::max<std::int64_t>(0, grant.cell.wall_ms.value_or(left));
  facts.deadline_boot_ms = saturating_add(c.now.boot_ms, std::min(left, wall));
  return facts;
}

}  // namespace

Result<Denial> Authority::State::deny_ended(const CallRequest& request, const Now& now) {
  const Result<Object> arguments = capsules::parse_arguments(request.arguments);
  std::optional<TaskRecord> record;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(record, read_task(txn, request.task));
    return success();
  }));
  if (!record) return Error(Code::unknown_task, {"task", "", request.task.hex(), ""});
  Case c{request, arguments, now, {}};
  c.ruling.failed = Question::task_live;
  const std::string got(task_state_name(record->state));
  c.ruling.error = Error(Code::task_not_live, {"task", "active", got, ""});
  Object body = decision_body(request.task, *record, c);
  add_arguments(body, c, false);
  TAPER_CHECK(commit(now, [&](store::WriteTxn& txn) {
    const std::string question(question_name(Question::task_live));
    return put_decision(txn, body, {{question, false, "active", got}}, c.decision, *record);
  }));
  return Denial{c.decision, *c.ruling.error, EndReason::none};
}

Result<Denial> Authority::State::deny(LiveTask& task, const CallRequest& request,
                                      const Result<Object>& arguments, Ruling ruling,
                                      const Now& now) {
  const Error told = *ruling.error;
  Case c{request, arguments, now, std::move(ruling)};
  c.ruling.error = loggable(told, c.ruling.failed, task);
  TaskRecord next = task.record;
  advance(next, !task.running.empty(), now);
  EndReason ends = c.ruling.ends_task;
  if (c.ruling.failed != Question::task_live) {
    ++next.denials;
    const auto most = static_cast<std::uint64_t>(next.end_on.denials);
    if (ends == EndReason::none && next.denials >= most) ends = EndReason::denials;
  }
  Object body = decision_body(task.id, next, c);
  add_grant(body, task, c);
  add_arguments(body, c, task.root().log_all_arguments && c.ruling.failed != Question::log_quota);
  if (ends != EndReason::none) body.emplace_back("ends_task", end_reason_name(ends));
  TAPER_CHECK(commit(now, [&](store::WriteTxn& txn) -> Status {
    auto answers = explain(task, around(), request, c.ruling, now);
    TAPER_CHECK(put_decision(txn, body, std::move(answers), c.decision, next));
    return put_task(txn, task.id, next);
  }));
  task.record = next;
  if (ends != EndReason::none) task.stopped = true;
  return Denial{c.decision, told, ends};
}

Result<Allowed> Authority::State::allow(LiveTask& task, const CallRequest& request,
                                        const Result<Object>& arguments, Ruling ruling,
                                        const Now& now) {
  Case c{request, arguments, now, std::move(ruling)};
  TaskRecord next = task.record;
  advance(next, !task.running.empty(), now);
  next.idle_used_ms = 0;
  const std::uint64_t number = next.calls++;
  const CallRecord call{crypto::random_id<CallId>(),
                        c.decision,
                        c.ruling.line[0],
                        c.ruling.tool->effect == capsules::Effect::read,
                        request.step,
                        CallState::authorised,
                        Code::ok};
  LiveTask::Running run{number, {}, c.ruling.reserve_bytes};
  std::vector<Spent> spent;
  for (std::size_t level = 0; level < c.ruling.depth; ++level) {
    LiveGrant& grant = task.levels[level][c.ruling.line[level]];
    run.line.push_back(&grant);
    spent.push_back({grant.spent.calls + 1, grant.spent.bytes + run.reserved_bytes});
  }
  TAPER_TRY(std::vector<CallSecret> secrets,
            release(task.root(), task.root().grants[c.ruling.line[0]]));
  Object body = decision_body(task.id, next, c);
  body.emplace_back("call", call.id.hex());
  add_grant(body, task, c);
  add_arguments(body, c, task.root().log_all_arguments);
  auto committed = commit(now, [&](store::WriteTxn& txn) -> Status {
    auto answers = explain(task, around(), request, c.ruling, now);
    TAPER_CHECK(put_decision(txn, body, std::move(answers), c.decision, next));
    TAPER_CHECK(txn.put_new(store::Table::calls, call_key(task.id, number), encode_call(call)));
    for (std::size_t i = 0; i < spent.size(); ++i) {
      TAPER_CHECK(txn.put(store::Table::budgets, run.line[i]->budget_key, encode_spent(spent[i])));
    }
    return put_task(txn, task.id, next);
  });
  if (!committed) return committed.error();
  PermitFacts facts = permit_facts(task, around(), call.id, c);
  for (std::size_t i = 0; i < spent.size(); ++i) run.line[i]->spent = spent[i];
  task.record = next;
  task.calls.push_back(call);
  task.running.emplace(call.id, std::move(run));
  return Allowed{PermitMaker::make(std::move(facts), std::move(secrets), *committed), c.decision,
                 call.id};
}

Result<Decision> Authority::authorise(const CallRequest& request, const Tools& tools,
                                      const Now& now) {
  LiveTask* task = state_->find(request.task);
  if (task == nullptr) {
    TAPER_TRY(Denial denial, state_->deny_ended(request, now));
    return Decision(std::move(denial));
  }
  const Result<Object> arguments = capsules::parse_arguments(request.arguments);
  Ruling ruling = decide(*task, state_->around(), request, arguments, tools, now);
  if (ruling.error) {
    TAPER_TRY(Denial denial, state_->deny(*task, request, arguments, std::move(ruling), now));
    return Decision(std::move(denial));
  }
  TAPER_TRY(Allowed allowed, state_->allow(*task, request, arguments, std::move(ruling), now));
  return Decision(std::move(allowed));
}

}  // namespace taper::authority
