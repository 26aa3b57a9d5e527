#include "runtime/broker/schema_pattern.h"

#include <algorithm>

namespace taper::broker {
namespace {

// `u` allows a backslash before these alone.
constexpr std::string_view kSyntax = "^$\\.*+?()[]{}|";
// No '/', no NUL, neither "." nor "..".
constexpr std::string_view kComponent = R"(([^/.\x00]|\.[^/.\x00]|\.\.[^/\x00])[^/\x00]*)";

std::string literal(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte < 0x20 || byte == 0x7F) {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 0x0FU];
      continue;
    }
    if (kSyntax.find(c) != kSyntax.npos) out += '\\';
    out += c;
  }
  return out;
}

// A run of wildcards stands for whole characters, since what is around it is whole ones; each has 1
// to 4 bytes.
std::string wildcards(std::size_t bytes, bool more) {
  constexpr std::size_t kBytesOfCharacter = 4;
  constexpr std::size_t kRepeatsMax = 1000;  // of engines with a bound
  const std::size_t characters = (bytes + kBytesOfCharacter - 1) / kBytesOfCharacter;
  const std::size_t least = std::min(characters, kRepeatsMax);
  if (more || bytes > kRepeatsMax)
    return bytes == 0 ? "[^/]*" : "[^/]{" + std::to_string(least) + ",}";
  if (bytes == 1) return R"([\x00-.0-\x7f])";
  return "[^/]{" + std::to_string(least) + "," + std::to_string(bytes) + "}";
}

// A wildcard run of no fixed length can be cut in one way only, as long as it is alone between
// slashes; each further one multiplies the ways by the length of the text.
bool is_slow(std::string_view glob) {
  constexpr std::size_t kFurtherMax = 1;
  std::size_t further = 0;
  while (!glob.empty()) {
    std::string_view part = glob.substr(0, std::min(glob.find('/'), glob.size()));
    glob.remove_prefix(std::min(part.size() + 1, glob.size()));
    std::size_t runs = 0;
    while (!part.empty()) {
      part.remove_prefix(std::min(part.find_first_of("*?"), part.size()));
      const auto run = part.substr(0, std::min(part.find_first_not_of("*?"), part.size()));
      runs += run.empty() || run == "?" ? 0 : 1;
      part.remove_prefix(run.size());
    }
    further += runs - std::min<std::size_t>(runs, 1);
  }
  return further > kFurtherMax;
}

}  // namespace

std::string prefix_pattern(std::string_view text) { return "^" + literal(text); }
std::string suffix_pattern(std::string_view text) { return literal(text) + "$"; }

std::optional<std::string> glob_pattern(std::string_view glob) {
  if (is_slow(glob)) return std::nullopt;
  std::string out = "^";
  while (!glob.empty()) {
    const std::size_t plain = std::min(glob.find_first_of("*?"), glob.size());
    out += literal(glob.substr(0, plain));
    glob.remove_prefix(plain);
    const std::string_view run =
        glob.substr(0, std::min(glob.find_first_not_of("*?"), glob.size()));
    glob.remove_prefix(run.size());
    if (run.empty()) break;
    out += wildcards(static_cast<std::size_t>(std::ranges::count(run, '?')),
                     run.find('*') != run.npos);
  }
  return out + "$";
}

std::string under_pattern(std::string_view tree) {
  const std::string component(kComponent);
  if (tree == "/") return "^/(" + component + "(/" + component + ")*)?$";
  return "^" + literal(tree) + "(/" + component + ")*$";
}

}  // namespace taper::broker
