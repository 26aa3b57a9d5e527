#include "store/audit_export.h"

#include <algorithm>

#include "runtime/base/limits.h"
#include "store/log_file.h"
#include "store/log_state.h"
#include "store/state_files.h"

namespace taper::store {
namespace {

Result<std::vector<SignedHead>> load_heads(const ReadTxn& txn) {
  std::vector<SignedHead> heads;
  bool whole = true;
  TAPER_CHECK(txn.scan(Table::log_heads, {}, [&](ByteSpan key, ByteSpan value) {
    ByteReader reader(value);
    heads.push_back(take_signed_head(reader));
    whole = reader.done() && from_big_endian(key) == heads.size() - 1;
    return whole;
  }));
  if (!whole) return corrupt("its checkpoints");
  return heads;
}

Status add_records(const ReadTxn& txn, std::uint64_t from, std::uint64_t size, LogFileWriter& out) {
  std::uint64_t number = from;
  for (; number < size && out.size() <= limits::kLogFileBytesMax; ++number) {
    TAPER_TRY(const std::optional<ByteSpan> record, txn.get(Table::log_leaves, big_endian(number)));
    if (!record) return corrupt("its log records");
    out.add(*record);
  }
  if (out.size() > limits::kLogFileBytesMax) {
    return Error(Code::too_large,
                 {"log", "at most " + std::to_string(limits::kLogFileBytesMax) + " bytes", "", ""});
  }
  return success();
}

// What was released is archived: a file without a wish of its own begins there.
Result<std::uint64_t> first_record(const ReadTxn& txn, std::uint64_t from) {
  TAPER_TRY(const LogFloor floor, log_floor(txn));
  if (from == 0) return floor.released;
  if (from >= floor.kept) return from;
  return Error(Code::log_pruned,
               {"--from", std::to_string(floor.kept) + " or more", std::to_string(from),
                "export with --from " + std::to_string(floor.released) +
                    ", where the archive of the centre ends, or without --from"});
}

// Drops the checkpoints that `from` has behind it.
Result<LogStart> start_at(std::uint64_t from, const LogState& state,
                          std::vector<SignedHead>& heads) {
  if (from == 0) return LogStart{};
  if (from < kFirstBoundary || from > state.tree.size()) {
    return Error(Code::log_not_adjoining, {"--from",
                                           "0, or " + std::to_string(kFirstBoundary) + " to " +
                                               std::to_string(state.tree.size()),
                                           std::to_string(from), ""});
  }
  const auto above =
      std::ranges::find_if(heads, [from](const SignedHead& head) { return head.size > from; });
  const LogStart start{
      from, above == heads.end() ? state.epoch : static_cast<std::uint64_t>(above - heads.begin())};
  heads.erase(heads.begin(), above);
  return start;
}

}  // namespace

Result<Bytes> export_log(const std::string& directory, const std::string& origin,
                         const std::optional<Nonce>& nonce, std::uint64_t wanted) {
  // The seed before the log: beside a working owner it may then only be behind, never ahead.
  Result<LogSeed> stored = read_seed(directory);
  if (stored.code() == Code::store_corrupt) stored = read_seed(directory);
  TAPER_TRY(const std::unique_ptr<Store> store,
            open_state({.directory = directory, .origin = origin, .read_only = true}));
  if (!stored.ok()) return Error(stored.error());
  Bytes file;
  TAPER_CHECK(store->read([&](const ReadTxn& txn) -> Status {
    TAPER_TRY(const LoadedLog loaded, load_log(txn));
    const LogState& state = loaded.state;
    TAPER_TRY(const LogSeed seed, ratchet_to(std::move(stored).value(), state.epoch, state.key));
    TAPER_TRY(std::vector<SignedHead> heads, load_heads(txn));
    TAPER_TRY(const std::uint64_t from, first_record(txn, wanted));
    TAPER_TRY(const LogStart start, start_at(from, state, heads));
    LogFileWriter out(loaded.identity.origin, heads, state.tree.size() - from, start);
    TAPER_CHECK(add_records(txn, from, state.tree.size(), out));
    const TreeHash root = state.tree.root();
    const std::string text = export_text(loaded.identity.origin, state.tree.size(), root,
                                         loaded.identity.incarnation, nonce);
    file = std::move(out).finish(
        {nonce, root, seed.key().sign(crypto::statement::kLogExport, as_bytes(text))});
    return success();
  }));
  return file;
}

}  // namespace taper::store
