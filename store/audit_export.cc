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

Result<ByteSpan> kept_record(const ReadTxn& txn, std::uint64_t number) {
  TAPER_TRY(const std::optional<ByteSpan> record, txn.get(Table::log_leaves, big_endian(number)));
  return record ? Result<ByteSpan>(*record) : Result<ByteSpan>(corrupt("its log records"));
}

// How far a file of `bytes_max` gets: to the log's end, or else to the end of the last epoch that
// is complete before. Drops the checkpoints above.
Result<std::uint64_t> end_within(std::uint64_t bytes_max, const ReadTxn& txn, std::uint64_t from,
                                 std::uint64_t size, std::vector<SignedHead>& heads) {
  std::uint64_t end = from, bytes = LogFileWriter::kFrameBytesMax;
  std::size_t passed = 0, fit = 0;
  for (std::uint64_t number = from; number < size && bytes <= bytes_max; ++number) {
    TAPER_TRY(const ByteSpan record, kept_record(txn, number));
    bytes += sizeof(std::uint32_t) + record.size();
    if (passed == heads.size() || heads[passed].size != number + 1) continue;
    ++passed;
    bytes += kSignedHeadBytes;
    if (bytes > bytes_max) break;
    end = number + 1;
    fit = passed;
  }
  if (end == from && from != size)
    return Error(Code::too_large, {"log",
                                   "an epoch of at most " + std::to_string(bytes_max) +
                                       " bytes from record " + std::to_string(from) + " on",
                                   "more", ""});
  heads.resize(fit);
  return end;
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
                         const std::optional<Nonce>& nonce, std::uint64_t wanted,
                         std::uint64_t bytes_max) {
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
    const std::uint64_t size = state.tree.size();
    TAPER_TRY(const std::uint64_t end, end_within(bytes_max, txn, from, size, heads));
    const bool goes_on = end != size;
    LogFileWriter out(loaded.identity.origin, heads, end - from, start, goes_on);
    for (std::uint64_t number = from; number < end; ++number) {
      TAPER_TRY(const ByteSpan record, kept_record(txn, number));
      out.add(record);
    }
    std::optional<FinalStatement> final;
    if (!goes_on) {
      const TreeHash root = state.tree.root();
      const std::string text =
          export_text(loaded.identity.origin, size, root, loaded.identity.incarnation, nonce);
      final = {nonce, root, seed.key().sign(crypto::statement::kLogExport, as_bytes(text))};
    }
    file = std::move(out).finish(final);
    return success();
  }));
  return file;
}

}  // namespace taper::store
