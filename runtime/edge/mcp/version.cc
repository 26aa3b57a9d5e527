#include "runtime/edge/mcp/version.h"

#include <algorithm>
#include <array>
#include <utility>

namespace taper::mcp {
namespace {

constexpr std::array<std::pair<Version, std::string_view>, 5> kNames = {{
    {Version::v2024_11_05, "2024-11-05"},
    {Version::v2025_03_26, "2025-03-26"},
    {Version::v2025_06_18, "2025-06-18"},
    {Version::v2025_11_25, "2025-11-25"},
    {Version::modern, kModernName},
}};

}  // namespace

std::string_view name_of(Version version) {
  return kNames[static_cast<std::size_t>(version)].second;
}

std::optional<Version> legacy_version(std::string_view name) {
  for (const auto& [version, known] : kNames) {
    if (known == name && version != Version::modern) return version;
  }
  return std::nullopt;
}

bool is_reserved_key(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == name.npos) return false;
  const std::string_view prefix = name.substr(0, slash);
  const std::size_t dot = std::min(prefix.find('.'), prefix.size());
  const std::string_view first = prefix.substr(0, dot);
  const std::string_view rest = prefix.substr(std::min(dot + 1, prefix.size()));
  const std::string_view second = rest.substr(0, rest.find('.'));
  const auto is_protocol = [](std::string_view label) {
    return label == "mcp" || label == "modelcontextprotocol";
  };
  return is_protocol(first) || is_protocol(second) || (first == "dev" && second == "taper");
}

}  // namespace taper::mcp
