// What a tool takes from one holder, as the JSON Schema (draft 2020-12) that a model is shown. It
// takes every arguments object that the grants' rules allow at some time, and as few others as can
// be told; what is told is never part of a decision. docs/MCP.md has the table.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "runtime/authority/tool.h"

namespace taper::broker {

// One way for a call to be allowed: a root grant, and the kept grant of each block below it.
struct GrantedArguments {
  // Of every level. All must hold; an argument that one of them does not name is refused.
  std::vector<const std::vector<capsules::ArgRule>*> levels;
  std::vector<capsules::Sum> sums = {};  // of the budgets: what is left
  std::string once = {};                 // the argument that carries the call's id; empty: none
};

// An object with `type`, `properties`, `required` and `additionalProperties`, and nothing at its
// top that combines schemas: many clients refuse that. So of several ways each argument takes what
// any of them gives it. Equal input gives equal bytes. At most limits::kToolSchemaBytesMax: the
// longest properties lose their narrowings first, and never their types.
capsules::Value input_schema(const authority::Tool& tool, std::span<const GrantedArguments> ways);

}  // namespace taper::broker
