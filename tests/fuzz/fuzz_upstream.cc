// links: taper_upstream
// Bytes of an upstream MCP server, in every era. Whatever comes in, what goes to the broker is
// strict JSON with the members that it knows, and only for the tool that was pinned.
#include <algorithm>
#include <array>
#include <string>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/edge/mcp/json.h"
#include "runtime/edge/mcp/version.h"
#include "runtime/upstream/client.h"
#include "runtime/upstream/errors.h"
#include "runtime/upstream/value.h"
#include "tests/fuzz/planted.h"

namespace {

using namespace taper;
using namespace taper::upstream;

constexpr std::array<const char*, 6> kEras = {"auto",       "2026-07-28", "2025-11-25",
                                              "2025-06-18", "2025-03-26", "2024-11-05"};
constexpr const char* kPinned = R"({"name":"t","inputSchema":{"type":"object"}})";

// A server that has written everything before it is asked, and keeps it when it is started again.
class Written : public Link {
 public:
  explicit Written(std::string_view bytes) { lines_.feed(bytes); }
  std::int64_t now_ms() const override { return 0; }
  Status start() override { return success(); }
  Status send(std::string_view line, std::int64_t /*until_ms*/) override {
    TAPER_ASSERT(is_strict_json(line) && line.find('\n') == line.npos);
    return success();
  }
  Result<Line> receive(std::int64_t /*until_ms*/) override {
    std::optional<Line> line = lines_.next();
    if (!line) return broken("ended", "");
    return std::move(*line);
  }

 private:
  LineBuffer lines_;
};

const std::string& text_of(const sandbox::BuiltinResult& result, std::size_t field) {
  return std::get<std::string>(result.fields.at(field).value);
}

void check_error(const Error& error) {
  const Code code = error.code();
  TAPER_ASSERT(code == Code::tool_failed || code == Code::tool_input || code == Code::too_large ||
               code == Code::upstream_drift || code == Code::upstream_broken);
  for (const std::string& text : {error.detail().expected, error.detail().got}) {
    TAPER_ASSERT(text.size() <= limits::kUpstreamTextShownBytes && text.find('\n') == text.npos);
  }
}

void check_definitions(const Result<sandbox::BuiltinResult>& told) {
  if (!told.ok()) return check_error(told.error());
  TAPER_ASSERT(is_strict_json(text_of(*told, 0)));
  for (const std::string_view item : mcp::read_array(text_of(*told, 0))) {
    const std::optional<std::string> name = mcp::Object::read(item)->string("name");
    TAPER_ASSERT(name && !name->empty());
    TAPER_ASSERT(depth_of(item) <= limits::kJsonDepthMax - 2 && canonical(item));
    // Every tool of the corpus is called t or u.
    fuzz::planted_bug(*name != "t" && *name != "u");
  }
}

// Only of what was offered, and no more than goes to the broker at once.
void check_question(const sandbox::BuiltinResult& told) {
  const std::string& asked = text_of(told, 0);
  TAPER_ASSERT(told.fields.size() == 1 && asked.size() <= 3 * limits::kInputBytesMax);
  TAPER_ASSERT(is_strict_json(asked) && asked.find('\r') == asked.npos);
  const auto object = mcp::Object::read(asked);
  for (const mcp::Member& member : object->members())
    TAPER_ASSERT(member.name == "inputRequests" || member.name == "requestState");
  const auto requests = mcp::Object::read(object->find("inputRequests").value_or("{}"));
  for (const mcp::Member& member : requests->members())
    TAPER_ASSERT(mcp::Object::read(member.value)->string("method") == "elicitation/create");
}

void check_call(const Result<sandbox::BuiltinResult>& told) {
  if (!told.ok()) return check_error(told.error());
  if (told->fields.front().name == "asked") return check_question(*told);
  const std::string& result = text_of(*told, 0);
  TAPER_ASSERT(is_strict_json(result) && result.find('\n') == result.npos &&
               result.find('\r') == result.npos);
  const std::optional<mcp::Object> object = mcp::Object::read(result);
  TAPER_ASSERT(object && mcp::kind_of(object->find("content").value_or("")) == mcp::Kind::array);
  for (const mcp::Member& member : object->members()) {
    TAPER_ASSERT(member.name == "content" || member.name == "structuredContent" ||
                 member.name == "_meta");
  }
  if (const auto meta = object->find("_meta")) {
    TAPER_ASSERT(meta->size() <= limits::kUpstreamMetaBytesMax);
    const auto kept = mcp::Object::read(*meta);
    for (const mcp::Member& member : kept->members())
      TAPER_ASSERT(!mcp::is_reserved_key(member.name));
  }
  const bool is_error = std::get<bool>(told->fields.at(1).value);
  TAPER_ASSERT(told->fields.size() == (is_error ? 3 : 2));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // The first byte says in which era, whether a call comes first, and whether it can be asked.
  const std::string_view era = kEras.at(data[0] % kEras.size());
  Written link(input.substr(1));
  std::optional<double> done;
  Client client(link, era, [&done](const sandbox::ToolProgress& told) {
    TAPER_ASSERT(!done || told.done > *done);
    done = told.done;
    TAPER_ASSERT(sandbox::decode_progress(sandbox::encode_progress(told)).has_value());
  });
  ToolCall call{"t", *mcp::Json::parse("{}"), kPinned};
  call.progress = (data[0] & 0x80U) != 0;
  if ((data[0] & 0x20U) != 0) call.input = authority::Input::urls;
  const bool call_first = (data[0] & 0x40U) != 0;
  if (!call_first) check_definitions(client.definitions(1));
  for (int i = 0; i < 2; ++i) {
    done.reset();
    check_call(client.call(call, 1));
  }
  (void)client.take_unasked({"", false}, 1).ok();
  if (call_first) check_definitions(client.definitions(1));

  const std::optional<std::string> once =
      is_strict_json(input.substr(1)) ? canonical(input.substr(1)) : std::nullopt;
  if (once) TAPER_ASSERT(is_strict_json(*once) && canonical(*once) == once);
  return 0;
}
