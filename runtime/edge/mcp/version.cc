#include "runtime/edge/mcp/version.h"

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

}  // namespace taper::mcp
