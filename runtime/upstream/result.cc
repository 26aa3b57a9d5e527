#include "runtime/upstream/result.h"

#include <algorithm>
#include <optional>
#include <string>

#include "runtime/base/limits.h"
#include "runtime/edge/mcp/json.h"
#include "runtime/edge/mcp/version.h"
#include "runtime/upstream/errors.h"

namespace taper::upstream {
namespace {

using mcp::Kind;
using mcp::Object;

Error unfit(std::string_view what) { return broken("message", "result: " + std::string(what)); }

bool is_block(std::string_view value) {
  const std::optional<Object> block = Object::read(value);
  return block && block->string("type");
}

// The text blocks, one a line.
std::string text_of(std::string_view content) {
  std::string out;
  for (const std::string_view item : mcp::read_array(content)) {
    const std::optional<Object> block = Object::read(item);
    if (!block || block->string("type") != "text") continue;
    if (!out.empty()) out += '\n';
    out += block->string("text").value_or("");
    if (out.size() > limits::kUpstreamTextShownBytes) break;
  }
  return cut_text(out, limits::kUpstreamTextShownBytes);
}

void keep_meta(mcp::ObjectWriter& out, std::string_view value) {
  if (value.size() > limits::kUpstreamMetaBytesMax) return;
  const std::optional<Object> meta = Object::read(value);
  if (!meta) return;
  mcp::ObjectWriter kept;
  for (const mcp::Member& member : meta->members()) {
    if (!mcp::is_reserved_key(member.name)) kept.member(member);
  }
  if (!kept.empty()) out.json("_meta", std::move(kept).end());
}

// The bytes as they are, where no line break stands between tokens.
std::string on_one_line(std::string_view value) {
  std::string out(value);
  std::ranges::replace(out, '\r', ' ');
  return out;
}

}  // namespace

Status check_complete(std::string_view result) {
  const std::optional<Object> object = Object::read(result);
  if (!object) return unfit("not an object");
  const std::optional<std::string_view> type = object->find("resultType");
  if (type && mcp::read_string(*type) != "complete") {
    return unfit("resultType " + std::string(*type));
  }
  return success();
}

Result<sandbox::BuiltinResult> read_call_result(std::string_view result) {
  TAPER_CHECK(check_complete(result));
  const std::optional<Object> object = Object::read(result);
  // A task is given to those alone who said that they take one; nobody here did.
  if (object->find("task") && !object->find("content")) return unfit("a task");
  const std::string_view content = object->find("content").value_or("[]");
  if (mcp::kind_of(content) != Kind::array) return unfit("content is no list");
  if (!std::ranges::all_of(mcp::read_array(content), is_block)) {
    return unfit("a block of content without a type");
  }
  const std::string_view flag = object->find("isError").value_or("false");
  const std::optional<bool> is_error = mcp::read_bool(flag);
  if (!is_error) return unfit("isError is no boolean");
  mcp::ObjectWriter out;
  out.raw("content", content);
  const std::optional<std::string_view> structured = object->find("structuredContent");
  if (structured && mcp::kind_of(*structured) != Kind::null) {
    out.raw("structuredContent", *structured);
  }
  keep_meta(out, object->find("_meta").value_or("null"));
  sandbox::BuiltinResult told;
  told.fields.push_back({"result", on_one_line(std::move(out).end().text())});
  told.fields.push_back({"is_error", *is_error});
  if (*is_error) told.fields.push_back({"text", text_of(content)});
  return told;
}

}  // namespace taper::upstream
