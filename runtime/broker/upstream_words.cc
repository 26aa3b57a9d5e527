#include "runtime/broker/upstream_words.h"

#include <algorithm>
#include <array>

#include "runtime/base/limits.h"
#include "runtime/broker/schema_shape.h"

namespace taper::broker {
namespace {

using capsules::Array;
using capsules::Object;
using capsules::Value;

constexpr std::array<std::string_view, 2> kDefinitions = {"$defs", "definitions"};

Value definition_of(const authority::Tool& tool) {
  if (tool.kind != authority::ToolKind::upstream) return {};
  Result<Value> parsed =
      capsules::parse_value(as_bytes(tool.pinned), limits::kUpstreamDefinitionBytesMax);
  return parsed.ok() ? std::move(parsed).value() : Value();
}

const Value* object_in(const Value* parent, std::string_view name) {
  const Value* member = parent == nullptr ? nullptr : parent->find(name);
  return member == nullptr || member->object() == nullptr ? nullptr : member;
}

std::optional<Value> told_object(const authority::Tool& tool, std::string_view name,
                                 std::size_t most) {
  const Value definition = definition_of(tool);
  const Value* found = object_in(&definition, name);
  if (found == nullptr || write_canonical(*found).size() > most ||
      depth_of(*found) > limits::kToolSchemaDepthMax)
    return std::nullopt;
  return *found;
}

std::string text_in(const Value* parent, std::string_view name, std::size_t most) {
  const Value* member = parent == nullptr ? nullptr : parent->find(name);
  const std::string* text = member == nullptr ? nullptr : member->text();
  return text == nullptr ? "" : cut_text(*text, most);
}

// MCP has five hints, one of them a title.
constexpr std::size_t kHintsBytesMax = 4 * limits::kToolDescriptionBytesMax;

enum class Refers : std::uint8_t { nowhere, to_definitions, elsewhere };

Refers refers_by(std::string_view keyword, const Value& value) {
  constexpr std::array<std::string_view, 6> kElsewhere = {
      "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"};
  if (std::ranges::find(kElsewhere, keyword) != kElsewhere.end()) return Refers::elsewhere;
  if (keyword != "$ref") return Refers::nowhere;
  const std::string* target = value.text();
  const bool local = target != nullptr && std::ranges::any_of(kDefinitions, [&](auto name) {
                       return target->starts_with("#/" + std::string(name) + "/");
                     });
  return local ? Refers::to_definitions : Refers::elsewhere;
}

// Parsing bounds the recursion.
// NOLINTNEXTLINE(misc-no-recursion)
Refers refers(const Value& schema) {
  Refers found = Refers::nowhere;
  for (const Value& item : schema.array() == nullptr ? Array() : *schema.array())
    found = std::max(found, refers(item));
  if (schema.object() == nullptr) return found;
  for (const auto& [name, member] : *schema.object())
    found = std::max({found, refers_by(name, member), refers(member)});
  return found;
}

}  // namespace

std::string cut_text(std::string_view text, std::size_t most) {
  constexpr std::string_view kMark = "…";
  const auto size = [](std::string_view part) {
    std::string quoted;
    capsules::append_json_string(quoted, part);
    return quoted.size();
  };
  if (size(text) <= most) return std::string(text);
  std::size_t length = std::min(text.size(), most);
  do {
    length -= std::min(length, std::max<std::size_t>(length / 8, kMark.size() + 2));
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) --length;
  } while (length > 0 && size(text.substr(0, length)) + kMark.size() > most);
  return std::string(text.substr(0, length)) + std::string(kMark);
}

std::optional<Value> pinned_annotations(const authority::Tool& tool) {
  return told_object(tool, "annotations", kHintsBytesMax);
}

std::optional<Value> pinned_output_schema(const authority::Tool& tool) {
  return told_object(tool, "outputSchema", limits::kToolSchemaBytesMax);
}

PinnedInputs::PinnedInputs(const authority::Tool& tool) {
  const Value definition = definition_of(tool);
  if (const Value* schema = object_in(&definition, "inputSchema")) schema_ = *schema;
  for (const std::string_view name : kDefinitions) {
    const Value* definitions = schema_.find(name);
    if (definitions != nullptr && refers(*definitions) == Refers::elsewhere) closed_ = false;
  }
}

const Value* PinnedInputs::find(const std::string& input) const {
  return object_in(object_in(&schema_, "properties"), input);
}

std::optional<Value> PinnedInputs::property(const capsules::InputSpec& input) const {
  const Value* found = find(input.name);
  if (found == nullptr || input.type == capsules::InputType::path) return std::nullopt;
  const Refers to = refers(*found);
  if (to == Refers::elsewhere || (to == Refers::to_definitions && !closed_)) return std::nullopt;
  Value out = *found;
  std::erase_if(*out.object(), [](const auto& member) { return member.first == "description"; });
  return out;
}

std::string PinnedInputs::description(const std::string& input) const {
  return text_in(find(input), "description", limits::kToolDescriptionBytesMax);
}

void PinnedInputs::add_definitions(Object& schema, const Value& properties) const {
  if (refers(properties) != Refers::to_definitions) return;
  for (const std::string_view name : kDefinitions) {
    if (const Value* definitions = object_in(&schema_, name))
      schema.emplace_back(name, *definitions);
  }
}

}  // namespace taper::broker
