// Changing one member of a JSON text and no other byte of it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace taper::tools {

// The text in which the object at `path` (names from the outermost object inwards; objects that are
// missing are made) has `value` under `name`: one JSON value on one line. `text` is one valid JSON
// value. Empty when something on the way is no object, or has a name twice.
std::optional<std::string> with_member(std::string_view text, std::span<const std::string> path,
                                       std::string_view name, std::string_view value);

}  // namespace taper::tools
