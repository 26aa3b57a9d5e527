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

// The words for effects and types of input wherever a text is written or read; "unset" for neither.
std::string_view word(Effect effect);
std::string_view word(InputType type);
Effect effect_of(std::string_view word);  // unset: no such word
InputType input_type_of(std::string_view word);

}  // namespace taper::capsules
