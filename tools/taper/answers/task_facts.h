// What a task is and what may become of it, worked out from its view for people and programs.
// Nothing here asks for trust or a right clock: the times are what the node's own clocks say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/broker/embedded.h"

namespace taper::tools {

// Something that ends a live task, or takes a right from it, without anybody deciding anew.
struct Revoker {
  std::string kind;                      // "ttl", "idle", "denials", …; docs/CLI.md lists them
  std::optional<std::int64_t> at_s;      // when it is due, by the time that the node knows
  std::optional<std::int64_t> left_ms;   // until then; not negative
  std::optional<std::int64_t> used, of;  // of a count
  std::string what;                      // when it strikes
};
// None for an ended task. In the order in which they are asked.
std::vector<Revoker> revokers(const authority::TaskView& view);

// What a grant lets the task do now: "open", "waits" (for a call of another), "shut" (by a label),
// "spent", "narrowed" (a later block decides), "ended".
std::string standing(const authority::TaskView& view, const authority::TaskView::GrantView& grant);

struct StepFact {
  std::string id, tool;
  std::string state;      // of its last call; else "refused", or "none" where none was asked for
  std::int64_t done = 0;  // calls of it that are done: its items, or one
  std::vector<std::string> waits_for;  // needs that no done call has met
};
std::vector<StepFact> plan_steps(const authority::TaskView& view);

}  // namespace taper::tools
