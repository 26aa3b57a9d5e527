// Reading tools.d: one NAME.toml a tool. A file says what exists, never what is allowed.
// docs/formats/tools.md
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/authority/tool.h"
#include "runtime/base/result.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

// A tool name is a file name without ".toml": letters, digits, '.', '_' and '-', a letter first.
bool is_tool_name(std::string_view name);

// What a file says, before its program is looked at: `program`, `digest` and `definition`
// are not set.
// Error: tool_file_malformed with the key in `field`.
Result<authority::Tool> parse_tool(std::string_view name, std::string_view toml);

struct LoadedTool {
  authority::Tool tool;
  sandbox::Program program;
};

// STATE/tools.d, then /etc/taper/tools.d; those that do not exist are left out.
std::vector<std::string> tool_directories(const std::string& state);

// The first directory that has the file decides; empty when none has it. Directory and file must be
// owned by root or by us and not be writable by others. Errors: tool_file_malformed naming the
// file; program_unfit; os_failure where the host could not look, such as for want of descriptors.
Result<std::optional<LoadedTool>> load_tool(const std::vector<std::string>& directories,
                                            const std::string& name);

// Names of every tool file there is, sorted. Errors: tool_file_malformed (name, owner, too many),
// os_failure.
Result<std::vector<std::string>> tool_names(const std::vector<std::string>& directories);

}  // namespace taper::broker
