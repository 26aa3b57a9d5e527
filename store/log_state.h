// Private: where the store and its log stand, kept in table meta under "store." and written by the
// commit alone.
#pragma once

#include <string>

#include "store/engine.h"
#include "store/log_statements.h"
#include "store/log_tree.h"

namespace taper::store {

struct LogState {
  std::uint64_t commit = 0;       // number of the last commit
  std::uint64_t epoch = 0;        // of the log key that signs next
  std::uint32_t signed_head = 0;  // checkpoints that key has signed
  PublicKey key;                  // that key, as announced in the log
  LogTree tree;
};

// Adds the record, its tree nodes and nothing else. Error: too_large and those of the engine.
Result<std::uint64_t> append_record(EngineTxn& txn, LogState& state, LeafType type,
                                    std::string_view body);
// Signs the head with `key`. When that completes its share, `next` is announced in the log first
// and `state` then stands at `next`'s epoch.
Status sign_log_head(EngineTxn& txn, LogState& state, std::string_view origin,
                     const crypto::SigningKey& key, const PublicKey& next);
Status save_log_state(EngineTxn& txn, const LogState& state);

// Writes the tables of a new store: format, identity, the first two records and their checkpoint.
Result<LogState> found_log(EngineTxn& txn, const StateIdentity& identity, const LogSeed& seed);

struct LoadedLog {
  StateIdentity identity;
  LogState state;
};
// That the store still stands at `state`'s commit. Error: state_locked when someone else wrote.
Status check_unmoved(const ReadTxn& txn, const LogState& state);
// Errors: store_version, store_corrupt (also when the tree is not the one last signed).
Result<LoadedLog> load_log(const ReadTxn& txn);

// The hash of the complete subtree over leaves [index << level, (index + 1) << level). Error:
// store_corrupt.
Result<TreeHash> load_node(const ReadTxn& txn, unsigned level, std::uint64_t index);
// The tree as it was over the first `size` leaves. Error: store_corrupt.
Result<LogTree> load_tree(const ReadTxn& txn, std::uint64_t size);
// Its key in table log_nodes; level 0 is a leaf whose record is forgotten.
Bytes node_key(unsigned level, std::uint64_t index);

Error corrupt(std::string_view what);

// Keys of table meta that are ours.
inline constexpr std::string_view kReservedPrefix = "store.";

}  // namespace taper::store
