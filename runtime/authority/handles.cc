// Calls that are asked about later, and what a chain has left: read from memory; and the end of a
// handle.
#include <algorithm>

#include "runtime/authority/state.h"

namespace taper::authority {
namespace {

// Its number where it bears a handle.
std::optional<std::size_t> number_of(const LiveTask* task, const CallId& call) {
  if (task == nullptr) return std::nullopt;
  const auto found = task->handles.find(call);
  if (found == task->handles.end()) return std::nullopt;
  return found->second;
}

}  // namespace

HandleRecord make_handle(const LiveTask& task, const Branch& branch, const Surroundings& around,
                         std::size_t kept, std::int64_t ttl_ms, const Now& now) {
  const std::int64_t left = time_left(task, branch.limits, around, now, Idle::runs_a_call).ms;
  const std::int64_t most = std::min(left, limits::kHandleTtlMaxMs);
  return {now,
          now,
          task.active_ms(now),
          std::clamp<std::int64_t>(ttl_ms, 0, most),
          branch.capsule.next_previous(),
          kept};
}

void end_waiting(CallRecord& call, Code code) {
  call.state = CallState::killed;
  call.code = code;
  call.result = {};
  call.handle->arguments = {};
}

CallView view_of(const LiveTask& task, std::size_t number, std::size_t grant) {
  const CallRecord& call = task.calls[number];
  const HandleRecord& at = *call.handle;
  const std::string& tool = task.root().grants[call.grant].tool;
  const bool runs = task.running.contains(call.id);
  CallView view{call.id, call.chain, grant,      tool,      call.state, call.code,
                runs,    at.created, at.updated, at.ttl_ms, call.result};
  if (call.state == CallState::authorised && call.cancelled()) {
    view.state = CallState::killed;
    view.code = Code::call_cancelled;
  }
  return view;
}

std::optional<CallView> Authority::handle_view(const TaskId& task, const CallId& call) const {
  const LiveTask* live = state_->find(task);
  const auto number = number_of(live, call);
  if (!number) return std::nullopt;
  return view_of(*live, *number, live->calls[*number].handle->kept);
}

HandlesDue Authority::handles_due(const TaskId& task, const Now& now) const {
  HandlesDue due;
  const LiveTask* live = state_->find(task);
  if (live == nullptr) return due;
  const std::int64_t active_ms = live->active_ms(now);
  for (const auto& [end_ms, call] : live->handle_ends) {
    if (end_ms > active_ms) {
      due.next_boot_ms = saturating_add(now.boot_ms, saturating_subtract(end_ms, active_ms));
      break;
    }
    due.over.push_back(call);
  }
  return due;
}

Status Authority::forget_handle(const TaskId& task, const CallId& call, const Now& now,
                                Forget which) {
  LiveTask* live = state_->find(task);
  const auto number = number_of(live, call);
  const bool over = number && (which == Forget::ended ||
                               handle_left_ms(*live, *live->calls[*number].handle, now) == 0);
  if (!over || live->running.contains(call))
    return Error(Code::handle_unknown, {"call", "one with an outcome, whose time is over", "", ""});
  CallRecord record = live->calls[*number];
  const bool waits = record.state == CallState::waiting;
  if (waits) end_waiting(record, Code::input_unanswered);
  record.handle.reset();
  if (!live->root().result) record.result = {};
  TaskRecord next = live->record;
  live->bring(next, now);
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) -> Status {
    capsules::Object body =
        task_body("erase", task, next, now, caller_of(live->chains, record.chain));
    body.emplace_back("call", call.hex());
    if (waits)
      TAPER_CHECK(
          write_outcome(txn, task, &live->root(), *number, record, now, live->chains, next));
    TAPER_CHECK(append_for(txn, store::LeafType::reading, body, next));
    TAPER_CHECK(txn.put(store::Table::calls, call_key(task, *number), encode_call(record)));
    return put_task(txn, task, next);
  }));
  live->keep_call(*number, record);
  live->record = next;
  return success();
}

std::optional<Remaining> Authority::remaining(const TaskId& task, const Hash& chain,
                                              std::optional<std::size_t> grant,
                                              const Now& now) const {
  const LiveTask* live = state_->find(task);
  const Branch* branch = live == nullptr ? nullptr : live->branch(chain);
  if (branch == nullptr) return std::nullopt;
  const Caps caps =
      caps_now(live->root(), branch->limits, estimate(state_->time, live->root().issued_at_s, now));
  Remaining out{std::max<std::int64_t>(0, caps.ttl_ms - live->active_ms(now)),
                std::max<std::int64_t>(0, caps.idle_ms - live->idle_ms(now)),
                branch->limits.not_after_s,
                {}};
  if (grant && *grant < branch->levels.back().size()) out.budget = least_left(*branch, *grant, now);
  return out;
}

}  // namespace taper::authority
