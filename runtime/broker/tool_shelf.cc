#include "runtime/broker/tool_shelf.h"

namespace taper::broker {

ToolShelf::ToolShelf(std::vector<std::string> directories)
    : directories_(std::move(directories)), tools_(authority::builtin_tools()) {}

Status ToolShelf::load(const std::string& name) {
  const authority::Tool* known = find(name);
  if (known != nullptr && known->kind == authority::ToolKind::builtin) return success();
  tools_.erase(name);
  programs_.erase(name);
  TAPER_TRY(std::optional<LoadedTool> loaded, load_tool(directories_, name));
  if (loaded) {
    tools_.emplace(name, std::move(loaded->tool));
    programs_.emplace(name, std::move(loaded->program));
  }
  return success();
}

const authority::Tool* ToolShelf::find(const std::string& name) const {
  const auto found = tools_.find(name);
  return found == tools_.end() ? nullptr : &found->second;
}

const sandbox::Program* ToolShelf::program(const std::string& name) const {
  const auto found = programs_.find(name);
  return found == programs_.end() ? nullptr : &found->second;
}

}  // namespace taper::broker
