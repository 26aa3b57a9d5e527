#include "runtime/authority/state.h"
#include "runtime/base/text.h"

namespace taper::authority {
namespace {

std::string_view ending_verb(EndReason reason) {
  if (reason == EndReason::cancelled) return "cancel";
  return reason == EndReason::operator_kill ? "kill" : "end";
}

// The reason to end the task that an outcome is, where the capsule names it.
EndReason reason_of(const Outcome& outcome, const capsules::EndOn& end_on) {
  if (outcome.state == CallState::done || outcome.state == CallState::waiting)
    return EndReason::none;
  if (outcome.code == Code::violation && end_on.violation) return EndReason::violation;
  if (outcome.code == Code::upstream_drift && end_on.tool_drift) return EndReason::drift;
  return end_on.failure ? EndReason::failure : EndReason::none;
}

void add_outcome(capsules::Object& body, const DecisionId& decision, const Outcome& outcome) {
  body.emplace_back("decision", decision.hex());
  body.emplace_back("outcome", call_state_name(outcome.state));
  body.emplace_back("number", count_value(describe(outcome.code).number));
  body.emplace_back("name", describe(outcome.code).name);
  body.emplace_back("detail", printable(outcome.detail));
  if (outcome.cpu_ms) body.emplace_back("cpu_ms", count_value(*outcome.cpu_ms));
  body.emplace_back("exit", outcome.exit_status);
}

// `body` is that of the task. Without its capsule, `root`, the grant stays untold.
void add_outcome(capsules::Object& body, const capsules::Capsule* root, const CallRecord& call,
                 const Outcome& outcome) {
  body.emplace_back("call", call.id.hex());
  body.emplace_back("step", printable(call.step));
  if (root != nullptr) {
    const capsules::Grant& grant = root->grants[call.grant];
    body.emplace_back("tool", printable(grant.tool));
    body.emplace_back("grant", printable(grant.id));
  }
  add_outcome(body, call.decision, outcome);
  // It may be of any argument.
  if (root != nullptr && root->log_all_arguments && root->log_except.empty())
    body.emplace_back("subject", printable(outcome.subject));
  body.emplace_back("result_bytes", count_value(outcome.result_bytes));
  body.emplace_back("result", outcome.result.hex());
}

// What the call did not use of its reservation goes back; an unknown outcome keeps it all, and one
// that never ran nothing.
std::vector<Spent> settled_line(const LiveTask::Running& run, const Outcome& outcome) {
  std::vector<Spent> spent;
  std::optional<std::uint64_t> bytes, cpu_ms;
  if (outcome.state != CallState::interrupted) {
    bytes = outcome.result_bytes;
    cpu_ms = outcome.cpu_ms;
  }
  // One that waits on, as its cell could not be made, took nothing.
  const bool waits = outcome.state == CallState::waiting;
  const bool ran = !never_ran(waits ? CallState::failed : outcome.state, outcome.code);
  for (std::size_t i = 0; i < run.line.size(); ++i) {
    const Spent left = settled(*run.line[i]->spent, run.charges[i], bytes, cpu_ms);
    spent.push_back(ran ? left : given_back(left, run.charges[i]));
  }
  return spent;
}

}  // namespace

capsules::Object task_body(std::string_view verb, const TaskId& task, const TaskRecord& record,
                           const Now& now, const std::optional<Caller>& caller) {
  capsules::Object body =
      identity_members(task, record, caller.value_or(Caller{record.chain, record.holder}));
  body.emplace_back("verb", verb);
  add_clocks(body, now);
  return body;
}

void add_error(capsules::Object& body, const Error& error) {
  const CodeInfo& info = describe(error.code());
  body.emplace_back("number", count_value(info.number));
  body.emplace_back("name", info.name);
  body.emplace_back("field", printable(error.detail().field));
  body.emplace_back("expected", printable(error.detail().expected));
  body.emplace_back("got", printable(error.detail().got));
}

Status put_task(store::WriteTxn& txn, const TaskId& task, const TaskRecord& record) {
  TAPER_TRY(const Bytes bytes, encode_task(record));
  return txn.put(store::Table::tasks, task.span(), bytes);
}

Status append_for(store::WriteTxn& txn, store::LeafType type, const capsules::Object& body,
                  TaskRecord& record) {
  const std::string text = capsules::write_canonical(body);
  record.log_bytes += text.size();
  TAPER_CHECK(txn.append(type, text));
  return success();
}

namespace {

Status write_order(store::WriteTxn& txn, const TaskId& task, const capsules::Order& order,
                   const Now& now, TaskRecord& record) {
  capsules::Object body = task_body("order", task, record, now);
  body.emplace_back("signer", order.signer.hex());
  body.emplace_back("why", printable(order.why));
  body.emplace_back("issued_at", format_utc_s(order.issued_at_s));
  return append_for(txn, store::LeafType::order, body, record);
}

}  // namespace

Status write_ending(store::WriteTxn& txn, const TaskId& task, EndReason reason, const Now& now,
                    TaskRecord& record, const Lapse& over, const EndedBy& by) {
  if (by.order) TAPER_CHECK(write_order(txn, task, *by.order, now, record));
  record.state = TaskState::ending;
  record.reason = reason;
  capsules::Object body = task_body(ending_verb(reason), task, record, now);
  body.emplace_back("reason", end_reason_name(reason));
  body.emplace_back("active_ms", record.active_ms);
  if (by.uid) body.emplace_back("uid", count_value(*by.uid));
  if (over.ends_task == reason && !over.expected.empty()) {
    body.emplace_back("expected", printable(over.expected));
    body.emplace_back("got", printable(over.got));
  }
  TAPER_CHECK(append_for(txn, store::LeafType::ending, body, record));
  return put_task(txn, task, record);
}

Status write_outcome(store::WriteTxn& txn, const TaskId& task, const capsules::Capsule* root,
                     std::size_t number, const CallRecord& call, const Now& now,
                     const Chains& chains, TaskRecord& record) {
  capsules::Object body = task_body("outcome", task, record, now, caller_of(chains, call.chain));
  Outcome outcome;
  outcome.state = call.state;
  outcome.code = call.code;
  add_outcome(body, root, call, outcome);
  TAPER_CHECK(append_for(txn, store::LeafType::outcome, body, record));
  return txn.put(store::Table::calls, call_key(task, number), encode_call(call));
}

Result<std::uint64_t> write_interrupted(store::WriteTxn& txn, const TaskId& task,
                                        const capsules::Capsule* root, const Now& now,
                                        const Chains& chains, Waiting waiting, TaskRecord& record,
                                        std::vector<CallRecord>& calls) {
  std::uint64_t count = 0;
  for (std::size_t number = 0; number < calls.size(); ++number) {
    CallRecord& call = calls[number];
    if (call.state == CallState::authorised) {
      call.state = call.cancelled() ? CallState::killed : CallState::interrupted;
      call.code = call.cancelled() ? Code::call_cancelled : Code::call_interrupted;
    } else if (call.state == CallState::waiting && waiting == Waiting::ends) {
      end_waiting(call, Code::input_unanswered);
    } else {
      continue;
    }
    if (call.handle) call.handle->updated = now;
    count += call.state == CallState::interrupted ? 1 : 0;
    TAPER_CHECK(write_outcome(txn, task, root, number, call, now, chains, record));
  }
  TAPER_CHECK(put_task(txn, task, record));
  return count;
}

Status write_terminal(store::WriteTxn& txn, const TaskId& task, const Now& now,
                      TaskRecord& record) {
  record.state = terminal_state(record.reason);
  capsules::Object body = task_body("ended", task, record, now);
  body.emplace_back("state", task_state_name(record.state));
  body.emplace_back("reason", end_reason_name(record.reason));
  body.emplace_back("calls", count_value(record.calls));
  body.emplace_back("denials", count_value(record.denials));
  body.emplace_back("active_ms", record.active_ms);
  TAPER_CHECK(append_for(txn, store::LeafType::terminal, body, record));
  if (record.state == TaskState::cancelled || record.state == TaskState::revoked) {
    const Bytes all = ByteWriter().u32(limits::kActivationsMax).bytes();
    TAPER_CHECK(txn.put(store::Table::activations, record.capsule.span(), all));
  }
  TAPER_CHECK(txn.erase(store::Table::tasks, inputs_key(task)));
  return put_task(txn, task, record);
}

namespace {

// A call that never ran, was cancelled, or cut off by the time of its handle or its own chain, is
// no failure of the task's.
bool no_failure(const LiveTask& task, const CallRecord& call, const Surroundings& around,
                const Now& now) {
  if (never_ran(call.state, call.code)) return true;
  if (call.cancelled() || call.code == Code::call_cancelled) return true;
  if (call.state != CallState::killed || call.code != Code::tool_killed) return false;
  if (call.handle && handle_left_ms(task, *call.handle, now) == 0) return true;
  const Branch* branch = task.branch(call.chain);
  if (branch == nullptr) return false;
  const Lapse over = lapse(task, *branch, around, now);
  return over.question != Question::none && over.ends_task == EndReason::none;
}

}  // namespace

Result<EndReason> Authority::settle(const CallId& call, const Outcome& outcome, const Now& now) {
  TAPER_ASSERT(outcome.state > CallState::authorised);
  const auto found = std::find_if(state_->live.begin(), state_->live.end(), [&](const auto& entry) {
    return entry.second.running.contains(call);
  });
  if (found == state_->live.end())
    return Error(Code::task_terminal, {"call", "a call under way", call.hex(), ""});
  LiveTask& task = found->second;
  const LiveTask::Running run = task.running.at(call);
  CallRecord record = task.calls[run.number];
  Outcome told = outcome;
  if (record.cancelled()) {  // nothing that comes late undoes what was granted
    told.state = CallState::killed;
    told.code = Code::call_cancelled;
    told.result = {};
  }
  record.state = told.state;
  record.code = told.state == CallState::waiting ? Code::ok : told.code;
  record.result = told.result;
  if (told.state == CallState::waiting) {
    if (!record.handle)
      record.handle = make_handle(task, *task.branch(record.chain), state_->around(), run.kept,
                                  limits::kInputPlainMs, now);
    record.handle->arguments = run.arguments;
  }
  if (record.handle) record.handle->updated = now;
  const std::vector<Spent> spent = settled_line(run, outcome);
  TaskRecord next = task.record;
  advance(next, true, now);
  EndReason reason = EndReason::none;
  if (!task.stopped() && next.state == TaskState::active)
    reason = reason_of(outcome, task.root().end_on);
  if (reason == EndReason::failure && no_failure(task, record, state_->around(), now))
    reason = EndReason::none;
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) -> Status {
    auto body =
        task_body("outcome", task.id, task.record, now, caller_of(task.chains, record.chain));
    add_outcome(body, &task.root(), record, told);
    TAPER_CHECK(append_for(txn, store::LeafType::outcome, body, next));
    TAPER_CHECK(txn.put(store::Table::calls, call_key(task.id, run.number), encode_call(record)));
    for (std::size_t i = 0; i < spent.size(); ++i) {
      TAPER_CHECK(txn.put(store::Table::budgets, run.line[i]->budget_key, encode_spent(spent[i])));
    }
    // One commit: no crash leaves the outcome that ends a task without its end.
    if (reason != EndReason::none) return write_ending(txn, task.id, reason, now, next);
    return put_task(txn, task.id, next);
  }));
  for (std::size_t i = 0; i < spent.size(); ++i) *run.line[i]->spent = spent[i];
  task.keep_call(run.number, record);
  task.record = next;
  task.running.erase(call);
  if (reason != EndReason::none) task.stopping = reason;
  return reason;
}

Status Authority::agent_over(const TaskId& task, const Hash& chain, const DecisionId& decision,
                             const Outcome& outcome, const Now& now) {
  LiveTask* live = state_->find(task);
  if (live == nullptr) return state_->not_live(task);
  TaskRecord next = live->record;
  advance(next, !live->running.empty(), now);
  capsules::Object body = task_body("outcome", task, next, now, caller_of(live->chains, chain));
  body.emplace_back("tool", printable(live->root().agent_entry.program));
  add_outcome(body, decision, outcome);
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) -> Status {
    TAPER_CHECK(append_for(txn, store::LeafType::outcome, body, next));
    return put_task(txn, task, next);
  }));
  live->record = next;
  return success();
}

Status Authority::begin_ending(const TaskId& task, EndReason reason, const Now& now,
                               const EndedBy& by) {
  TAPER_ASSERT(reason != EndReason::none);
  TAPER_ASSERT(!by.order || by.order->task == task);
  LiveTask* live = state_->find(task);
  if (live == nullptr) return state_->not_live(task);
  const Lapse over = lapse(*live, state_->around(), now);
  // In memory it stops at once, whatever becomes of the write.
  if (!live->stopped()) {
    live->stopping = reason;
    live->stopped_by = by;
  }
  if (live->record.state == TaskState::ending) return success();
  // A later look writes what could not be written at first.
  const EndedBy& who = live->stopping == reason ? live->stopped_by : by;
  TaskRecord next = live->record;
  live->bring(next, now);
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) {
    return write_ending(txn, task, reason, now, next, over, who);
  }));
  live->record = next;
  return success();
}

Result<capsules::Order> Authority::open_order(ByteSpan file) const {
  if (!state_->root) return Error(Code::no_trust_root, {"root", "a trust root", "none", ""});
  return capsules::open_order(file, *state_->root);
}

Result<TaskState> Authority::finish(const TaskId& task, const Now& now) {
  LiveTask* live = state_->find(task);
  if (live == nullptr) return state_->not_live(task);
  if (live->record.state != TaskState::ending)
    return Error(Code::already_live, {"task", "ending", "active", ""});
  TaskRecord next = live->record;
  std::vector<CallRecord> calls = live->calls;
  live->bring(next, now);
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) -> Status {
    TAPER_CHECK(
        write_interrupted(txn, task, &live->root(), now, live->chains, Waiting::ends, next, calls));
    TAPER_CHECK(write_kept(txn, *live, state_->time, now));
    return write_terminal(txn, task, now, next);
  }));
  state_->live.erase(task);
  // The end is durable already; a marker that cannot be synced is synced at the next start.
  static_cast<void>(state_->store.sync_marker());
  return next.state;
}

}  // namespace taper::authority
