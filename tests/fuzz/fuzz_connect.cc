// links: taper_tools
// What `taper connect` reads: a node's answers, and clients' configurations that it changes. An
// answer becomes values that the codec takes; of a configuration nothing changes but the entry.
#include <algorithm>
#include <cmath>

#include "runtime/base/assert.h"
#include "runtime/edge/mcp/json.h"
#include "tests/fuzz/planted.h"
#include "tools/taper/connect/answers.h"
#include "tools/taper/connect/clients.h"
#include "tools/taper/connect/describe.h"

namespace {

using namespace taper;
using namespace taper::tools;

bool is_fit(const mcp::Json& json) { return json.absent() || mcp::is_valid_json(json.text()); }

void check_result(const mcp::ToolResult& result) {
  TAPER_ASSERT(result.content.absent() || result.content.is_array());
  TAPER_ASSERT(is_fit(result.content) && is_fit(result.structured));
  TAPER_ASSERT(result.meta.absent() || result.meta.is_object());
}

void read_answer(std::string_view text) {
  broker::SessionReply reply;
  reply.body = text;
  reply.code = Code::argument_refused;
  static_cast<void>(trouble_line(reply));
  static_cast<void>(read_reply(reply));
  reply.code = Code::ok;
  const Answer answer = read_reply(reply);
  const auto* body = std::get_if<mcp::Json>(&answer);
  if (body == nullptr) return;
  if (const auto result = read_result(*body)) check_result(*result);
  if (const auto progress = read_progress(*body)) TAPER_ASSERT(std::isfinite(progress->done));
  if (const auto task = read_task(*body)) {
    TAPER_ASSERT(CallId::from_hex(task->id));
    if (const auto* result = std::get_if<mcp::ToolResult>(&task->payload)) check_result(*result);
    fuzz::planted_bug(task->poll_ms && *task->poll_ms != 500);
  }
  if (const auto tools = read_tools(*body)) {
    for (const mcp::Tool& tool : tools->items) TAPER_ASSERT(tool.input_schema.is_object());
  }
  if (const auto read = read_description(*body)) TAPER_ASSERT(read->contents.size() == 2);
  static_cast<void>(instructions(*body));
}

// Every member of the outermost object but the one with the entries stands as it did.
void check_rest(std::string_view before, std::string_view after, std::string_view servers) {
  const auto old_members = mcp::Object::read(mcp::trim(before));
  const auto new_members = mcp::Object::read(mcp::trim(after));
  TAPER_ASSERT(new_members);
  if (!old_members) return;
  for (const mcp::Member& member : old_members->members()) {
    if (member.name == servers) continue;
    const auto value = new_members->find(member.name);
    TAPER_ASSERT(value && *value == member.value);
  }
}

void merge(const Client& client, std::string_view text) {
  const Entry entry{"taper", "/t", {"connect", "a b"}};
  const Result<std::optional<std::string>> made = merged(client, entry, text);
  if (!made.ok() || !*made) return;
  const std::string& after = **made;
  const Result<std::optional<std::string>> again = merged(client, entry, after);
  TAPER_ASSERT(!again.ok() || !*again);  // not ok: one member more than can be read
  if (client.format == Client::Format::toml) {
    TAPER_ASSERT(after.starts_with(text));
  } else if (!mcp::trim(text).empty()) {
    check_rest(text, after, client.servers);
  }
}

}  // namespace

// The first byte says what the rest is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t kind = static_cast<std::size_t>(data[0] - 'a');
  if (kind < clients().size()) {
    merge(clients()[kind], text);
  } else {
    read_answer(text);
  }
  return 0;
}
