#include "runtime/broker/tool_shelf.h"

#include <algorithm>

namespace taper::broker {

ToolShelf::ToolShelf(std::vector<std::string> directories)
    : directories_(std::move(directories)), tools_(authority::builtin_tools()) {}

void ToolShelf::drop(const std::string& name) {
  const auto found = tools_.find(name);
  if (found == tools_.end()) return;
  std::vector<Hash> held{found->second.program};
  for (const authority::EntryFile& file : found->second.entry) held.push_back(file.bytes);
  tools_.erase(found);
  for (const Hash& one : held) {
    const bool used = std::ranges::any_of(tools_, [&one](const auto& tool) {
      return tool.second.program == one ||
             std::ranges::find(tool.second.entry, one, &authority::EntryFile::bytes) !=
                 tool.second.entry.end();
    });
    if (!used) programs_.erase(one);
  }
}

Status ToolShelf::load(const std::string& name) {
  const authority::Tool* known = find(name);
  if (known != nullptr && known->kind == authority::ToolKind::builtin) return success();
  Result<std::optional<LoadedTool>> loaded = load_tool(directories_, name, programs_);
  drop(name);
  if (!loaded.ok()) return loaded.error();
  if (!*loaded) return success();
  programs_.insert_or_assign((*loaded)->tool.program, std::move((*loaded)->program));
  for (sandbox::Program& copy : (*loaded)->entry) {
    const Hash hash = copy.hash();
    programs_.insert_or_assign(hash, std::move(copy));
  }
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

sandbox::Spawner::Copies ToolShelf::entry(const std::string& name) const {
  sandbox::Spawner::Copies copies;
  const authority::Tool* tool = find(name);
  if (tool == nullptr) return copies;
  for (const authority::EntryFile& file : tool->entry) copies.push_back(&programs_.at(file.bytes));
  return copies;
}

}  // namespace taper::broker
