// The constraints on one value as a JSON Schema (draft 2020-12). It takes every value for which
// they hold at some time, and as few others as a schema can tell; what it cannot tell stands in its
// description. docs/MCP.md has the table.
#pragma once

#include <span>
#include <string>

#include "runtime/authority/tool.h"

namespace taper::broker {

// `all` must hold together. `false` where nothing holds; an object in every other case.
capsules::Value value_schema(capsules::InputType type, std::span<const capsules::Constraint> all);

// `words` before what its description says already. Only for an object.
void add_words(capsules::Value& schema, std::string_view words);

}  // namespace taper::broker
