// What the authority keeps in the store: records of tasks, calls, budgets and decisions as framed
// little-endian bytes, and the members that the audit records share. docs/formats/records.md
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "capsules/open.h"
#include "capsules/value.h"
#include "runtime/authority/authority.h"
#include "runtime/authority/budget.h"
#include "runtime/authority/time.h"
#include "store/store.h"

namespace taper::authority {

// One task, live or ended. Everything above `state` is fixed at activation.
struct TaskRecord {
  Hash capsule, chain;  // id of the root payload; hash of the whole file that activated it
  PublicKey holder;     // of that chain
  Hash issuer;
  std::uint64_t serial = 0;
  std::uint64_t root_version = 0;  // the policy it was admitted under
  std::string purpose, requester, agent, tenant;
  std::int64_t activated_s = 0;
  std::int64_t not_after_s = 0;
  std::int64_t ttl_ms = 0, idle_ms = 0;
  bool long_lease = false;  // its capsule declares one
  capsules::EndOn end_on;
  Hash inputs;  // hash of the plan's inputs
  Hash policy;  // the node's own, when it was activated; zero: none
  TaskState state = TaskState::unset;
  EndReason reason = EndReason::none;
  std::int64_t active_ms = 0;     // of the lease, used when `seen`
  std::int64_t idle_used_ms = 0;  // since the last activity, when `seen`
  Now seen;                       // the clocks at the last change
  std::uint64_t denials = 0;
  std::uint64_t calls = 0;  // numbers given to calls so far
  std::uint64_t log_bytes = 0;
};

// Error field_missing names the part of a task's identity, policy or ending that is absent: such a
// task is not made.
Result<Bytes> encode_task(const TaskRecord& record);
Result<TaskRecord> decode_task(ByteSpan bytes);  // error: store_corrupt

// A chain of the task's root payload that was ever attached to it.
struct ChainRecord {
  PublicKey holder;
  std::int64_t idle_ms = 0;  // the least that its blocks allow
  bool ended = false;        // its own idle time was over; another chain's call does not mend that
};
using Chains = std::map<Hash, ChainRecord>;  // by hash of the whole file

// Whose doing a record tells of.
struct Caller {
  Hash chain;
  PublicKey holder;  // zero where the chain never proved itself
};
Caller caller_of(const Chains& chains, const Hash& chain);

// Of a call that is asked about later.
struct HandleRecord {
  Now created, updated;      // at the decision; at the last change of state
  std::int64_t from_ms = 0;  // the task's active time at the decision
  std::int64_t ttl_ms = 0;   // of active time
  Hash lineage;              // what a block that goes on from the maker's chain names as `previous`
  std::uint64_t kept = 0;    // index of the grant that it was made by, in that chain's last block
  bool cancelled = false;    // whatever its outcome will be
  Hash arguments = {};       // of a call that waits: hash of their canonical form; else zero
};

struct CallRecord {
  CallId id;
  Hash chain;  // of whoever asked for it
  DecisionId decision;
  std::uint64_t grant = 0;  // index in the root block
  bool read_only = false;
  std::string step;
  CallState state = CallState::unset;
  Code code = Code::ok;
  Hash once;         // of the grant and the id that the call bears; zero: the grant asks for none
  Hash result = {};  // of the kept result's bytes; zero: none
  std::optional<HandleRecord> handle = {};

  bool cancelled() const { return handle && handle->cancelled; }
};
std::vector<PastCall> past_calls_of(const std::vector<CallRecord>& calls, const Chains& chains);
Bytes encode_call(const CallRecord& record);
Result<CallRecord> decode_call(ByteSpan bytes);  // error: store_corrupt

Bytes encode_spent(const Spent& spent);
Result<Spent> decode_spent(ByteSpan bytes);  // error: store_corrupt

Bytes encode_decision(const DecisionView& view);
Result<DecisionView> decode_decision(ByteSpan bytes);  // error: store_corrupt

// What is known of the time, and the challenges to a centre that this boot gave out.
struct TimeNonce {
  Nonce nonce;
  std::int64_t minted_ms = 0;  // by the boot clock
  bool used = false;
};
struct TimeNonces {
  BootId boot_id;
  std::vector<TimeNonce> given;  // at most limits::kTimeNoncesMax, the oldest first
};
Status put_time(store::WriteTxn& txn, const TimeState& state);
Status put_nonces(store::WriteTxn& txn, const TimeNonces& nonces);
Result<TimeState> read_time(const store::ReadTxn& txn);     // errors: store_corrupt, the store's
Result<TimeNonces> read_nonces(const store::ReadTxn& txn);  // the same

// Length-framed names and values in name order; the inverse; their hash.
Bytes encode_inputs(const std::map<std::string, std::string>& inputs);
Result<std::map<std::string, std::string>> decode_inputs(ByteSpan bytes);

// Keys.
Bytes call_key(const TaskId& task, std::uint64_t number);
// `block` names the branch (docs/formats/records.md); zero for the root block.
Bytes budget_key(const Hash& capsule, const Hash& block, const std::string& grant);
Bytes inputs_key(const TaskId& task);
Bytes chain_key(const TaskId& task, const Hash& chain);
// In the table of what counts once: a label that the capsule's tasks bear; the last call with an
// id.
Bytes label_key(const Hash& capsule, const std::string& label);
Bytes once_key(const Hash& capsule, const Hash& once);
Bytes capsule_key(const Hash& capsule, const Hash& chain);
Bytes serial_key(const Hash& issuer, std::uint64_t serial);

// Reading. Errors: store_corrupt and the store's.
Result<std::uint32_t> read_activations(const store::ReadTxn& txn, const Hash& capsule);
// How many the node ever made: of the issuer's capsules; of all, where that is zero.
Bytes kept_key(const Hash& issuer);
Result<std::uint32_t> read_kept(const store::ReadTxn& txn, const Hash& issuer);
Result<std::optional<TaskRecord>> read_task(const store::ReadTxn& txn, const TaskId& task);
Status visit_tasks(const store::ReadTxn& txn,
                   const std::function<Status(const TaskId&, const TaskRecord&)>& visit);
Result<std::set<std::string>> read_labels(const store::ReadTxn& txn, const Hash& capsule);
// What a later call with the same id goes by: one that never ran may come again.
CallState state_of_id(const CallRecord& call);
// By CallRecord::once, that state of the last call with it. A call without record counts as done.
Result<std::map<Hash, CallState>> read_once(const store::ReadTxn& txn, const Hash& capsule);
Result<Chains> read_chains(const store::ReadTxn& txn, const TaskId& task);
Status put_chain(store::WriteTxn& txn, const TaskId& task, const Hash& chain,
                 const ChainRecord& record);
Result<std::vector<CallRecord>> read_calls(const store::ReadTxn& txn, const TaskId& task);

// Audit records: a task's whole identity, so that each record can be joined by any part of it; the
// clocks; bytes that came from outside, made fit for a record.
capsules::Object identity_members(const TaskId& task, const TaskRecord& record,
                                  const Caller& caller);
void add_clocks(capsules::Object& body, const Now& now);
capsules::Value count_value(std::uint64_t count);
std::string printable(std::string_view text);

}  // namespace taper::authority
