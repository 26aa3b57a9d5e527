#include "runtime/base/limits.h"
#include "runtime/broker/upstream_server.h"

namespace taper::broker {
namespace {

using capsules::Array;
using capsules::Object;
using capsules::Value;

constexpr std::int64_t kFormat = 1;

Error malformed(std::string_view field, std::string_view expected, std::string_view got = "") {
  return Error(Code::tool_file_malformed, {.field = std::string(field),
                                           .expected = std::string(expected),
                                           .got = std::string(got),
                                           .fix = "make it with 'taper tools pin'"});
}

Status check_member(const std::string& where, const std::string& name, const Value& value) {
  const bool text = name == "name" || name == "title" || name == "description";
  const bool object = name == "inputSchema" || name == "outputSchema" || name == "annotations";
  if (!text && !object) return malformed(where + "." + name, "no such member");
  if (text && value.text() == nullptr) return malformed(where + "." + name, "a text");
  if (object && value.object() == nullptr) return malformed(where + "." + name, "an object");
  return success();
}

Result<Definition> read_definition(const std::string& where, const Value& item) {
  if (item.object() == nullptr) return malformed(where, "an object");
  for (const auto& [name, value] : *item.object()) TAPER_CHECK(check_member(where, name, value));
  const Value* name = item.find("name");
  if (name == nullptr || name->text()->empty()) return malformed(where + ".name", "a name");
  if (item.find("inputSchema") == nullptr)
    return malformed(where + ".inputSchema", "an object", "nothing");
  return Definition{*name->text(), item};
}

Result<Definitions> read_list(const Value& list) {
  const Array* items = list.array();
  if (items == nullptr || items->size() > limits::kUpstreamToolsMax)
    return malformed("tools", "a list of at most " + std::to_string(limits::kUpstreamToolsMax));
  Definitions out;
  for (std::size_t i = 0; i < items->size(); ++i) {
    const std::string where = "tools[" + std::to_string(i) + "]";
    TAPER_TRY(Definition definition, read_definition(where, items->at(i)));
    const std::string name = definition.name;
    if (!out.emplace(name, std::move(definition)).second)
      return malformed(where + ".name", "each name once", name);
  }
  return out;
}

Result<Value> read_json(std::string_view json, std::size_t most) {
  Result<Value> value = capsules::parse_value(as_bytes(json), most);
  if (value.ok()) return value;
  const ErrorDetail& detail = value.error().detail();
  return malformed(detail.field, detail.expected, detail.got);
}

Result<Definitions> read_told(std::string_view json) {
  TAPER_TRY(const Value value, read_json(json, limits::kUpstreamListBytesMax));
  return read_list(value);
}

}  // namespace

Result<Definitions> read_definitions(std::string_view json) {
  Result<Definitions> read = read_told(json);
  if (read.ok()) return read;
  const ErrorDetail& detail = read.error().detail();
  return Error(Code::upstream_broken, {.field = "message",
                                       .expected = detail.field + ": " + detail.expected,
                                       .got = detail.got,
                                       .fix = ""});
}

std::map<std::string, std::string> read_left_out(std::string_view json) {
  std::map<std::string, std::string> out;
  const Result<Value> list = capsules::parse_value(as_bytes(json), limits::kUpstreamListBytesMax);
  const Array* items = list.ok() ? list->array() : nullptr;
  for (const Value& item : items == nullptr ? Array() : *items) {
    const Value* name = item.find("name");
    const Value* why = item.find("why");
    const bool fit = name != nullptr && why != nullptr && name->text() != nullptr &&
                     why->text() != nullptr && out.size() < limits::kUpstreamToolsMax;
    if (fit) out.emplace(*name->text(), *why->text());
  }
  return out;
}

Result<Pins> parse_pins(std::string_view json) {
  TAPER_TRY(const Value value, read_json(json, limits::kUpstreamPinsBytesMax));
  if (value.object() == nullptr) return malformed("", "an object");
  for (const auto& [name, member] : *value.object()) {
    if (name != "format" && name != "era" && name != "tools")
      return malformed(name, "no such member");
  }
  const Value* format = value.find("format");
  if (format == nullptr || !(*format == Value(kFormat)))
    return malformed("format", std::to_string(kFormat),
                     format == nullptr ? "nothing" : write_canonical(*format));
  const Value* era = value.find("era");
  if (era == nullptr || era->text() == nullptr) return malformed("era", "a revision of MCP");
  const Value* tools = value.find("tools");
  if (tools == nullptr) return malformed("tools", "a list", "nothing");
  Pins pins;
  pins.era = *era->text();
  TAPER_TRY(pins.tools, read_list(*tools));
  return pins;
}

std::string write_pins(const Pins& pins) {
  std::string out = R"({"format":1,"era":)" + write_canonical(Value(pins.era)) + R"(,"tools":[)";
  for (const auto& [name, definition] : pins.tools) {
    out += out.back() == '[' ? "\n" : ",\n";
    out += write_canonical(definition.value);
  }
  return out + "\n]}\n";
}

}  // namespace taper::broker
