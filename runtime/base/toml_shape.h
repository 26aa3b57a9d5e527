// The shape of a TOML text, looked at before a parser that calls itself for each level sees it.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace taper {

// The first line, from 1, with a dotted key of more than limits::kTomlKeyPartsMax parts, or inside
// more than limits::kTomlDepthMax brackets and braces; empty: none. Both also where the text is not
// valid TOML.
std::optional<std::size_t> toml_too_deep(std::string_view toml);

}  // namespace taper
