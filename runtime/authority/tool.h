// What exists on a node: the declaration of one tool. Declaring a tool allows nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "capsules/builtins.h"
#include "capsules/secret.h"
#include "runtime/authority/permit.h"

namespace taper::authority {

// One word of a command's argv, or a group that is dropped whole when its argument is absent.
struct ArgvWord {
  std::string literal;        // where `argument` is empty
  std::string argument;       // an input's name
  bool option_value = false;  // the word before takes it as its value, so a leading '-' is harmless
  std::vector<ArgvWord> group;  // non-empty: this is a group of words
};

struct Tool {
  std::string name;
  ToolKind kind = ToolKind::unset;
  capsules::Effect effect = capsules::Effect::unset;
  std::vector<capsules::InputSpec> inputs;
  std::vector<ArgvWord> argv;        // the first is a literal absolute path; a server's all literal
  std::vector<std::string> env;      // NAME=value, by name; of its cell, so no secrets
  std::vector<std::string> secrets;  // the names of those that it reads
  std::string title, description;    // for whoever chooses a tool; empty: none
  bool json_output = false;          // commands: stdout is one JSON value; else text
  Hash program;                      // BLAKE2b-256 of argv[0]'s bytes; builtins: zero
  // Upstreams only: a tool of an MCP server.
  std::string remote;  // the server's own name of it
  std::string pinned;  // canonical JSON of the definition that was pinned
  std::string era;     // the revision of MCP that is spoken, or "auto"
  // Upstreams and agents.
  std::vector<GrantedTree> files;  // that its cell sees besides; each `program`
  std::vector<EntryFile> entry;    // the regular files among argv's words after the first
  Hash digest;                     // of name, definition and program: what a grant pins
  std::string definition;          // canonical JSON of all above but the digests
};

using Tools = std::map<std::string, Tool, std::less<>>;  // by name

// Fills `definition` and `digest` from everything else. Whoever declares a tool ends with this.
void define_tool(Tool& tool);
// The builtin tools as Tools.
Tools builtin_tools();
// hash of length-framed {"taper tool v1", definition, program}.
Hash tool_digest(std::string_view definition, const Hash& program);

}  // namespace taper::authority
