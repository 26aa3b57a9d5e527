// Reading a node's log beside whoever owns its state.
#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"
#include "store/audit_receipt.h"

namespace taper::broker {
namespace {

constexpr std::size_t kBatchRecords = 1024;
constexpr std::size_t kBatchBytes = 4 * 1024 * 1024;
// A task's records stay within its log quota; only a foreign file or a huge quota has more.
constexpr std::size_t kTaskBytes = 4 * limits::kTaskLogQuotaBytes;

struct Batch {
  std::vector<std::pair<std::uint64_t, Bytes>> records;
  std::size_t bytes = 0;
  bool full() const { return records.size() >= kBatchRecords || bytes >= kBatchBytes; }
};

// From `next` on, which moves past what was looked at. A number without a record is one that is
// not kept any more.
Status take_batch(const store::ReadTxn& txn, std::uint64_t size, std::uint64_t& next,
                  Batch& batch) {
  for (; next < size && !batch.full(); ++next) {
    TAPER_TRY(const auto found, txn.get(store::Table::log_leaves, big_endian(next)));
    if (!found) continue;
    batch.bytes += found->size();
    batch.records.emplace_back(next, to_bytes(*found));
  }
  return success();
}

// The record before which nothing of the task stands.
bool is_activation(ByteSpan record, const std::string& task) {
  ByteReader reader(record);
  reader.u8();
  if (reader.u16() != static_cast<std::uint16_t>(store::LeafType::activation)) return false;
  const ByteSpan body = reader.take(reader.left());
  return authority::body_says(body, "verb", "activate") && authority::body_says(body, "task", task);
}

Result<store::LogFloor> floor_of(const store::Store& store) {
  store::LogFloor floor;
  TAPER_CHECK(store.read([&floor](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(floor, store::log_floor(txn));
    return success();
  }));
  return floor;
}

// A decision that is not found: it may be forgotten, unless nothing is.
Error not_found(const store::Store& store, const DecisionId& decision) {
  const Result<store::LogFloor> floor = floor_of(store);
  if (!floor.ok()) return floor.error();
  if (floor->kept == 0) return Error(Code::unknown_decision, {decision.hex(), "", "", ""});
  return Error(Code::log_pruned,
               {"decision", "one at record " + std::to_string(floor->kept) + " or later",
                decision.hex(), ""});
}

}  // namespace

Result<store::LogFloor> log_floor(const std::string& state) {
  TAPER_TRY(const auto store, open_for_reading(state));
  return floor_of(*store);
}

Result<authority::DecisionView> why(const std::string& state, const DecisionId& decision) {
  TAPER_TRY(const auto store, open_for_reading(state));
  Result<authority::DecisionView> view = authority::explain_decision(*store, decision);
  if (view.code() == Code::unknown_decision) return not_found(*store, decision);
  return view;
}

Result<Bytes> audit_receipt(const std::string& state, const DecisionId& decision) {
  TAPER_TRY(const auto store, open_for_reading(state));
  const std::string id = decision.hex();
  TAPER_TRY(const auto number,
            store::find_record(*store, store::LeafType::decision, [&id](ByteSpan body) {
              return authority::body_says(body, "decision", id);
            }));
  if (!number) return not_found(*store, decision);
  return store::make_receipt(*store, *number);
}

Status read_log(const std::string& state,
                const std::function<void(std::uint64_t number, ByteSpan record)>& visit) {
  TAPER_TRY(const auto store, open_for_reading(state));
  TAPER_TRY(const store::LogHead head, store->log_head());
  // Whoever visits may be slow, and must not hold the pages that the owner wants to use again.
  for (std::uint64_t next = 0; next < head.size;) {
    Batch batch;
    TAPER_CHECK(store->read(
        [&](const store::ReadTxn& txn) { return take_batch(txn, head.size, next, batch); }));
    for (const auto& [number, record] : batch.records) visit(number, record);
  }
  return success();
}

Result<std::vector<LoggedRecord>> task_log(const std::string& state, const TaskId& task) {
  TAPER_TRY(const auto store, open_for_reading(state));
  const std::string id = task.hex();
  std::vector<LoggedRecord> records;
  std::size_t bytes = 0;
  TAPER_CHECK(store->read([&](const store::ReadTxn& txn) {
    return txn.scan_back(store::Table::log_leaves, {}, [&](ByteSpan key, ByteSpan value) {
      if (as_text(value).find(id) == std::string_view::npos) return true;
      bytes += value.size();
      if (bytes > kTaskBytes) return false;
      records.push_back({from_big_endian(key).value_or(0), to_bytes(value)});
      return !is_activation(value, id);
    });
  }));
  if (bytes > kTaskBytes)
    return Error(Code::too_large,
                 {"records of the task", "at most " + std::to_string(kTaskBytes) + " bytes", "more",
                  "'taper audit show --task' prints them one by one"});
  std::reverse(records.begin(), records.end());
  return records;
}

}  // namespace taper::broker
