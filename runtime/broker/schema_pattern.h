// Regular expressions that say the same as constraints of text, for schemas. ECMA 262 with or
// without its `u`, anchored, and nothing in them that other engines read otherwise: no look-around,
// no \u, no classes by name. They never take less than the constraint; which take more is said.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace taper::broker {

std::string prefix_pattern(std::string_view text);
std::string suffix_pattern(std::string_view text);
// Exact but where a '?' stands beside another wildcard: it stands for a byte, and an expression
// counts characters. Empty where engines that try one way after the other might try for hours.
std::optional<std::string> glob_pattern(std::string_view glob);
// Paths in plain form that are `tree` or lie below it; "/": every path in plain form.
std::string under_pattern(std::string_view tree);

}  // namespace taper::broker
