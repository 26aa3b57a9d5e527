// JSON that a server wrote: what of it is taken at all, and when two values are the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace taper::upstream {

// Whether `text` is one JSON value (RFC 8259) in UTF-8, nested at most
// limits::kUpstreamJsonDepthMax deep, in which no object, however deep, has a name twice. What
// passes may be read with the functions of runtime/edge/mcp/json.h.
bool is_strict_json(std::string_view text);

// How deep the arrays and objects of a JSON text are nested; of any other text, some number.
std::size_t depth_of(std::string_view text);

// One text for each value, by which values are compared: members sorted by their names, strings
// and numbers in one form (a whole number up to 2^53 is the same with and without a fraction).
// `value` passed is_strict_json. Empty: a number in it is beyond what a double holds.
std::optional<std::string> canonical(std::string_view value);

}  // namespace taper::upstream
