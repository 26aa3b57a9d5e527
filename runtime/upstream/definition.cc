#include "runtime/upstream/definition.h"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/base/limits.h"
#include "runtime/edge/mcp/json.h"
#include "runtime/upstream/errors.h"
#include "runtime/upstream/value.h"

namespace taper::upstream {
namespace {

using mcp::Kind;
using mcp::Object;

struct Part {
  const char* name;
  Kind kind;
  bool required;
};
constexpr std::array<Part, 6> kParts = {{{"name", Kind::string, true},
                                         {"title", Kind::string, false},
                                         {"description", Kind::string, false},
                                         {"inputSchema", Kind::object, true},
                                         {"outputSchema", Kind::object, false},
                                         {"annotations", Kind::object, false}}};

// The member, where it is there and not null.
std::optional<std::string_view> find_part(const Object& tool, const Part& part) {
  const std::optional<std::string_view> value = tool.find(part.name);
  return value && mcp::kind_of(*value) != Kind::null ? value : std::nullopt;
}

Error unfit(const std::string& tool, const char* part) {
  return broken("message", "tools/list: tool " + tool + ": " + part);
}

std::string canonical_or_empty(const std::optional<std::string_view>& value) {
  return value ? canonical(*value).value_or(std::string(*value)) : "";
}

// A pin holds the definition within an object and a list, and is compared number by number.
std::string why_unfit(const Object& definition, std::string_view text) {
  constexpr std::size_t kDepthMax = limits::kJsonDepthMax - 2;
  if (depth_of(text) > kDepthMax) return "nested more than " + std::to_string(kDepthMax) + " deep";
  for (const mcp::Member& member : definition.members()) {
    if (!canonical(member.value)) return member.name + " has a number beyond what can be compared";
  }
  return "";
}

// For people: texts as they are, all else as JSON.
std::string shown(const std::optional<std::string_view>& value) {
  if (!value) return "none";
  return mcp::read_string(*value).value_or(std::string(*value));
}

}  // namespace

Result<Definition> read_definition(std::string_view value) {
  const std::optional<Object> tool = Object::read(value);
  if (!tool) return broken("message", "tools/list: a tool that is no object");
  Definition definition;
  definition.name = tool->string("name").value_or("");
  if (definition.name.empty()) return broken("message", "tools/list: a tool without a name");
  mcp::ObjectWriter text;
  for (const Part& part : kParts) {
    const std::optional<std::string_view> found = find_part(*tool, part);
    if (!found && part.required) return unfit(definition.name, part.name);
    if (!found) continue;
    if (mcp::kind_of(*found) != part.kind) return unfit(definition.name, part.name);
    text.raw(part.name, *found);
  }
  definition.text = std::move(text).end().text();
  definition.unfit = why_unfit(Object::read(definition.text).value_or(Object()), definition.text);
  return definition;
}

Status read_page(std::string_view result, std::vector<Definition>& tools, std::string* next) {
  const std::optional<Object> page = Object::read(result);
  const std::optional<std::string_view> list = page ? page->find("tools") : std::nullopt;
  if (!list || mcp::kind_of(*list) != Kind::array) {
    return broken("message", "tools/list: no list of tools");
  }
  for (const std::string_view item : mcp::read_array(*list)) {
    TAPER_TRY(Definition tool, read_definition(item));
    if (std::ranges::find(tools, tool.name, &Definition::name) != tools.end()) {
      return broken("message", "tools/list: tool " + tool.name + " stands twice");
    }
    if (tools.size() == limits::kUpstreamToolsMax) {
      return broken("message", "more than " + std::to_string(limits::kUpstreamToolsMax) + " tools");
    }
    tools.push_back(std::move(tool));
  }
  next->clear();
  const std::optional<std::string_view> cursor = page->find("nextCursor");
  if (!cursor || mcp::kind_of(*cursor) == Kind::null) return success();
  if (mcp::kind_of(*cursor) != Kind::string || cursor->size() > limits::kMcpCursorBytesMax) {
    return broken("message", "tools/list: nextCursor");
  }
  *next = *cursor;
  return success();
}

Status same_definition(const Definition& offered, std::string_view pinned) {
  const std::optional<Object> now = Object::read(offered.text);
  const std::optional<Object> then =
      is_strict_json(pinned) ? Object::read(mcp::trim(pinned)) : std::nullopt;
  if (!now || !then) {
    return Error(Code::tool_input, {.field = "pinned", .expected = "", .got = "", .fix = ""});
  }
  for (const Part& part : kParts) {
    const std::optional<std::string_view> before = find_part(*then, part);
    const std::optional<std::string_view> after = find_part(*now, part);
    if (canonical_or_empty(before) == canonical_or_empty(after)) continue;
    return drifted(part.name, shown(before), shown(after));
  }
  return success();
}

}  // namespace taper::upstream
