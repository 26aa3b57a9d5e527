// A live task in memory: its record, its verified capsule, and the capsule's grants made ready for
// deciding. Memory follows the store; it knows earlier only that the task stops, and, while one
// batch is decided, what the batch has taken.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "capsules/open.h"
#include "runtime/authority/records.h"
#include "runtime/authority/tool.h"

namespace taper::authority {

// The capsule's times after every block has shortened them.
struct Terms {
  std::int64_t not_before_s = 0, not_after_s = 0;
  std::int64_t ttl_ms = 0, idle_ms = 0;
};
Terms terms(const capsules::VerifiedCapsule& capsule);

// A grant of the root block, or a kept one of a narrowing block.
struct LiveGrant {
  std::string id;
  std::size_t parent = 0;               // index in the level before
  std::vector<capsules::ArgRule> args;  // its own rules and all inherited
  capsules::Budget budget;
  std::vector<std::string> labels, refuse_after;  // its own
  Bytes budget_key;
  Spent spent;
};
using Level = std::vector<LiveGrant>;
// The root block's grants, then those of each block.
std::vector<Level> make_levels(const Hash& capsule, const capsules::Capsule& root,
                               const std::vector<capsules::Block>& blocks);
std::size_t root_of(const std::vector<Level>& levels, std::size_t level, std::size_t index);

struct LiveTask {
  LiveTask(TaskId task, TaskRecord its_record, capsules::VerifiedCapsule its_capsule);

  TaskId id;
  TaskRecord record;
  capsules::VerifiedCapsule capsule;
  Terms limits;
  std::vector<Level> levels;
  // By grant of the last level; empty: its tool is not there.
  std::vector<std::optional<std::vector<GrantedTree>>> trees;
  std::map<std::string, std::string> inputs;
  std::vector<CallRecord> calls;  // by number
  std::set<std::size_t> done;     // root grants of which a call is done
  // The capsule's on this node, whichever of its activations or chains they came from.
  std::set<std::string> labels;
  std::map<Hash, CallState> once;  // by CallRecord::once
  struct Running {
    std::size_t number = 0;
    std::vector<LiveGrant*> line;  // the grants that were charged
    Charge charge;                 // of each; the sum is each one's own
  };
  std::map<CallId, Running> running;  // authorised in this process, no outcome yet
  bool claimed = false;               // its holder proved possession in this process
  bool stopped = false;               // it stops acting, whether or not that is durable yet

  // Puts the call in its place, or at the end, and remembers what later decisions ask of it.
  void keep_call(std::size_t number, const CallRecord& call);
  const capsules::Capsule& root() const { return capsule.root(); }
  bool acting() const { return claimed && !stopped && record.state == TaskState::active; }
  std::int64_t active_ms(const Now& now) const;
  std::int64_t idle_ms(const Now& now) const;  // zero while a call runs
};

// The tool of a root grant was there when the task was activated, and every block keeps the grant.
bool has_tool(const LiveTask& task, std::size_t grant);
// Brings a record's clocks to `now`.
void advance(TaskRecord& record, bool call_runs, const Now& now);

// Reads what the store holds of the task: budgets, labels, calls, inputs. Errors: store_corrupt,
// the store's.
Status load_task(const store::ReadTxn& txn, LiveTask& task, const Now& now);
// Compiles the trees of every grant of the last level, from its own rules and all inherited, for
// the tools of this node. Error: tree_refused.
Status compile_profiles(LiveTask& task, const Tools& tools,
                        const std::vector<std::string>& forbidden);

}  // namespace taper::authority
