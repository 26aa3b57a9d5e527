#include "capsules/author/author.h"
#include "capsules/secret.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

Error malformed(std::string field, std::string expected, const Value* got) {
  return Error(Code::tool_file_malformed, {std::move(field), std::move(expected),
                                           got == nullptr ? "nothing" : write_canonical(*got),
                                           "make it on the node with 'taper tools list --json'"});
}

Result<std::string> text_of(const Value& item, std::string_view key) {
  const Value* value = item.find(key);
  const std::string* text = value == nullptr ? nullptr : value->text();
  if (text == nullptr || text->empty() || text->size() > limits::kNameBytesMax) {
    return malformed(std::string(key), "a short text", value);
  }
  return *text;
}

Result<InputType> input_type(const Value& item) {
  TAPER_TRY(const std::string name, text_of(item, "type"));
  const InputType type = input_type_of(name);
  if (type != InputType::unset) return type;
  return malformed("type", "string, path, integer, boolean or json", item.find("type"));
}

Result<Effect> tool_effect(const Value& item) {
  TAPER_TRY(const std::string name, text_of(item, "effect"));
  const Effect effect = effect_of(name);
  if (effect != Effect::unset) return effect;
  return malformed("effect", "read, write or irreversible", item.find("effect"));
}

Result<std::vector<InputSpec>> inputs_of(const Value& item) {
  const Value* list = item.find("inputs");
  const Array* array = list == nullptr ? nullptr : list->array();
  if (array == nullptr || array->size() > limits::kArgsPerGrantMax) {
    return malformed("inputs", "a list of inputs", list);
  }
  std::vector<InputSpec> out;
  for (const Value& input : *array) {
    InputSpec spec;
    TAPER_TRY(spec.name, text_of(input, "name"));
    TAPER_TRY(spec.type, input_type(input));
    const Value* optional = input.find("optional");
    if (optional != nullptr && optional->boolean() == nullptr) {
      return malformed("optional", "true or false", optional);
    }
    spec.optional = optional != nullptr && *optional->boolean();
    out.push_back(std::move(spec));
  }
  return out;
}

Result<std::vector<std::string>> secrets_of(const Value& item) {
  std::vector<std::string> out;
  const Value* list = item.find("secrets");
  if (list == nullptr) return out;
  const Array* array = list->array();
  if (array == nullptr || array->size() > limits::kSecretsMax)
    return malformed("secrets", "a list of names", list);
  for (const Value& name : *array) {
    if (name.text() == nullptr || !is_secret_name(*name.text()))
      return malformed("secrets", "names of secrets", &name);
    out.push_back(*name.text());
  }
  return out;
}

Result<KnownTool> read_known_tool(const Value& item) {
  KnownTool tool;
  TAPER_TRY(tool.name, text_of(item, "name"));
  TAPER_TRY(const std::string kind, text_of(item, "kind"));
  tool.builtin = kind == "builtin";
  tool.agent = kind == "agent";
  TAPER_TRY(tool.effect, tool_effect(item));
  TAPER_TRY(tool.inputs, inputs_of(item));
  TAPER_TRY(tool.secrets, secrets_of(item));
  const Value* digest = item.find("digest");
  if (digest != nullptr && !digest->is_null()) {
    if (digest->text() != nullptr) tool.digest = Hash::from_hex(*digest->text());
    if (!tool.digest) return malformed("digest", "64 hex digits or null", digest);
  }
  return tool;
}

}  // namespace

KnownTools builtin_known_tools() {
  KnownTools out;
  for (const BuiltinSpec& spec : builtins()) {
    const std::string name(spec.name);
    out.emplace(name, KnownTool{name, true, spec.effect, std::nullopt, spec.inputs});
  }
  return out;
}

Status add_known_tools(KnownTools& tools, std::string_view json) {
  const Result<Value> parsed = parse_value(as_bytes(json), limits::kToolListBytesMax);
  if (!parsed) {
    const ErrorDetail& detail = parsed.error().detail();
    return Error(Code::tool_file_malformed, {detail.field, detail.expected, detail.got,
                                             "make it on the node with 'taper tools list --json'"});
  }
  const Value* list = parsed->find("tools");
  const Array* array = list == nullptr ? nullptr : list->array();
  if (array == nullptr || array->size() > limits::kToolsMax) {
    return malformed("tools", "a list of tools", list);
  }
  KnownTools added;
  for (const Value& item : *array) {
    TAPER_TRY(KnownTool tool, read_known_tool(item));
    const bool ours = find_builtin(tool.name) != nullptr;
    if (ours != tool.builtin) {
      return malformed(tool.name, "a builtin of this version, or a tool with another name",
                       nullptr);
    }
    if (ours) continue;  // this version's own table says more
    const std::string name = tool.name;
    if (!added.emplace(name, std::move(tool)).second) {
      return malformed(name, "each tool once", nullptr);
    }
  }
  for (auto& [name, tool] : added) tools.insert_or_assign(name, std::move(tool));
  return success();
}

}  // namespace taper::capsules
