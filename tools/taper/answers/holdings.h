// Who may call a tool now: what the live tasks of a node still grant of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/broker/embedded.h"

namespace taper::tools {

// One chain's grant of the tool, as its last block leaves it.
struct Holding {
  const authority::TaskView* task = nullptr;
  const authority::TaskView::ChainView* chain = nullptr;
  std::string grant, root_grant;  // ids: of the last block; of the root block
  std::string tool;
  std::vector<capsules::Verb> verbs;
  std::vector<capsules::ArgRule> args;
  authority::BudgetLeft left;  // the least along its line
  // As `standing` of task_facts.h, or "refused", by the node's own policy, or "stopped": the time
  // is not known as surely as the capsule demands.
  std::string standing;
  std::vector<std::string> waits_for;
  std::string shut_by;
  std::int64_t lease_left_ms = 0;  // of the chain
  std::int64_t until_s = 0;        // by the time that the node knows
  bool may(capsules::Verb verb) const;
};
// What the node refuses by itself, and its tools, as far as their files can be read.
struct OwnRules {
  authority::NodePolicy policy;
  authority::Tools tools;
};
OwnRules own_rules(const std::string& state, const broker::OwnPolicy& own);

// Tasks that ended, are ending, or that their owner's next look ends hold nothing;
// nor do chains that ended. `tasks` must outlive what is returned.
// Of one tool, or of all.
std::vector<Holding> who_can(const std::vector<authority::TaskView>& tasks, const OwnRules& own,
                             std::optional<std::string_view> tool);

// "path: under /var/log; max_bytes: at most 100, may be left out"
std::string rule_words(const std::vector<capsules::ArgRule>& rules);

}  // namespace taper::tools
