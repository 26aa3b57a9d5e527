#include "store/log_state.h"

#include <algorithm>
#include <optional>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"

namespace taper::store {
namespace {

constexpr std::string_view kFormatKey = "store.format";
constexpr std::string_view kIdentityKey = "store.identity";
constexpr std::string_view kHeadKey = "store.head";

Result<ByteSpan> need(const ReadTxn& txn, Table table, ByteSpan key, std::string_view what) {
  TAPER_TRY(const std::optional<ByteSpan> value, txn.get(table, key));
  if (!value) return corrupt(what);
  return *value;
}

Status check_format(const ReadTxn& txn) {
  TAPER_TRY(const ByteSpan bytes, need(txn, Table::meta, as_bytes(kFormatKey), "its format"));
  ByteReader reader(bytes);
  const std::uint32_t format = reader.u32();
  if (!reader.done()) return corrupt("its format");
  if (format == limits::kStoreFormat) return success();
  return Error(Code::store_version,
               {"format", std::to_string(limits::kStoreFormat), std::to_string(format), ""});
}

Result<StateIdentity> load_identity(const ReadTxn& txn) {
  TAPER_TRY(const ByteSpan bytes, need(txn, Table::meta, as_bytes(kIdentityKey), "its identity"));
  ByteReader reader(bytes);
  const auto incarnation = Incarnation::from(reader.take(Incarnation::kSize));
  std::string origin = reader.text(limits::kLogOriginBytesMax);
  if (!reader.done() || !incarnation) return corrupt("its identity");
  return StateIdentity{*incarnation, std::move(origin)};
}

// The tree must be the one that was last signed, by the key in use or by the one before it.
Status check_last_head(const ReadTxn& txn, const LogState& state) {
  if (state.signed_head == 0 && state.epoch == 0) return corrupt("its last checkpoint");
  const std::uint64_t epoch = state.signed_head == 0 ? state.epoch - 1 : state.epoch;
  TAPER_TRY(const ByteSpan bytes,
            need(txn, Table::log_heads, big_endian(epoch), "its last checkpoint"));
  ByteReader reader(bytes);
  const SignedHead head = take_signed_head(reader);
  if (!reader.done() || head.size != state.tree.size() || head.root != state.tree.root()) {
    return corrupt("its last checkpoint");
  }
  return success();
}

}  // namespace

Bytes node_key(unsigned level, std::uint64_t index) {
  Bytes key = big_endian(index);
  key.insert(key.begin(), static_cast<std::uint8_t>(level));
  return key;
}

Result<TreeHash> load_node(const ReadTxn& txn, unsigned level, std::uint64_t index) {
  if (level == 0) {
    TAPER_TRY(const std::optional<ByteSpan> record, txn.get(Table::log_leaves, big_endian(index)));
    if (record) return leaf_hash(*record);
  }
  TAPER_TRY(const ByteSpan bytes,
            need(txn, Table::log_nodes, node_key(level, index), "a log tree node"));
  const auto peak = TreeHash::from(bytes);
  if (!peak) return corrupt("a log tree node");
  return *peak;
}

Result<LogTree> load_tree(const ReadTxn& txn, std::uint64_t size) {
  std::vector<TreeHash> peaks;
  for (unsigned level = 64; level-- > 0;) {
    if (((size >> level) & 1U) == 0) continue;
    TAPER_TRY(const TreeHash peak, load_node(txn, level, (size >> level) - 1));
    peaks.push_back(peak);
  }
  return LogTree(size, std::move(peaks));
}

Error corrupt(std::string_view what) {
  return Error(Code::store_corrupt, {std::string(what), "", "", ""});
}

Result<std::uint64_t> append_record(EngineTxn& txn, LogState& state, LeafType type,
                                    std::string_view body) {
  if (body.size() > limits::kAuditRecordBytesMax - kRecordHeadBytes) {
    return Error(Code::too_large, {"audit record", std::to_string(limits::kAuditRecordBytesMax),
                                   std::to_string(body.size()), ""});
  }
  const Bytes record = record_bytes(type, body);
  const std::uint64_t number = state.tree.size();
  TAPER_CHECK(txn.put_new(Table::log_leaves, big_endian(number), record));
  Status stored = success();
  state.tree.append(leaf_hash(record),
                    [&](unsigned level, std::uint64_t index, const TreeHash& subtree) {
                      if (!stored.ok()) return;
                      stored = txn.put(Table::log_nodes, node_key(level, index), subtree.span());
                    });
  if (!stored.ok()) return Error(stored.error());
  return number;
}

Status sign_log_head(EngineTxn& txn, LogState& state, std::string_view origin,
                     const crypto::SigningKey& key, const PublicKey& next) {
  const std::uint64_t epoch = state.epoch;
  ++state.signed_head;
  if (state.signed_head >= limits::kLogKeyCommits) {
    const std::string body = log_key_body(epoch + 1, next);
    TAPER_TRY(const std::uint64_t number, append_record(txn, state, LeafType::log_key, body));
    TAPER_ASSERT(number + 1 == state.tree.size());
    state.epoch = epoch + 1;
    state.signed_head = 0;
    state.key = next;
  }
  const SignedHead head = sign_head(key, origin, state.tree.size(), state.tree.root(), epoch);
  return txn.put(Table::log_heads, big_endian(epoch), encode(head));
}

Status save_log_state(EngineTxn& txn, const LogState& state) {
  ByteWriter out;
  out.u64(state.commit).u64(state.tree.size()).u64(state.epoch).u32(state.signed_head);
  out.raw(state.key.span());
  return txn.put(Table::meta, as_bytes(kHeadKey), out.bytes());
}

Status check_unmoved(const ReadTxn& txn, const LogState& state) {
  TAPER_TRY(const ByteSpan bytes, need(txn, Table::meta, as_bytes(kHeadKey), "its head"));
  const std::uint64_t commit = ByteReader(bytes).u64();
  if (commit == state.commit) return success();
  return Error(Code::state_locked,
               {"data.mdb", "commit " + std::to_string(state.commit), std::to_string(commit), ""});
}

Result<LogState> found_log(EngineTxn& txn, const StateIdentity& identity, const LogSeed& seed) {
  TAPER_ASSERT(seed.epoch() == 0 && identity.origin.size() <= limits::kLogOriginBytesMax);
  ByteWriter format;
  format.u32(limits::kStoreFormat);
  TAPER_CHECK(txn.put_new(Table::meta, as_bytes(kFormatKey), format.bytes()));
  ByteWriter fields;
  fields.raw(identity.incarnation.span()).text(identity.origin);
  TAPER_CHECK(txn.put_new(Table::meta, as_bytes(kIdentityKey), fields.bytes()));
  const crypto::SigningKey key = seed.key();
  LogState state;
  state.commit = 1;
  state.key = key.public_key();
  TAPER_CHECK(append_record(txn, state, LeafType::incarnation,
                            incarnation_body(identity.incarnation, identity.origin)));
  TAPER_CHECK(append_record(txn, state, LeafType::log_key, log_key_body(0, key.public_key())));
  TAPER_CHECK(sign_log_head(txn, state, identity.origin, key, key.public_key()));
  TAPER_CHECK(save_log_state(txn, state));
  return state;
}

Result<LoadedLog> load_log(const ReadTxn& txn) {
  TAPER_CHECK(check_format(txn));
  LoadedLog loaded;
  TAPER_TRY(loaded.identity, load_identity(txn));
  TAPER_TRY(const ByteSpan bytes, need(txn, Table::meta, as_bytes(kHeadKey), "its head"));
  ByteReader reader(bytes);
  LogState& state = loaded.state;
  state.commit = reader.u64();
  const std::uint64_t size = reader.u64();
  state.epoch = reader.u64();
  state.signed_head = reader.u32();
  const auto key = PublicKey::from(reader.take(PublicKey::kSize));
  if (!reader.done() || !key) return corrupt("its head");
  state.key = *key;
  TAPER_TRY(state.tree, load_tree(txn, size));
  TAPER_CHECK(check_last_head(txn, state));
  return loaded;
}

}  // namespace taper::store
