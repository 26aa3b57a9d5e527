#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/authority/state.h"

namespace taper::authority {
namespace {

using store::Table;

// Since when the results of an ended task stay, and how long.
struct Kept {
  Now since;
  std::int64_t floor_ms = 0;  // the lower bound of the time then
  std::int64_t retention_ms = 0;
};

Bytes kept_key(const TaskId& task) {
  return ByteWriter().raw(task.span()).raw(as_bytes("kept")).bytes();
}

Bytes reads_key(const CallId& call) {
  return ByteWriter().raw(as_bytes("reads")).raw(call.span()).bytes();
}

Result<Kept> decode_kept(ByteSpan bytes) {
  ByteReader in(bytes);
  Kept kept;
  kept.since.boot_ms = in.i64();
  kept.since.wall_s = in.i64();
  kept.since.boot_id = BootId::from(in.take(BootId::kSize)).value_or(BootId{});
  kept.floor_ms = in.i64();
  kept.retention_ms = in.i64();
  if (!in.done()) return Error(Code::store_corrupt, {"kept results", "a record", "", ""});
  return kept;
}

// Over as soon as either clock says so, or the lower bound, which no reboot and no clock takes
// back.
bool is_over(const Kept& kept, const TimeState& time, const Now& now) {
  const bool same_boot = kept.since.boot_id == now.boot_id;
  const std::int64_t boot_ms = same_boot ? elapsed_ms(kept.since, now) : 0;
  const std::int64_t known_ms = saturating_subtract(carry(time, now).hard_ms, kept.floor_ms);
  if (known_ms < 0) return true;  // the time was reset since, and nobody knows how long it was kept
  const std::int64_t wall_s = std::min(saturating_subtract(now.wall_s, kept.since.wall_s),
                                       limits::kRetentionMaxMs);  // beyond any, and no overflow
  return std::max({boot_ms, wall_s * 1000, known_ms}) >= kept.retention_ms;
}

Result<std::uint32_t> read_reads(const store::ReadTxn& txn, const CallId& call) {
  TAPER_TRY(const auto found, txn.get(Table::replay, reads_key(call)));
  if (!found) return std::uint32_t{0};
  ByteReader in(*found);
  const std::uint32_t reads = in.u32();
  if (!in.done()) return Error(Code::store_corrupt, {"reads", "a record", "", ""});
  return reads;
}

// What the store and the capsule say about one request.
struct Asked {
  std::optional<TaskRecord> record;
  std::optional<capsules::ResultRule> rule;  // none where the capsule does not open any more
  std::optional<Kept> kept;
  std::optional<CallRecord> call;  // the last that is done
  std::uint32_t reads = 0;

  bool may_read(const TimeState& time, const Now& now) const {
    return kept && call && !is_over(*kept, time, now) && !set_back(kept->since, now) &&
           estimate(time, 0, now).standing != TimeAssurance::behind && reads < rule->reads;
  }
};

Status look_up(const store::ReadTxn& txn, const ResultRequest& request,
               const capsules::TrustRoot& root, Asked& asked) {
  TAPER_TRY(asked.record, read_task(txn, request.task));
  if (!asked.record || !is_terminal(asked.record->state)) return success();
  TAPER_TRY(const auto file,
            txn.get(Table::capsules, capsule_key(asked.record->capsule, asked.record->chain)));
  const auto capsule = file ? capsules::open(*file, root) : Error(Code::unknown_task);
  if (!capsule) return success();
  asked.rule = capsule->root().result;
  TAPER_TRY(const auto kept, txn.get(Table::tasks, kept_key(request.task)));
  if (kept) {
    TAPER_TRY(asked.kept, decode_kept(*kept));
  }
  TAPER_TRY(const std::vector<CallRecord> calls, read_calls(txn, request.task));
  for (const CallRecord& call : calls) {
    const bool named = request.step.empty() || call.step == request.step;
    if (named && call.state == CallState::done) asked.call = call;
  }
  if (asked.call) {
    TAPER_TRY(asked.reads, read_reads(txn, asked.call->id));
  }
  return success();
}

capsules::Object reading_body(const ResultRequest& request, const Asked& asked, const KeyId& reader,
                              bool allowed, const Now& now) {
  capsules::Object body = task_body("result", request.task, *asked.record, now);
  body.emplace_back("reader", reader.hex());
  body.emplace_back("step", printable(request.step));
  body.emplace_back("verdict", allowed ? "allow" : "deny");
  const Code code = allowed ? Code::ok : Code::result_refused;
  body.emplace_back("number", count_value(allowed ? 0 : describe(code).number));
  if (asked.call) body.emplace_back("call", asked.call->id.hex());
  if (allowed) body.emplace_back("reads_left", count_value(asked.rule->reads - asked.reads - 1));
  return body;
}

// Its counters go with its record.
Status forget(store::WriteTxn& txn, const TaskId& task, const Now& now) {
  TAPER_TRY(const std::vector<CallRecord> calls, read_calls(txn, task));
  for (const CallRecord& call : calls) TAPER_CHECK(txn.erase(Table::replay, reads_key(call.id)));
  TAPER_CHECK(txn.erase(Table::tasks, kept_key(task)));
  TAPER_TRY(std::optional<TaskRecord> record, read_task(txn, task));
  if (!record) return success();
  const capsules::Object body = task_body("erase", task, *record, now);
  TAPER_CHECK(append_for(txn, store::LeafType::reading, body, *record));
  return put_task(txn, task, *record);
}

}  // namespace

Bytes result_statement(const Hash& fleet, const PublicKey& node, const Incarnation& incarnation,
                       const ResultRequest& request) {
  ByteWriter out;
  out.raw(fleet.span()).raw(node.span()).raw(incarnation.span()).raw(request.task.span());
  out.raw(request.challenge.span()).text(request.step);
  return std::move(out).bytes();
}

Status write_kept(store::WriteTxn& txn, const LiveTask& task, const TimeState& time,
                  const Now& now) {
  const auto& rule = task.root().result;
  if (!rule) return success();
  ByteWriter out;
  out.i64(now.boot_ms).i64(now.wall_s).raw(now.boot_id.span());
  out.i64(carry(time, now).hard_ms).i64(rule->retention_ms);
  return txn.put(Table::tasks, kept_key(task.id), out.bytes());
}

Result<bool> keeps_results(const store::ReadTxn& txn, const TaskId& task) {
  TAPER_TRY(const auto found, txn.get(Table::tasks, kept_key(task)));
  return found.has_value();
}

Result<ReadableResult> Authority::read_result(
    const ResultRequest& request, const Now& now,
    const std::function<Status(const ReadableResult&)>& at_hand) {
  const Error refused(Code::result_refused);
  if (!state_->root) return state_->count_refusal(refused, now);
  auto& challenges = state_->challenges;
  const bool fresh = std::erase(challenges, request.challenge) != 0;
  const Bytes statement =
      result_statement(state_->root->fleet(), state_->node.node, state_->node.incarnation, request);
  const bool proven =
      crypto::verify(request.reader, crypto::statement::kResultRead, statement, request.proof);
  if (!fresh || !proven) return state_->count_refusal(refused, now);
  Asked asked;
  TAPER_CHECK(state_->store.read(
      [&](const store::ReadTxn& txn) { return look_up(txn, request, *state_->root, asked); }));
  const KeyId reader = crypto::key_id(request.reader);
  const bool listed =
      asked.rule && std::any_of(asked.rule->readers.begin(), asked.rule->readers.end(),
                                [&](const Hash& id) { return id.bytes == reader.bytes; });
  if (!listed) return state_->count_refusal(refused, now);
  const bool allowed = asked.may_read(state_->time, now);
  ReadableResult readable;
  if (allowed) {
    readable = {asked.call->id, asked.call->result, asked.call->step,
                asked.rule->reads - asked.reads - 1};
    if (at_hand) TAPER_CHECK(at_hand(readable));
  }
  TaskRecord next = *asked.record;
  if (!allowed && next.log_bytes >= limits::kTaskLogQuotaBytes)
    return state_->count_refusal(refused, now);
  const capsules::Object body = reading_body(request, asked, reader, allowed, now);
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) -> Status {
    TAPER_CHECK(append_for(txn, store::LeafType::reading, body, next));
    TAPER_CHECK(put_task(txn, request.task, next));
    if (!allowed) return success();
    const Bytes reads = ByteWriter().u32(asked.reads + 1).bytes();
    return txn.put(Table::replay, reads_key(asked.call->id), reads);
  }));
  if (!allowed) return refused;
  return readable;
}

Result<std::vector<TaskId>> Authority::kept_results(const Now& now) {
  std::vector<TaskId> kept, over;
  Status status = success();
  TAPER_CHECK(state_->store.read([&](const store::ReadTxn& txn) {
    return txn.scan(Table::tasks, {}, [&](ByteSpan key, ByteSpan value) {
      const auto task = TaskId::from(key.first(std::min(key.size(), TaskId::kSize)));
      if (!task || !std::ranges::equal(key, kept_key(*task))) return true;
      const Result<Kept> found = decode_kept(value);
      if (!found) return status = found.error(), false;
      (is_over(*found, state_->time, now) ? over : kept).push_back(*task);
      return true;
    });
  }));
  TAPER_CHECK(std::move(status));
  if (over.empty()) return kept;
  TAPER_CHECK(state_->commit(now, [&](store::WriteTxn& txn) -> Status {
    for (const TaskId& task : over) TAPER_CHECK(forget(txn, task, now));
    return success();
  }));
  return kept;
}

}  // namespace taper::authority
