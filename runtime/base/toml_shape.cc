#include "runtime/base/toml_shape.h"

#include <algorithm>

#include "runtime/base/limits.h"

namespace taper {
namespace {

// The end of the string that begins at `at` with a quote; an unclosed one ends with its line or,
// with three quotes, with the text.
std::size_t end_of_string(std::string_view toml, std::size_t at) {
  const char quote = toml[at];
  const std::string_view three = quote == '"' ? "\"\"\"" : "'''";
  const bool many = toml.substr(at).starts_with(three);
  at += many ? 3 : 1;
  for (; at < toml.size(); ++at) {
    if (toml[at] == '\\' && quote == '"') {
      ++at;
    } else if (many && toml.substr(at).starts_with(three)) {
      at += 3;
      // Two more quotes may be the string's last characters.
      for (int more = 0; more < 2 && at < toml.size() && toml[at] == quote; ++more) ++at;
      return at;
    } else if (!many && (toml[at] == quote || toml[at] == '\n')) {
      return toml[at] == quote ? at + 1 : at;
    }
  }
  return toml.size();
}

}  // namespace

std::optional<std::size_t> toml_too_deep(std::string_view toml) {
  std::size_t depth = 0;
  std::size_t parts = 1;
  for (std::size_t at = 0; at < toml.size();) {
    const char c = toml[at];
    if (c == '"' || c == '\'') {
      at = end_of_string(toml, at);
      continue;
    }
    if (c == '#') {
      at = std::min(toml.find('\n', at), toml.size());
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (c == '.') ++parts;
    if (std::string_view("[]{}=,\n").find(c) != std::string_view::npos) parts = 1;
    if (parts > limits::kTomlKeyPartsMax || depth > limits::kTomlDepthMax) {
      return 1 + static_cast<std::size_t>(std::ranges::count(toml.substr(0, at), '\n'));
    }
    ++at;
  }
  return std::nullopt;
}

}  // namespace taper
