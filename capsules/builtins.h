// The builtin tools: what they are called, what they take, what they do at most. They are pinned by
// the version of Taper. One table for lint, authority and the cell.
#pragma once

#include <span>
#include <string_view>

#include "capsules/capsule.h"
#include "capsules/constraints.h"

namespace taper::capsules {

struct BuiltinSpec {
  std::string_view name;  // "file.read"
  std::string_view summary;
  Effect effect = Effect::unset;
  std::vector<InputSpec> inputs;
};

std::span<const BuiltinSpec> builtins();
const BuiltinSpec* find_builtin(std::string_view name);  // null pointer: none

}  // namespace taper::capsules
