#include "store/log_prune.h"

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "store/log_file.h"

namespace taper::store {
namespace {

constexpr std::string_view kFloorKey = "store.floor";

Status save_floor(EngineTxn& txn, const LogFloor& floor) {
  const Bytes bytes = ByteWriter().u64(floor.released).u64(floor.kept).bytes();
  return txn.put(Table::meta, as_bytes(kFloorKey), bytes);
}

// Every receipt needs the keys of all epochs before it; they are few.
bool stays(ByteSpan record) {
  ByteReader reader(record);
  reader.u8();
  const auto type = static_cast<LeafType>(reader.u16());
  return type == LeafType::incarnation || type == LeafType::log_key;
}

Error mismatch(std::string expected, std::string got) {
  return Error(Code::release_mismatch, {"release", std::move(expected), std::move(got), ""});
}

}  // namespace

Result<LogFloor> log_floor(const ReadTxn& txn) {
  TAPER_TRY(const std::optional<ByteSpan> bytes, txn.get(Table::meta, as_bytes(kFloorKey)));
  if (!bytes) return LogFloor();
  ByteReader reader(*bytes);
  const LogFloor floor{reader.u64(), reader.u64()};
  if (!reader.done() || floor.kept > floor.released) return corrupt("its release");
  return floor;
}

Result<bool> release_log(EngineTxn& txn, const LogState& state, std::uint64_t size,
                         const TreeHash& root) {
  TAPER_ASSERT(size >= kFirstBoundary);
  if (size > state.tree.size()) {
    return mismatch("at most " + std::to_string(state.tree.size()) + " records",
                    std::to_string(size));
  }
  TAPER_TRY(const LogTree tree, load_tree(txn, size));
  if (tree.root() != root) return mismatch(tree.root().hex(), root.hex());
  TAPER_TRY(LogFloor floor, log_floor(txn));
  if (size <= floor.released) return false;
  floor.released = size;
  TAPER_CHECK(save_floor(txn, floor));
  return true;
}

Result<bool> prune_log(EngineTxn& txn, const WriteTxn::Needed& needed) {
  TAPER_TRY(LogFloor floor, log_floor(txn));
  const std::uint64_t end = std::min(floor.released, floor.kept + limits::kPruneRecordsMax);
  bool stopped = false;
  for (std::size_t bytes = 0; floor.kept < end && bytes < limits::kPruneBytesMax; ++floor.kept) {
    const Bytes key = big_endian(floor.kept);
    TAPER_TRY(const std::optional<ByteSpan> record, txn.get(Table::log_leaves, key));
    if (!record) return corrupt("a log record");
    if (stays(*record)) continue;
    bytes += record->size();
    const TreeHash hash = leaf_hash(*record);
    TAPER_TRY(stopped, needed(*record));
    if (stopped) break;
    TAPER_CHECK(txn.put(Table::log_nodes, node_key(0, floor.kept), hash.span()));
    TAPER_CHECK(txn.erase(Table::log_leaves, key));
  }
  TAPER_CHECK(save_floor(txn, floor));
  return !stopped && floor.kept < floor.released;
}

}  // namespace taper::store
