// The revisions of MCP that are spoken. Up to 2025-11-25 a connection is opened with `initialize`
// (legacy); since 2026-07-28 every request says for itself what it speaks (modern).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace taper::mcp {

enum class Version : std::uint8_t { v2024_11_05, v2025_03_26, v2025_06_18, v2025_11_25, modern };

inline constexpr Version kNewestLegacy = Version::v2025_11_25;
inline constexpr std::string_view kModernName = "2026-07-28";

std::string_view name_of(Version version);
std::optional<Version> legacy_version(std::string_view name);  // empty for a modern one too

// Keys of `_meta`. Those of the protocol are reserved to it, those of taper to us: neither is
// passed on from what a tool or an upstream server put into its results.
inline constexpr std::string_view kVersionKey = "io.modelcontextprotocol/protocolVersion";
inline constexpr std::string_view kClientInfoKey = "io.modelcontextprotocol/clientInfo";
inline constexpr std::string_view kCapabilitiesKey = "io.modelcontextprotocol/clientCapabilities";
inline constexpr std::string_view kServerInfoKey = "io.modelcontextprotocol/serverInfo";
inline constexpr std::string_view kSubscriptionKey = "io.modelcontextprotocol/subscriptionId";
inline constexpr std::string_view kRelatedTaskKey = "io.modelcontextprotocol/related-task";
inline constexpr std::string_view kTasksExtension = "io.modelcontextprotocol/tasks";
// Of the protocol, by its prefix: one whose first or second label is mcp or modelcontextprotocol
// (io.modelcontextprotocol/, com.mcp.tools/); or ours, below dev.taper.
bool is_reserved_key(std::string_view name);
inline constexpr std::string_view kDenialKey = "dev.taper/denial";        // {"code":504}
inline constexpr std::string_view kRemainingKey = "dev.taper/remaining";  // budgets and lease

}  // namespace taper::mcp
