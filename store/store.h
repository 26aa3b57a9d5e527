// The node's durable state: ordered tables and the audit log, changed together in one transaction.
// Everything here is opaque bytes to the store; who writes a record says what it means.
//
// One process owns a state at a time for writing (file lock); any number may read beside it.
// Synchronous; nothing here is called from two threads at once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "store/log_key.h"

namespace taper::store {

// Each table is an ordered map from key bytes (1..511) to value bytes.
enum class Table : std::uint8_t {
  meta,         // what this state is: format, incarnation, node keys' public halves, names
  roots,        // version (big endian) → trust root file
  capsules,     // capsule id ‖ hash of the file → its file
  serials,      // issuer ‖ serial → capsule id
  activations,  // capsule id → how many were spent
  tasks,        // task id → record
  calls,        // task id ‖ number (big endian) → record
  budgets,      // capsule id ‖ branch ‖ grant → counters
  decisions,    // decision id → record
  replay,       // things that count once
  log_leaves,   // number (big endian) → record bytes        written by append() and prune() alone
  log_nodes,    // level ‖ index (big endian) → subtree hash written by append() and prune() alone
  log_heads,    // epoch (big endian) → its last checkpoint  written by the commit alone
  count_        // not a table
};

// Kinds of audit record. A number is never reused; a record's first bytes are {version u8, type
// u16}.
enum class LeafType : std::uint16_t {
  unset = 0,
  incarnation = 1,  // a life of this store begins
  log_key = 2,      // the next log key
  import = 3,       // a root was accepted
  activation = 4,   // a capsule was activated, or refused after proof
  decision = 5,     // a call was allowed or denied
  outcome = 6,      // how an allowed call went
  ending = 7,       // a task stops acting
  terminal = 8,     // a task has ended
  refusals = 9,     // counted refusals before proof
  evidence = 10,    // something that should not exist
  recovery = 11,    // what a restart found and did
  reading = 12,     // a reader asked for a kept result
  time_step = 13,   // the wall clock was set
  beacon = 14,      // signed time was imported, or refused as it contradicts
  order = 15,       // a revoker ended a task from the centre
  release = 16,     // an auditor released what he archived
};

// Proof that a transaction is durable. Only the store makes one.
class Committed {
 public:
  Committed(Committed&&) noexcept = default;
  Committed& operator=(Committed&&) noexcept = default;
  Committed(const Committed&) = delete;
  Committed& operator=(const Committed&) = delete;
  std::uint64_t commit() const { return commit_; }      // number of this commit, from 1
  std::uint64_t log_size() const { return log_size_; }  // leaves after it

 private:
  friend class Store;
  Committed(std::uint64_t commit, std::uint64_t log_size) : commit_(commit), log_size_(log_size) {}
  std::uint64_t commit_;
  std::uint64_t log_size_;
};

// A view that does not change while it lives. Spans it gives are valid until it ends or, in a
// write, until the next change.
class ReadTxn {
 public:
  ReadTxn(const ReadTxn&) = delete;
  ReadTxn& operator=(const ReadTxn&) = delete;
  virtual ~ReadTxn() = default;
  virtual Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const = 0;
  // Calls `visit(key, value)` in key order for every key that begins with `prefix`, until it
  // returns false. The table must not be changed from inside.
  using Visit = std::function<bool(ByteSpan key, ByteSpan value)>;
  virtual Status scan(Table table, ByteSpan prefix, const Visit& visit) const = 0;
  // The same from the last key down.
  virtual Status scan_back(Table table, ByteSpan prefix, const Visit& visit) const = 0;

 protected:
  ReadTxn() = default;
};

class WriteTxn : public ReadTxn {
 public:
  virtual Status put(Table table, ByteSpan key, ByteSpan value) = 0;
  // Error key_present when the key exists; nothing is changed then.
  virtual Status put_new(Table table, ByteSpan key, ByteSpan value) = 0;
  virtual Status erase(Table table, ByteSpan key) = 0;  // absent is fine
  // Adds a record to the audit log and returns its number. `body` is canonical JSON.
  virtual Result<std::uint64_t> append(LeafType type, std::string_view body) = 0;
  // The log's first `size` records (at least 2), whose tree has this root, may be forgotten from
  // now on. False: as many may be already. Error release_mismatch: this log is another, or shorter.
  virtual Result<bool> release(std::uint64_t size, const TreeHash& root) = 0;
  // Forgets some of the records that were released, from the lowest that is kept up to the first
  // that is `needed`. Their hashes and the log's keys stay, and so does every proof of later
  // records. `needed` may change other tables. True: there may be more to forget.
  using Needed = std::function<Result<bool>(ByteSpan record)>;
  virtual Result<bool> prune(const Needed& needed) = 0;
};

// How many of the log's records were released, and how far they are forgotten.
struct LogFloor {
  std::uint64_t released = 0;  // those below it are archived elsewhere; 0: none
  std::uint64_t kept = 0;      // those from it on are here; of those below only the log's keys
};
Result<LogFloor> log_floor(const ReadTxn& txn);  // error: store_corrupt

struct LogHead {
  std::uint64_t size = 0;
  TreeHash root;
  std::uint64_t epoch = 0;  // of the log key that signed
};

class Store {
 public:
  virtual ~Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Runs `change` in one transaction. When it returns an error nothing is changed and that error is
  // returned. When it returns success and anything was appended, a checkpoint over the new head is
  // signed in the same transaction. The result exists only after the data is synced.
  // Errors besides those of `change`: store_full, store_failure, state_locked (the lock or the
  // database was taken away from under us), commit_unknown. After the last three the store refuses
  // every later write: stop and recover.
  // An import, activation, decision, refusal or evidence is refused (store_full) unless the disk
  // holds limits::kStoreReserveBytes beyond what is used; endings, outcomes, recovery, releases and
  // changes without a record may use that reserve.
  // `change` must not wait, spawn, or call `write` or `read` of the same store: it looks through
  // its own transaction.
  Result<Committed> write(const std::function<Status(WriteTxn&)>& change);
  virtual Status read(const std::function<Status(const ReadTxn&)>& look) const = 0;

  virtual Result<LogHead> log_head() const = 0;
  // Syncs the marker that shows an old copy put back; called at start, task end and stop.
  virtual Status sync_marker() = 0;
  // A commit that announced the log's next key leaves the key before it in log.seed. `rest`, for
  // whoever has given the commit's answer, overwrites it; otherwise the next write does, before it
  // begins, or the store's end.
  virtual bool owes_rest() const { return false; }
  virtual void rest() {}

 protected:
  Store() = default;
  struct CommitFacts {
    std::uint64_t commit = 0;
    std::uint64_t log_size = 0;
  };
  virtual Result<CommitFacts> commit(const std::function<Status(WriteTxn&)>& change) = 0;
};

struct StateOptions {
  std::string directory;   // holds data.mdb, marker, lock, log.seed, results/
  std::string origin;      // of the node's record; a state of another origin is refused
  bool read_only = false;  // no lock taken, write() refuses
  // Holds the twins of markers: a directory that others cannot write and that the next boot does
  // not find. With it, a state that was put back whole within one boot is refused. Empty: none.
  std::string twins = {};
};

// Makes a new, empty state (directory 0700) with `incarnation` and log key 0. Error: file_exists
// when the directory already holds a state.
struct StateIdentity {
  Incarnation incarnation;
  std::string origin;  // first line of every checkpoint: "taper/<node key hex>/<incarnation hex>"
};
Status create_state(const std::string& directory, const StateIdentity& identity, LogSeed log_seed);

// Errors: not_a_state, state_locked, store_version, store_rolled_back, store_corrupt, twin_unfit,
// node_record_malformed (another origin), os_failure. A page of data.mdb that is damaged or cut off
// may be met only later, inside LMDB: the process then says store_corrupt on stderr and exits with
// that code's exit status.
Result<std::unique_ptr<Store>> open_state(const StateOptions& options);

// Path of the twin that a state put back whole would be refused by now; empty: there is none.
std::string twin_in_force(const StateOptions& options);

// The same rules in memory (tests, simulation). Never durable; `Committed` still only follows
// success.
std::unique_ptr<Store> open_memory(const StateIdentity& identity, LogSeed log_seed);

}  // namespace taper::store
