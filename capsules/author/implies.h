// What can be shown of constraints without asking values: that one set lets through nothing another
// refuses, or that two share no value. `false` says that it could not be shown, never the opposite.
#pragma once

#include <optional>
#include <vector>

#include "capsules/constraints.h"

namespace taper::capsules {

// While one lives, all that follows may take limits::kDiffStepsMax looks at constraints together,
// in this thread; what they do not show is not shown. Not nested.
class BoundedImplication {
 public:
  BoundedImplication();
  ~BoundedImplication();
  BoundedImplication(const BoundedImplication&) = delete;
  BoundedImplication& operator=(const BoundedImplication&) = delete;
};

// Every value that passes `all` passes `one`.
bool implies(const std::vector<Constraint>& all, const Constraint& one);
// Every set of arguments that `narrow` accepts is accepted by `wide`. Both are closed.
bool rules_within(const std::vector<ArgRule>& narrow, const std::vector<ArgRule>& wide);
// No set of arguments is accepted by both.
bool rules_apart(const std::vector<ArgRule>& a, const std::vector<ArgRule>& b);
// The values that pass `all`, where it names them one by one.
std::optional<std::vector<Value>> named_values(const std::vector<Constraint>& all);

}  // namespace taper::capsules
