#include "store/audit_export.h"

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

Status add_records(const ReadTxn& txn, std::uint64_t size, LogFileWriter& out) {
  std::uint64_t number = 0;
  TAPER_CHECK(txn.scan(Table::log_leaves, {}, [&](ByteSpan key, ByteSpan record) {
    if (from_big_endian(key) != number) return false;
    ++number;
    out.add(record);
    return out.size() <= limits::kLogFileBytesMax;
  }));
  if (out.size() > limits::kLogFileBytesMax) {
    return Error(Code::too_large,
                 {"log", "at most " + std::to_string(limits::kLogFileBytesMax) + " bytes", "", ""});
  }
  if (number != size) return corrupt("its log records");
  return success();
}

}  // namespace

Result<Bytes> export_log(const std::string& directory, const std::string& origin,
                         const std::optional<Nonce>& nonce) {
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
    TAPER_TRY(const std::vector<SignedHead> heads, load_heads(txn));
    LogFileWriter out(loaded.identity.origin, heads, state.tree.size());
    TAPER_CHECK(add_records(txn, state.tree.size(), out));
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
