// Reading tools.d: one NAME.toml a command, or a server with its tools NAME.TOOL. A file says what
// exists, never what is allowed. docs/formats/tools.md
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/authority/tool.h"
#include "runtime/base/result.h"
#include "runtime/broker/upstream_server.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

// A tool name is a file name without ".toml": letters, digits, '.', '_' and '-', a letter first.
bool is_tool_name(std::string_view name);

// What a file says, before its program is looked at: of a command or an agent `program`, `digest`
// and `definition` are not set. Error: tool_file_malformed with the key in `field`.
using ToolFile = std::variant<authority::Tool, UpstreamServer>;
Result<ToolFile> parse_tool_file(std::string_view name, std::string_view toml);

struct LoadedTool {
  authority::Tool tool;
  sandbox::Program program;
  std::vector<sandbox::Program> entry = {};  // copies of tool.entry, in its order
};

// DIRECTORY/NAME, both of root's or ours and not writable by others; empty when there is no such
// file. Errors: tool_file_malformed naming the file, os_failure.
Result<std::optional<std::string>> read_owned_file(const std::string& directory,
                                                   const std::string& name, std::size_t most);

// STATE/tools.d, then /etc/taper/tools.d; those that do not exist are left out.
std::vector<std::string> tool_directories(const std::string& state);

// A command of that name, else the tool TOOL of the server NAME, where the name is NAME.TOOL and
// the server's pins have it; empty when there is neither. The first directory that has the file
// decides, and a server's pins lie beside its file. Directory and files must be owned by root or by
// us and not be writable by others. Errors: tool_file_malformed naming the file, also for a tool
// that cannot be one of ours; program_unfit; os_failure where the host could not look, such as for
// want of descriptors. `known` spares reading programs again, see Program::load.
using Programs = std::map<Hash, sandbox::Program>;
Result<std::optional<LoadedTool>> load_tool(const std::vector<std::string>& directories,
                                            const std::string& name, const Programs& known = {});

// Every tool of every file. A command goes before a server's tool of its name; what cannot be one
// of ours is left out of a server's. Errors: those of load_tool; tool_file_malformed (a file's
// name, too many).
Result<authority::Tools> load_tools(const std::vector<std::string>& directories);

// A server's file and what was pinned, for pinning anew. Empty: no directory has such a file.
struct ServerFile {
  UpstreamServer server;
  std::string pins_path;
  std::optional<Pins> pins;  // empty: there is no such file
};
// Errors: tool_file_malformed, also where the file is a command's; os_failure.
Result<std::optional<ServerFile>> load_server(const std::vector<std::string>& directories,
                                              const std::string& name);

}  // namespace taper::broker
