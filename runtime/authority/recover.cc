#include <algorithm>

#include "runtime/authority/state.h"

namespace taper::authority {
namespace {

// A task that was not terminal when the last process stopped.
struct Found {
  TaskId id;
  TaskRecord record;
  Chains chains;
  std::vector<CallRecord> calls;
  std::optional<LiveTask> task;  // where its capsule still opens
};

Status read_root(const store::ReadTxn& txn, std::optional<capsules::TrustRoot>& root) {
  Status status = success();
  TAPER_CHECK(txn.scan_back(store::Table::roots, {}, [&](ByteSpan, ByteSpan file) {
    Result<capsules::TrustRoot> opened = capsules::open_root(file);
    if (!opened) status = Error(Code::store_corrupt, {"trust root", "one that opens", "", ""});
    if (opened) root.emplace(std::move(opened).value());
    return false;
  }));
  return status;
}

Status read_found(const store::ReadTxn& txn, const std::optional<capsules::TrustRoot>& root,
                  Found& found) {
  TAPER_TRY(found.chains, read_chains(txn, found.id));
  TAPER_TRY(found.calls, read_calls(txn, found.id));
  TAPER_TRY(const auto file,
            txn.get(store::Table::capsules, capsule_key(found.record.capsule, found.record.chain)));
  if (!file || !root) return success();
  const auto capsule = capsules::open(*file, *root);
  if (!capsule) return success();
  found.task.emplace(found.id, found.record, *capsule);
  return load_task(txn, *found.task);
}

// The process that died may have worked on for up to one interval after its last write, and in this
// boot until now: the larger is charged. Then whether the task may go on.
Lapse charge(Found& found, const Surroundings& around, const Now& now) {
  TaskRecord& record = found.task ? found.task->record : found.record;
  // Against the clocks of the last write, before they are replaced.
  const Lapse stepped =
      found.task ? lapse(*found.task, around, now) : Lapse{.ends_task = EndReason::revocation};
  const std::int64_t seen_ms = elapsed_ms(record.seen, now);
  const std::int64_t more_ms = std::max<std::int64_t>(0, limits::kPersistIntervalMs - seen_ms);
  found.task ? found.task->bring(record, now) : advance(record, false, now);
  record.active_ms = saturating_add(record.active_ms, more_ms);
  record.idle_used_ms = saturating_add(record.idle_used_ms, more_ms);
  if (found.task) found.record = record;
  if (stepped.ends_task != EndReason::none) return stepped;
  const auto most = static_cast<std::uint64_t>(record.end_on.denials);
  if (record.denials >= most) return {.ends_task = EndReason::denials};
  return lapse(*found.task, around, now);
}

Result<capsules::Value> recover_task(store::WriteTxn& txn, Found& found, const Surroundings& around,
                                     const Now& now) {
  capsules::Object told{{"task", found.id.hex()}, {"was", task_state_name(found.record.state)}};
  TaskRecord& record = found.record;
  const Lapse over = record.state == TaskState::ending ? Lapse{.ends_task = record.reason}
                                                       : charge(found, around, now);
  const EndReason reason = over.ends_task;
  const Waiting waiting = reason == EndReason::none ? Waiting::stays : Waiting::ends;
  const capsules::Capsule* root = found.task ? &found.task->root() : nullptr;
  TAPER_TRY(
      const std::uint64_t interrupted,
      write_interrupted(txn, found.id, root, now, found.chains, waiting, record, found.calls));
  if (reason != EndReason::none) {
    if (record.state == TaskState::active)
      TAPER_CHECK(write_ending(txn, found.id, reason, now, record, over));
    if (found.task) TAPER_CHECK(write_kept(txn, *found.task, around.time, now));
    TAPER_CHECK(write_terminal(txn, found.id, now, record));
  }
  told.emplace_back("now", task_state_name(record.state));
  told.emplace_back("interrupted", count_value(interrupted));
  return capsules::Value(std::move(told));
}

}  // namespace

Result<std::unique_ptr<Authority>> Authority::start(store::Store& store, NodeFacts node,
                                                    const Now& now) {
  auto state = std::make_unique<State>(store, std::move(node));
  std::vector<Found> found;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_CHECK(read_root(txn, state->root));
    TAPER_TRY(state->time, read_time(txn));
    state->kept_hard_ms = state->time.hard_ms;
    TAPER_TRY(state->nonces, read_nonces(txn));
    TAPER_CHECK(visit_tasks(txn, [&found](const TaskId& id, const TaskRecord& record) {
      if (!is_terminal(record.state)) found.push_back({id, record, {}, {}, std::nullopt});
      return success();
    }));
    for (Found& task : found) TAPER_CHECK(read_found(txn, state->root, task));
    return success();
  }));
  state->stepped_s = step_s(state->time.at, now);
  state->time = raise(state->time, state->around().news_s, now);
  if (!found.empty()) {
    TAPER_CHECK(state->commit(now, [&](store::WriteTxn& txn) -> Status {
      capsules::Array told;
      for (Found& task : found) {
        TAPER_TRY(told.emplace_back(), recover_task(txn, task, state->around(), now));
      }
      capsules::Object body{{"verb", "recover"}, {"tasks", std::move(told)}};
      add_clocks(body, now);
      TAPER_CHECK(txn.append(store::LeafType::recovery, capsules::write_canonical(body)));
      return success();
    }));
  }
  for (Found& task : found) {
    if (is_terminal(task.record.state)) continue;
    task.task->record = task.record;
    for (std::size_t i = 0; i < task.calls.size(); ++i) task.task->keep_call(i, task.calls[i]);
    state->live.emplace(task.id, std::move(*task.task));
  }
  TAPER_CHECK(store.sync_marker());
  return std::unique_ptr<Authority>(new Authority(std::move(state)));
}

}  // namespace taper::authority
