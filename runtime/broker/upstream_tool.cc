#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/broker/tool_keys.h"

namespace taper::broker {
namespace {

using authority::Tool;
using capsules::InputSpec;
using capsules::InputType;
using capsules::Value;

InputType type_of_property(const Value& schema) {
  const Value* type = schema.find("type");
  const std::string* word = type == nullptr ? nullptr : type->text();
  if (word == nullptr) return InputType::json;
  if (*word == "string") return InputType::string;
  if (*word == "integer") return InputType::integer;
  return *word == "boolean" ? InputType::boolean : InputType::json;
}

Status add_input(Tool& tool, const std::string& name, InputType type) {
  if (!is_input_name(name))
    return wrong_key("inputSchema.properties",
                     "names that are not empty, not too long and do not begin with '$'", name);
  tool.inputs.push_back({name, type, true});
  return success();
}

// What is required without being described may be anything.
Status add_required(Tool& tool, const Value& required) {
  if (required.array() == nullptr) return wrong_key("inputSchema.required", "a list of names");
  for (const Value& item : *required.array()) {
    if (item.text() == nullptr) return wrong_key("inputSchema.required", "a list of names");
    auto input = std::ranges::find(tool.inputs, *item.text(), &InputSpec::name);
    if (input == tool.inputs.end()) {
      TAPER_CHECK(add_input(tool, *item.text(), InputType::json));
      input = std::prev(tool.inputs.end());
    }
    input->optional = false;
  }
  return success();
}

Status add_inputs(Tool& tool, const Value& schema) {
  const Value* type = schema.find("type");
  if (type != nullptr && (type->text() == nullptr || *type->text() != "object"))
    return wrong_key("inputSchema.type", "object", write_canonical(*type));
  if (const Value* properties = schema.find("properties")) {
    if (properties->object() == nullptr) return wrong_key("inputSchema.properties", "an object");
    for (const auto& [name, property] : *properties->object())
      TAPER_CHECK(add_input(tool, name, type_of_property(property)));
  }
  if (const Value* required = schema.find("required")) TAPER_CHECK(add_required(tool, *required));
  if (tool.inputs.size() > limits::kToolInputsMax)
    return wrong_key("inputSchema.properties", "at most " + std::to_string(limits::kToolInputsMax),
                     std::to_string(tool.inputs.size()));
  // The order of properties means nothing, so it makes no other tool.
  std::ranges::sort(tool.inputs, {}, &InputSpec::name);
  return success();
}

Status add_paths(Tool& tool, const UpstreamWords& words) {
  for (const std::string& path : words.paths) {
    const auto input = std::ranges::find(tool.inputs, path, &InputSpec::name);
    if (input == tool.inputs.end() || input->type != InputType::string)
      return wrong_key("tools." + tool.remote + ".paths",
                       "properties of the tool whose type is string", path);
    input->type = InputType::path;
  }
  return success();
}

std::string text_of(const Value* parent, std::string_view name) {
  const Value* member = parent == nullptr ? nullptr : parent->find(name);
  const std::string* text = member == nullptr ? nullptr : member->text();
  return text == nullptr ? "" : *text;
}

}  // namespace

Result<Tool> upstream_tool(const UpstreamServer& server, const Definition& definition) {
  Tool tool;
  tool.kind = authority::ToolKind::upstream;
  tool.name = server.name + "." + definition.name;
  tool.remote = definition.name;
  if (!is_tool_name(tool.name))
    return wrong_key("name",
                     "letters, digits, '.', '_' and '-', at most " +
                         std::to_string(limits::kNameBytesMax) + " bytes with the server's",
                     tool.name);
  if (capsules::find_builtin(tool.name) != nullptr)
    return wrong_key("name", "a name that is not a builtin's", tool.name);
  tool.pinned = write_canonical(definition.value);
  if (tool.pinned.size() > limits::kUpstreamDefinitionBytesMax)
    return wrong_key("definition",
                     "at most " + std::to_string(limits::kUpstreamDefinitionBytesMax) + " bytes",
                     std::to_string(tool.pinned.size()));
  tool.era = server.era;
  tool.env = server.env;
  tool.secrets = server.secrets;
  tool.effect = server.effect;
  for (const std::string& word : server.argv) {
    tool.argv.emplace_back();
    tool.argv.back().literal = word;
  }
  tool.title = text_of(&definition.value, "title");
  if (tool.title.empty()) tool.title = text_of(definition.value.find("annotations"), "title");
  tool.description = text_of(&definition.value, "description");
  TAPER_CHECK(add_inputs(tool, *definition.value.find("inputSchema")));
  const auto words = server.tools.find(definition.name);
  if (words == server.tools.end()) return tool;
  if (words->second.effect != capsules::Effect::unset) tool.effect = words->second.effect;
  TAPER_CHECK(add_paths(tool, words->second));
  return tool;
}

}  // namespace taper::broker
