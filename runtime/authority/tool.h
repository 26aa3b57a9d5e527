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
  std::vector<ArgvWord> argv;        // commands; the first is a literal absolute path
  std::vector<std::string> secrets;  // commands: the names of those that it reads
  std::string title, description;    // commands: for whoever chooses a tool; empty: none
  bool json_output = false;          // commands: stdout is one JSON value; else text
  Hash program;                      // commands: BLAKE2b-256 of the program's bytes
  Hash digest;                       // of name, definition and program: what a grant pins
  std::string definition;            // canonical JSON of all above but the digests
};

using Tools = std::map<std::string, Tool, std::less<>>;  // by name

// Fills `definition` and `digest` from everything else. Whoever declares a tool ends with this.
void define_tool(Tool& tool);
// The builtin tools as Tools.
Tools builtin_tools();
// hash of length-framed {"taper tool v1", definition, program}.
Hash tool_digest(std::string_view definition, const Hash& program);

}  // namespace taper::authority
