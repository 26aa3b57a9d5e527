// What a model is told of a tool beside its schema: names for people, what it does, hints.
#pragma once

#include <string>
#include <string_view>

#include "runtime/authority/tool.h"

namespace taper::broker {

std::string_view verb_name(capsules::Verb verb);  // "discover", "call", …

std::string_view kind_word(authority::ToolKind kind);  // "builtin", "command", "mcp"

// Builtins have words of their own, commands those of their file, a server's tools those that were
// pinned; empty: none.
std::string tool_title(const authority::Tool& tool);
std::string tool_description(const authority::Tool& tool);
// Of one input of a builtin; empty: none.
std::string input_words(std::string_view builtin, std::string_view input);

// MCP's hints: as they were pinned, but for readOnlyHint where the tool's effect is another; else
// from that effect. `repeats`: a call made twice has
// no second effect, because its grant counts each call's id once.
enum class Repeats : std::uint8_t { unknown, harmless };
capsules::Value annotations(const authority::Tool& tool, Repeats repeats);

}  // namespace taper::broker
