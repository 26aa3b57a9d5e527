// Asking an MCP server for its tools, in a cell that is thrown away: for whoever pins them. No
// grant, task or permit stands behind it, so the cell sees /usr and what is named here, read-only.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace taper::sandbox {

struct UpstreamQuestion {
  std::vector<std::string> argv;  // argv[0]: the absolute path of an ELF program
  std::string era;                // as in a tool's declaration
  // Absolute paths of directories and regular files. What is in the first may be executed.
  std::vector<std::string> files;
  std::vector<std::string> data;
  std::vector<std::string> env = {};  // as in a tool's declaration
};

// What the server said, and nothing of it is believed: texts for people, or to be parsed with care.
struct UpstreamAnswer {
  std::string definitions;  // JSON array, in the server's order; at most kUpstreamListBytesMax
  std::string version;      // the revision of MCP that was agreed on
  std::string server;       // its name and version
  std::string left_out;     // JSON array of {"name","why"}: tools that cannot be pinned; or empty
};

// Starts `spawnd_path` (absolute) for this one cell and waits, at most limits::kUpstreamPinMs.
// Errors: program_missing (taper-spawnd, taper-upstream), program_unfit, tree_missing, tree_unsafe,
// upstream_broken, upstream_drift (the era), too_large, spawner_lost, sandbox_layer, sandbox_setup,
// tool_killed.
Result<UpstreamAnswer> ask_upstream(const std::string& spawnd_path,
                                    const UpstreamQuestion& question);

}  // namespace taper::sandbox
