// Which paths of the host the rules of one argument may name, for the mounts of its cell.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "capsules/constraints.h"

namespace taper::capsules {

struct GrantedPath {
  std::string path;
  bool tree = false;  // and all below it
  bool operator==(const GrantedPath&) const = default;
};

// The paths of `rule`, for an input of `type`, also those inside of arrays and objects that an
// `under` speaks about. Every call that the rule allows names one of them there; calls are checked
// all the same. Empty: it speaks of no path, or no path meets it. Nothing: it speaks of paths and
// does not bound them, as when one alternative of an any_of is open, or finding them takes more
// than limits::kPathStepsMax or kPathCasesMax.
std::optional<std::vector<GrantedPath>> granted_paths(const ArgRule& rule, InputType type);

}  // namespace taper::capsules
