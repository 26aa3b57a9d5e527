// The tools at hand in one run: the builtins, and what is read from tools.d by name.
#pragma once

#include <string>
#include <vector>

#include "runtime/broker/tool_files.h"

namespace taper::broker {

class ToolShelf {
 public:
  explicit ToolShelf(std::vector<std::string> directories);

  // Reads a tool's files again, and its program where that may have changed, so that what is
  // decided is what is there now. On an error, and where no directory has it, the tool is not on
  // the shelf afterwards; a builtin always is. Errors: those of load_tool.
  Status load(const std::string& name);

  const authority::Tools& tools() const { return tools_; }
  const authority::Tool* find(const std::string& name) const;      // null pointer: none
  const sandbox::Program* program(const std::string& name) const;  // null pointer: none
  sandbox::Spawner::Copies entry(const std::string& name) const;   // of the tool's entry files

 private:
  void drop(const std::string& name);

  std::vector<std::string> directories_;
  authority::Tools tools_;
  // And scripts, by hash: the tools of one server, and of one interpreter, share their copy.
  Programs programs_;
};

}  // namespace taper::broker
