#include <algorithm>
#include <map>
#include <set>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/tool_files.h"
#include "runtime/sandbox/ask_upstream.h"

namespace taper::broker {
namespace {

constexpr unsigned kPinsMode = 0644;

// Names of the members in which the two differ.
std::vector<std::string> changed_members(const capsules::Value& before,
                                         const capsules::Value& now) {
  std::set<std::string> names;
  for (const capsules::Value* value : {&before, &now})
    for (const auto& [name, member] : *value->object()) names.insert(name);
  std::vector<std::string> out;
  for (const std::string& name : names) {
    const capsules::Value* was = before.find(name);
    const capsules::Value* is = now.find(name);
    if (was == nullptr || is == nullptr || !(*was == *is)) out.push_back(name);
  }
  return out;
}

ToolPin offered(const ServerFile& file, const Definition& definition) {
  ToolPin pin{.name = file.server.name + "." + definition.name, .change = PinChange::fresh};
  const Result<authority::Tool> tool = upstream_tool(file.server, definition);
  if (tool.ok()) {
    pin.effect = tool->effect;
  } else {
    const ErrorDetail& why = tool.error().detail();
    pin.left_out = why.field + ": " + why.expected + (why.got.empty() ? "" : ", got " + why.got);
  }
  if (!file.pins) return pin;
  const auto before = file.pins->tools.find(definition.name);
  if (before == file.pins->tools.end()) return pin;
  pin.members = changed_members(before->second.value, definition.value);
  pin.change = pin.members.empty() ? PinChange::same : PinChange::changed;
  return pin;
}

// `left_out`: those that the server offers and that cannot be pinned.
void compare(const ServerFile& file, const Definitions& now,
             const std::map<std::string, std::string>& left_out, Pinning& pinning) {
  for (const auto& [name, definition] : now) pinning.tools.push_back(offered(file, definition));
  const Definitions before = file.pins ? file.pins->tools : Definitions();
  for (const auto& [name, why] : left_out) {
    if (now.contains(name)) continue;
    ToolPin pin{.name = file.server.name + "." + name};
    if (!file.pins) pin.change = PinChange::fresh;
    if (before.contains(name)) pin.change = PinChange::changed;
    pin.left_out = "definition: " + why;
    pinning.tools.push_back(std::move(pin));
  }
  for (const auto& [name, definition] : before) {
    if (now.contains(name) || left_out.contains(name)) continue;
    pinning.tools.push_back({.name = file.server.name + "." + name, .change = PinChange::gone});
  }
  std::ranges::sort(pinning.tools, {}, &ToolPin::name);
  for (const auto& [name, words] : file.server.tools)
    if (!now.contains(name) && !left_out.contains(name)) pinning.unknown.push_back(name);
  pinning.differs = !file.pins || file.pins->era != file.server.era ||
                    std::ranges::any_of(pinning.tools, [](const ToolPin& pin) {
                      return pin.change != PinChange::same;
                    });
}

// As for a grant's trees: the node's keys are no server's to read.
Status check_apart(const std::vector<std::string>& paths,
                   const std::vector<std::string>& forbidden) {
  for (const std::string& path : paths) {
    for (const std::string& bad : forbidden) {
      if (capsules::is_under(path, bad) || capsules::is_under(bad, path))
        return Error(Code::tree_refused,
                     {.field = path, .expected = "a path apart from " + bad, .got = "", .fix = ""});
    }
  }
  return success();
}

// What is written must be what is read again.
Status write_checked(const std::string& path, const Pins& pins) {
  const std::string text = write_pins(pins);
  TAPER_TRY(const Pins again, parse_pins(text));
  if (write_pins(again) != text)
    return Error(Code::tool_file_malformed,
                 {.field = path, .expected = "the pins that were written", .got = "", .fix = ""});
  return replace_file(path, as_bytes(text), kPinsMode);
}

}  // namespace

Result<Pinning> pin_tools(const PinOptions& options) {
  TAPER_TRY(const authority::NodeRecord record, node_record(options.state));
  TAPER_TRY(const authority::NodeFacts facts, node_facts(options.state, record, "", {}));
  TAPER_TRY(const std::optional<ServerFile> file,
            load_server(tool_directories(options.state), options.name));
  if (!file)
    return Error(Code::file_missing, {.field = options.state + "/tools.d/" + options.name + ".toml",
                                      .expected = "a file of kind mcp",
                                      .got = "",
                                      .fix = ""});
  const sandbox::UpstreamQuestion question{file->server.argv, file->server.era, file->server.files,
                                           options.with, file->server.env};
  for (const auto* paths : {&question.files, &question.data})
    TAPER_CHECK(check_apart(*paths, facts.forbidden_trees));
  TAPER_TRY(const std::string spawnd, sibling_program("taper-spawnd"));
  TAPER_TRY(const sandbox::UpstreamAnswer answer, sandbox::ask_upstream(spawnd, question));
  TAPER_TRY(Definitions now, read_definitions(answer.definitions));
  Pinning pinning;
  pinning.path = file->pins_path;
  pinning.server = answer.server;
  pinning.version = answer.version;
  compare(*file, now, read_left_out(answer.left_out), pinning);
  if (options.mode == PinMode::write)
    TAPER_CHECK(write_checked(pinning.path, {file->server.era, std::move(now)}));
  return pinning;
}

}  // namespace taper::broker
