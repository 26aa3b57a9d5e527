// A live task in memory: its record, and the chains attached to it with their grants made ready for
// deciding. A call is decided with the blocks of its own chain; what is counted is the task's, or
// the root payload's. Memory follows the store; it knows earlier only that the task stops, and,
// while one batch is decided, what the batch has taken.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "capsules/open.h"
#include "runtime/authority/records.h"
#include "runtime/authority/tool.h"

namespace taper::authority {

// The root block's times after `blocks` have shortened them.
struct Terms {
  std::int64_t not_before_s = 0, not_after_s = 0;
  std::int64_t ttl_ms = 0, idle_ms = 0;
};
Terms terms(const capsules::Capsule& root, const std::vector<capsules::Block>& blocks);

// A grant of the root block, or a kept one of a narrowing block.
struct LiveGrant {
  std::string id;
  std::size_t parent = 0;               // index in the level before
  std::vector<capsules::Verb> verbs;    // its own that every grant above has too
  std::vector<capsules::ArgRule> args;  // its own rules and all inherited
  capsules::Budget budget;
  std::vector<std::string> labels, refuse_after;  // its own
  Bytes budget_key;
  std::vector<capsules::Verb> named = {};  // the verbs that its block names for it
  bool adds_rules = false;                 // its block adds some for arguments
  Spent* spent = nullptr;                  // the task's counter of that key, set when it is loaded
};
using Level = std::vector<LiveGrant>;
// The root block's grants, then those of each block.
std::vector<Level> make_levels(const Hash& capsule, const capsules::Capsule& root,
                               const std::vector<capsules::Block>& blocks);
std::size_t root_of(const std::vector<Level>& levels, std::size_t level, std::size_t index);
// The label that shuts a grant or one that it comes from; empty: none.
std::string shut_by(const std::vector<Level>& levels, std::size_t level, std::size_t index,
                    const std::set<std::string>& labels);

// A chain whose last holder proved itself in this process.
struct Branch {
  explicit Branch(capsules::VerifiedCapsule its_capsule);

  capsules::VerifiedCapsule capsule;
  Terms limits;
  std::vector<Level> levels;
  // By grant of the last level; empty: its tool is not there.
  std::vector<std::optional<std::vector<GrantedTree>>> trees;
  std::uint32_t first_cell = 0;  // of its kept grants' numbers in the task
};

struct LiveTask {
  LiveTask(TaskId task, TaskRecord its_record, capsules::VerifiedCapsule its_capsule);

  TaskId id;
  TaskRecord record;
  capsules::VerifiedCapsule capsule;  // the chain that activated it; all have its root block
  Terms limits;                       // the root block's: no chain shortens the others' time
  Chains chains;
  std::map<Hash, Branch> branches;  // stay until the task ends: calls under way point into them
  std::uint32_t cells = 0;          // numbers given to the branches' kept grants
  std::map<Bytes, Spent> spent;     // by budget key, for all branches
  std::map<std::string, std::string> inputs;
  std::vector<CallRecord> calls;          // by number
  std::map<CallId, std::size_t> handles;  // numbers of those that bear one
  std::set<std::size_t> waiting;          // numbers of those that wait for input
  // By the active time at which each of those with a handle is over.
  std::set<std::pair<std::int64_t, CallId>> handle_ends;
  std::set<std::size_t> done;  // root grants of which a call is done
  // The capsule's on this node, whichever of its activations or chains they came from.
  std::set<std::string> labels;
  std::map<Hash, CallState> once;  // by CallRecord::once
  struct Running {
    std::size_t number = 0;
    std::vector<const LiveGrant*> line;  // the grants that were charged
    std::vector<Charge> charges;         // of each
    std::size_t kept = 0;                // the last of `line`, in its chain's last block
    Hash arguments;                      // of their canonical form
  };
  std::map<CallId, Running> running;     // authorised in this process, no outcome yet
  EndReason stopping = EndReason::none;  // why it acts no more, whether or not that is durable yet
  EndedBy stopped_by;                    // who said so, where somebody did

  // Puts the call in its place, or at the end, and remembers what later decisions ask of it.
  void keep_call(std::size_t number, const CallRecord& call);
  void drop_handle(std::size_t number);  // where it bears one
  const capsules::Capsule& root() const { return capsule.root(); }
  bool stopped() const { return stopping != EndReason::none; }
  bool acting() const { return !stopped() && record.state == TaskState::active; }
  bool busy(const Now& now) const;  // a call runs, or waits and its handle's time is not over
  // Brings `next`, which is this task's record, to `now`.
  void bring(TaskRecord& next, const Now& now) const;
  const Branch* branch(const Hash& chain) const;  // null where it is not attached
  void attach(Branch branch);  // once load_branch was durable; the same chain again is fine
  std::int64_t active_ms(const Now& now) const;
  std::int64_t idle_ms(const Now& now) const;  // zero while a call runs or waits
};

// Of the handle's time, which is counted as the lease is; zero: it is over.
std::int64_t handle_left_ms(const LiveTask& task, const HandleRecord& handle, const Now& now);
// The least that any grant leaves on the line that ends in one of the chain's last level.
BudgetLeft least_left(const Branch& branch, std::size_t grant, const Now& now);

// The tool of a root grant was there when the chain was attached, and every block keeps the grant.
bool has_tool(const Branch& branch, std::size_t grant);
// Brings a record's clocks to `now`.
void advance(TaskRecord& record, bool busy, const Now& now);

// Reads what the store holds of the task: labels, calls, inputs, chains. Errors: store_corrupt, the
// store's.
Status load_task(const store::ReadTxn& txn, LiveTask& task);
// Ties a branch to the task's counters; those not in memory yet are read. Errors: as above.
Status load_branch(const store::ReadTxn& txn, LiveTask& task, Branch& branch, const Now& now);
// Compiles the trees of every grant of the last level, from its own rules and all inherited, for
// the tools of this node. Error: tree_refused.
Status compile_profiles(Branch& branch, const Tools& tools,
                        const std::vector<std::string>& forbidden);

}  // namespace taper::authority
