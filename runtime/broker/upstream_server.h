// An MCP server as its file in tools.d declares it, what was pinned of its tools, and each of them
// as a tool of this node. docs/formats/tools.md
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/authority/tool.h"
#include "runtime/base/result.h"

namespace taper::broker {

// What the file says of one tool by name.
struct UpstreamWords {
  capsules::Effect effect = capsules::Effect::unset;  // unset: the server's
  std::vector<std::string> paths;                     // properties that are paths of the host
};

struct UpstreamServer {
  std::string name;
  std::vector<std::string> argv;  // the first is an absolute path
  std::string era;                // a revision of MCP, or "auto"
  std::vector<std::string> files;
  capsules::Effect effect = capsules::Effect::unset;
  std::vector<std::string> env;  // NAME=value, by name
  std::vector<std::string> secrets;
  std::map<std::string, UpstreamWords, std::less<>> tools;  // by the server's own names
};

// Of a server itself, and the part of its tools' names before the first '.': letters, digits, '_'
// and '-', a letter first.
bool is_server_name(std::string_view name);

// One tool as its server tells of it: an object of `name`, `title`, `description`, `inputSchema`,
// `outputSchema` and `annotations`, as far as it has them, and of nothing else.
struct Definition {
  std::string name;
  capsules::Value value;
};
using Definitions = std::map<std::string, Definition, std::less<>>;  // by name

// A JSON array of definitions, of a server that may lie. Strict as arguments are; each name once.
// Errors: upstream_broken, too_large.
Result<Definitions> read_definitions(std::string_view json);

// The JSON array of {"name","why"} of tools that its helper left out, by name; empty text: none.
// Of a server that may lie: what is not as agreed is dropped.
std::map<std::string, std::string> read_left_out(std::string_view json);

struct Pins {
  std::string era;  // of the server's file, when it was pinned
  Definitions tools;
};
// The whole of a pins file. Error: tool_file_malformed with the place in `field`.
Result<Pins> parse_pins(std::string_view json);
// Equal pins give equal bytes: a line for each tool, by name.
std::string write_pins(const Pins& pins);

// The tool NAME.TOOL, as far as it follows from both: `program`, `entry`, `files`, `digest` and
// `definition` are not set. Its inputs are the properties of its inputSchema, by name. Error:
// tool_file_malformed, where it cannot be one of ours.
Result<authority::Tool> upstream_tool(const UpstreamServer& server, const Definition& definition);

}  // namespace taper::broker
