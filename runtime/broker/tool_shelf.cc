#include "runtime/broker/tool_shelf.h"

#include <algorithm>

namespace taper::broker {

ToolShelf::ToolShelf(std::vector<std::string> directories)
    : directories_(std::move(directories)), tools_(authority::builtin_tools()) {}

void ToolShelf::drop(const std::string& name) {
  const auto found = tools_.find(name);
  if (found == tools_.end()) return;
  const Hash program = found->second.program;
  tools_.erase(found);
  const bool used = std::ranges::any_of(
      tools_, [&program](const auto& entry) { return entry.second.program == program; });
  if (!used) programs_.erase(program);
}

Status ToolShelf::load(const std::string& name) {
  const authority::Tool* known = find(name);
  if (known != nullptr && known->kind == authority::ToolKind::builtin) return success();
  Result<std::optional<LoadedTool>> loaded = load_tool(directories_, name, programs_);
  drop(name);
  if (!loaded.ok()) return loaded.error();
  if (!*loaded) return success();
  programs_.insert_or_assign((*loaded)->tool.program, std::move((*loaded)->program));
  tools_.emplace(name, std::move((*loaded)->tool));
  return success();
}

const authority::Tool* ToolShelf::find(const std::string& name) const {
  const auto found = tools_.find(name);
  return found == tools_.end() ? nullptr : &found->second;
}

const sandbox::Program* ToolShelf::program(const std::string& name) const {
  const authority::Tool* tool = find(name);
  const auto found = programs_.find(tool == nullptr ? Hash() : tool->program);
  return found == programs_.end() ? nullptr : &found->second;
}

}  // namespace taper::broker
