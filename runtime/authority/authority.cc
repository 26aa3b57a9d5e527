#include "runtime/authority/authority.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/authority/state.h"
#include "runtime/authority/time_report.h"

namespace taper::authority {

std::string_view task_state_name(TaskState state) {
  switch (state) {
    case TaskState::unset: break;
    case TaskState::active: return "active";
    case TaskState::ending: return "ending";
    case TaskState::completed: return "completed";
    case TaskState::failed: return "failed";
    case TaskState::cancelled: return "cancelled";
    case TaskState::expired: return "expired";
    case TaskState::revoked: return "revoked";
    case TaskState::exhausted: return "exhausted";
  }
  return "unset";
}

std::string_view end_reason_name(EndReason reason) {
  switch (reason) {
    case EndReason::none: break;
    case EndReason::completion: return "completion";
    case EndReason::failure: return "failure";
    case EndReason::cancelled: return "cancelled";
    case EndReason::ttl: return "ttl";
    case EndReason::idle: return "idle";
    case EndReason::window: return "window";
    case EndReason::denials: return "denials";
    case EndReason::violation: return "violation";
    case EndReason::drift: return "drift";
    case EndReason::clock: return "clock";
    case EndReason::stale: return "stale";
    case EndReason::step_denied: return "step_denied";
    case EndReason::budget: return "budget";
    case EndReason::log_quota: return "log_quota";
    case EndReason::operator_kill: return "operator_kill";
    case EndReason::revocation: return "revocation";
  }
  return "none";
}

std::string_view call_state_name(CallState state) {
  switch (state) {
    case CallState::unset: break;
    case CallState::authorised: return "authorised";
    case CallState::done: return "done";
    case CallState::failed: return "failed";
    case CallState::killed: return "killed";
    case CallState::interrupted: return "interrupted";
    case CallState::waiting: return "waiting";
  }
  return "unset";
}

bool never_ran(CallState state, Code code) {
  return state == CallState::failed && (code == Code::sandbox_setup || code == Code::sandbox_layer);
}

bool is_terminal(TaskState state) { return state >= TaskState::completed; }

TaskState terminal_state(EndReason reason) {
  switch (reason) {
    case EndReason::completion: return TaskState::completed;
    case EndReason::failure:
    case EndReason::step_denied: return TaskState::failed;
    case EndReason::cancelled: return TaskState::cancelled;
    case EndReason::ttl:
    case EndReason::idle:
    case EndReason::window: return TaskState::expired;
    case EndReason::budget:
    case EndReason::log_quota: return TaskState::exhausted;
    case EndReason::none:
    case EndReason::denials:
    case EndReason::violation:
    case EndReason::drift:
    case EndReason::clock:
    case EndReason::stale:
    case EndReason::operator_kill:
    case EndReason::revocation: break;
  }
  return TaskState::revoked;
}

Authority::Authority(std::unique_ptr<State> state) : state_(std::move(state)) {}
Authority::~Authority() = default;

Surroundings Authority::State::around() const {
  return {node, time, root ? root->data().issued_at_s : 0};
}

LiveTask* Authority::State::find(const TaskId& task) {
  const auto found = live.find(task);
  return found == live.end() ? nullptr : &found->second;
}

namespace {

capsules::Object step_body(std::int64_t stepped_s, const TimeState& time, const Now& now) {
  const Estimate known = estimate(time, 0, now);
  capsules::Object body{{"verb", "time_step"},
                        {"by_s", stepped_s},
                        {"due", format_utc_s(saturating_subtract(now.wall_s, stepped_s))},
                        {"time", time_standing_name(known.standing)},
                        {"at_least", format_utc_s(known.least_s)}};
  add_clocks(body, now);
  return body;
}

Status append_refusals(store::WriteTxn& txn, const std::map<Code, std::uint64_t>& refused,
                       const Now& now) {
  capsules::Object numbers;
  for (const auto& [code, count] : refused)
    numbers.emplace_back(std::to_string(describe(code).number), count_value(count));
  capsules::Object body{{"verb", "activate"}, {"refused", std::move(numbers)}};
  add_clocks(body, now);
  TAPER_TRY(const auto number,
            txn.append(store::LeafType::refusals, capsules::write_canonical(body)));
  static_cast<void>(number);
  return success();
}

// Not in the loop below: the compiler would make two places of it, and the crash tests break each.
[[gnu::noinline]] Result<store::Committed> write(
    store::Store& store, const std::function<Status(store::WriteTxn&)>& change) {
  return store.write(change);
}

}  // namespace

Result<store::Committed> Authority::State::commit(
    const Now& now, const std::function<Status(store::WriteTxn&)>& change,
    const std::optional<TimeState>& then, Telling telling) {
  const TimeState carried = then.value_or(carry(time, now));
  const std::int64_t step = stepped_s != 0 ? stepped_s : step_s(time.at, now);
  const bool due = !refused.empty() &&
                   (!refusals_logged || elapsed_ms(*refusals_logged, now) >= limits::kRefusalLogMs);
  for (bool tells = step != 0 || due;; tells = false) {
    auto committed = write(store, [&](store::WriteTxn& txn) -> Status {
      TAPER_CHECK(change(txn));
      TAPER_CHECK(put_time(txn, carried));
      if (tells && step != 0)
        TAPER_CHECK(txn.append(store::LeafType::time_step,
                               capsules::write_canonical(step_body(step, carried, now))));
      return tells && due ? append_refusals(txn, refused, now) : success();
    });
    if (committed.code() == Code::store_full && tells && telling == Telling::may) continue;
    if (!committed.ok()) return committed;
    time = carried;
    kept_hard_ms = carried.hard_ms;
    stepped_s = tells ? 0 : step;
    if (!tells || !due) return committed;
    refused.clear();
    refusals_logged = now;
    return committed;
  }
}

Error Authority::State::not_live(const TaskId& task) const {
  std::optional<TaskRecord> record;
  const Status read = store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(record, read_task(txn, task));
    return success();
  });
  if (!read) return read.error();
  if (!record) return Error(Code::unknown_task, {"task", "", task.hex(), ""});
  return Error(Code::task_terminal,
               {"task", "active", std::string(task_state_name(record->state)), ""});
}

Error refusal(Code code, std::string field, std::string expected, std::string got) {
  return Error(code, {std::move(field), std::move(expected), std::move(got), ""});
}

const capsules::TrustRoot* Authority::root() const {
  return state_->root ? &*state_->root : nullptr;
}

Nonce Authority::challenge() {
  auto& challenges = state_->challenges;
  if (challenges.size() >= limits::kChallengesMax) challenges.erase(challenges.begin());
  return challenges.emplace_back(crypto::random_id<Nonce>());
}

void Authority::withdraw(const Nonce& challenge) { std::erase(state_->challenges, challenge); }

void Authority::count_refused(Code code, const Now& now) {
  static_cast<void>(state_->count_refusal(Error(code), now));
}

std::optional<Authority::Due> Authority::next_due(const TaskId& task, const Now& now) const {
  const LiveTask* live = state_->find(task);
  if (live == nullptr || live->stopped() || live->record.state != TaskState::active)
    return std::nullopt;
  if (const EndReason over = check_time(task, now); over != EndReason::none)
    return Due{now.boot_ms, over};
  const Left left = time_left(*live, live->limits, state_->around(), now, Idle::counts);
  return Due{saturating_add(now.boot_ms, left.ms), left.reason};
}

std::optional<std::int64_t> Authority::chain_due(const TaskId& task, const Hash& chain,
                                                 const Now& now) const {
  const LiveTask* live = state_->find(task);
  const Branch* branch = live == nullptr ? nullptr : live->branch(chain);
  const Surroundings around = state_->around();
  if (branch == nullptr || lapse(*live, around, now).question != Question::none)
    return std::nullopt;
  if (lapse(*live, *branch, around, now).question != Question::none) return now.boot_ms;
  const Left left = time_left(*live, branch->limits, around, now, Idle::counts);
  return saturating_add(now.boot_ms, left.ms);
}

EndReason Authority::check_time(const TaskId& task, const Now& now) const {
  const LiveTask* live = state_->find(task);
  if (live == nullptr) return EndReason::none;
  if (live->record.state == TaskState::ending) return live->record.reason;
  if (live->stopped()) return live->stopping;  // what ends it could not be written yet
  return lapse(*live, state_->around(), now).ends_task;
}

void Authority::follow(NodePolicy policy) { state_->node.policy = std::move(policy); }

Status Authority::persist_time(const Now& now) {
  std::map<TaskId, TaskRecord> next;
  for (const auto& [id, task] : state_->live) {
    if (task.record.state != TaskState::active) continue;
    next[id] = task.record;
    task.bring(next[id], now);
  }
  const auto change = [&](store::WriteTxn& txn) -> Status {
    for (const auto& [id, record] : next) TAPER_CHECK(put_task(txn, id, record));
    return success();
  };
  TAPER_CHECK(state_->commit(now, change, {}, State::Telling::may));
  for (const auto& [id, record] : next) state_->live.at(id).record = record;
  return success();
}

Status Authority::note_clock(const Now& now) {
  if (state_->stepped_s == 0 && step_s(state_->time.at, now) == 0) return success();
  TAPER_CHECK(state_->commit(now, [](store::WriteTxn&) { return success(); }));
  return success();
}

std::vector<TaskId> Authority::live_tasks() const {
  std::vector<TaskId> tasks;
  for (const auto& [id, task] : state_->live) tasks.push_back(id);
  return tasks;
}

const capsules::VerifiedCapsule* Authority::capsule(const TaskId& task) const {
  const LiveTask* live = state_->find(task);
  return live == nullptr ? nullptr : &live->capsule;
}

const capsules::VerifiedCapsule* Authority::capsule(const TaskId& task, const Hash& chain) const {
  const LiveTask* live = state_->find(task);
  const Branch* branch = live == nullptr ? nullptr : live->branch(chain);
  return branch == nullptr ? nullptr : &branch->capsule;
}

const std::map<std::string, std::string>* Authority::inputs(const TaskId& task) const {
  const LiveTask* live = state_->find(task);
  return live == nullptr ? nullptr : &live->inputs;
}

std::vector<PastCall> Authority::past_calls(const TaskId& task) const {
  const LiveTask* live = state_->find(task);
  return live == nullptr ? std::vector<PastCall>() : past_calls_of(live->calls, live->chains);
}

}  // namespace taper::authority
