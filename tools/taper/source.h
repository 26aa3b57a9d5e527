// Reading what the centre writes and signs: sources with their findings, capsules in either form.
#pragma once

#include "capsules/author/author.h"
#include "tools/taper/command.h"

namespace taper::tools {

// Builtins, and those of `tools_file` (what `taper tools list --json` printed) unless it is empty.
Result<capsules::KnownTools> known_tools(const std::string& tools_file);

// Prints each finding to stderr and puts them into the document. Error: lint_failed when one of
// them is an error.
// A window that is over before anybody could sign it.
std::optional<capsules::Finding> closed_window(const capsules::Draft& draft, std::int64_t now_s);
Status report_findings(const std::vector<capsules::Finding>& findings, Output& out);

Result<capsules::TrustRoot> read_root(const std::string& path);

inline constexpr std::string_view kRootLabel = "TRUST ROOT";
inline constexpr std::string_view kCapsuleLabel = "CAPSULE";
// A capsule's bytes from its binary or armoured file.
Result<Bytes> read_capsule(const std::string& path);

// Verified against the root at `root_path` first, unless that is empty: then the structure and the
// links between blocks are checked, and nobody vouches for the whole.
Result<capsules::UntrustedCapsule> read_chain(ByteSpan file, const std::string& root_path);

}  // namespace taper::tools
