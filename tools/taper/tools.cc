#include "capsules/builtins.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/command.h"

namespace taper::tools {
namespace {

using broker::PinChange;
using broker::Pinning;
using broker::ToolPin;

struct Pin {
  std::string name, state;
  std::vector<std::string> with;
  bool check = false;
};

std::string_view kind_word(authority::ToolKind kind) {
  if (kind == authority::ToolKind::upstream) return "mcp    ";
  if (kind == authority::ToolKind::agent) return "agent  ";
  return kind == authority::ToolKind::builtin ? "builtin" : "command";
}

Status tools_list(const std::string& state, Output& out) {
  TAPER_TRY(const authority::Tools tools, broker::tools_list(state));
  out.set_document(broker::tools_json(tools));
  for (const auto& [name, tool] : tools) {
    std::string line = escape_text(name);
    line.append("  ").append(kind_word(tool.kind)).append("  ").append(word(tool.effect));
    line += "  {";
    for (const capsules::InputSpec& input : tool.inputs) {
      if (line.back() != '{') line += ", ";
      line += escape_text(input.name) + (input.optional ? "?" : "") + ": ";
      line += word(input.type);
    }
    out.line(line + "}");
  }
  return success();
}

std::string_view change_word(PinChange change) {
  switch (change) {
    case PinChange::same: return "same";
    case PinChange::fresh: return "new";
    case PinChange::changed: return "changed";
    case PinChange::gone: return "gone";
  }
  return "";
}

std::string pin_line(const ToolPin& pin) {
  std::string line = escape_text(pin.name);
  if (!pin.left_out.empty()) {
    line += "  left out";
  } else if (pin.change != PinChange::gone) {
    line.append("  ").append(word(pin.effect));
  }
  line.append("  ").append(change_word(pin.change));
  for (const std::string& member : pin.members)
    line += (member == pin.members.front() ? ": " : ", ") + escape_text(member);
  if (!pin.left_out.empty()) line += "  (" + escape_text(pin.left_out) + ")";
  return line;
}

capsules::Value pin_value(const ToolPin& pin) {
  capsules::Object value{{"name", text_value(pin.name)}, {"change", change_word(pin.change)}};
  if (pin.effect != capsules::Effect::unset) value.emplace_back("effect", word(pin.effect));
  capsules::Array members;
  for (const std::string& member : pin.members) members.push_back(text_value(member));
  if (!members.empty()) value.emplace_back("members", std::move(members));
  if (!pin.left_out.empty()) value.emplace_back("left_out", text_value(pin.left_out));
  return value;
}

void tell(const Pinning& pinning, Output& out) {
  out.line("server " + escape_text(pinning.server) + ", revision " + escape_text(pinning.version));
  capsules::Array tools;
  for (const ToolPin& pin : pinning.tools) {
    out.line(pin_line(pin));
    tools.push_back(pin_value(pin));
  }
  capsules::Array unknown;
  for (const std::string& name : pinning.unknown) {
    out.note("the file's [tools." + escape_text(name) + "] is of no tool that the server offers");
    unknown.push_back(text_value(name));
  }
  out.set("server", text_value(pinning.server));
  out.set("version", text_value(pinning.version));
  out.set("pins", text_value(pinning.path));
  out.set("differs", pinning.differs);
  out.set("tools", std::move(tools));
  out.set("unknown", std::move(unknown));
}

Status tools_pin(const Pin& options, Output& out) {
  for (const std::string& path : options.with)
    if (!capsules::is_plain_path(path))
      return usage_error("--with", "an absolute path without '.', '..' and a '/' at the end", path);
  TAPER_TRY(const Pinning pinning,
            broker::pin_tools({options.state, options.name, options.with,
                               options.check ? broker::PinMode::check : broker::PinMode::write}));
  tell(pinning, out);
  if (!options.check) {
    out.line("pinned in " + escape_text(pinning.path));
  } else if (pinning.differs) {
    return Error(Code::pins_differ, {.field = pinning.path, .expected = "", .got = "", .fix = ""});
  }
  return success();
}

}  // namespace

void add_tools_verbs(Command& command) {
  CLI::App* tools = command.group("tools", "The tools that this node has");
  auto state = std::make_shared<std::string>();
  CLI::App* list = command.verb(tools, "list",
                                "List builtins and the tools declared in tools.d; declaring a tool "
                                "grants nothing",
                                "taper tools list --state ./state --json > tools.json",
                                [&command, state] { return tools_list(*state, command.out); });
  list->add_option("--state", *state, "The node's state")->required();

  auto pin = std::make_shared<Pin>();
  CLI::App* make = command.verb(
      tools, "pin",
      "Ask an MCP server of tools.d for its tools and pin them; pinning grants nothing",
      "taper tools pin files --state ./state --with /srv/plant",
      [&command, pin] { return tools_pin(*pin, command.out); });
  make->add_option("NAME", pin->name, "The server: tools.d/NAME.toml")->required();
  make->add_option("--state", pin->state, "The node's state")->required();
  make->add_option("--with", pin->with, "A path that its cell sees besides, read-only");
  make->add_flag("--check", pin->check,
                 "Write nothing; fail where a definition differs from its pin");
}

}  // namespace taper::tools
