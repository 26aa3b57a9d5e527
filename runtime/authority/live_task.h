// A live task in memory: its record, its verified capsule, and the capsule's grants made ready for
// deciding. Memory follows the store; the only thing it may know earlier is that the task stops.
#pragma once

#include <map>
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
  Bytes budget_key;
  Spent spent;
};
using Level = std::vector<LiveGrant>;

struct LiveTask {
  LiveTask(TaskId task, TaskRecord its_record, capsules::VerifiedCapsule its_capsule);

  TaskId id;
  TaskRecord record;
  capsules::VerifiedCapsule capsule;
  Terms limits;
  std::vector<Level> levels;  // the root block's, then one for each block
  std::vector<std::optional<std::vector<GrantedTree>>> trees;  // by root grant; empty: no tool
  std::map<std::string, std::string> inputs;
  std::vector<CallRecord> calls;  // by number
  struct Running {
    std::size_t number = 0;
    std::vector<LiveGrant*> line;      // whose bytes were reserved
    std::uint64_t reserved_bytes = 0;  // from each
  };
  std::map<CallId, Running> running;  // authorised in this process, no outcome yet
  bool claimed = false;               // its holder proved possession in this process
  bool stopped = false;               // it stops acting, whether or not that is durable yet

  const capsules::Capsule& root() const { return capsule.root(); }
  bool acting() const { return claimed && !stopped && record.state == TaskState::active; }
  std::int64_t active_ms(const Now& now) const;
  std::int64_t idle_ms(const Now& now) const;  // zero while a call runs
};

// Brings a record's clocks to `now`.
void advance(TaskRecord& record, bool call_runs, const Now& now);

// Reads what the store holds of the task: budgets, calls, inputs. Errors: store_corrupt, the
// store's.
Status load_task(const store::ReadTxn& txn, LiveTask& task);
// Compiles every grant's trees for the tools of this node. Error: tree_refused.
Status compile_profiles(LiveTask& task, const Tools& tools,
                        const std::vector<std::string>& forbidden);

}  // namespace taper::authority
