#include "tools/taper/connect/answers.h"

#include <algorithm>
#include <array>

#include "runtime/base/limits.h"

namespace taper::tools {
namespace {

using mcp::Json;
using mcp::Object;

constexpr std::int64_t kInternalError = -32603;  // of JSON-RPC
constexpr std::int64_t kInvalidParams = -32602;

std::string numbered(Code code) {
  return "E" + std::to_string(describe(code).number) + ": " + describe(code).text;
}

mcp::RpcError lost(const Unanswered& unanswered) {
  const std::string why = numbered(unanswered.why.code());
  if (unanswered.when == Unanswered::When::ended) {
    return {kInternalError,
            "the task has ended (" + why +
                "); nothing was done. A new start of this server begins another task, where its "
                "capsule has an activation left",
            {}};
  }
  if (unanswered.when == Unanswered::When::unsent) {
    return {kInternalError, "the node cannot be asked now (" + why + "); nothing was done", {}};
  }
  return {kInternalError,
          "the session with the node ended before it answered (" + why +
              "); it may have been done or not, so look before asking again",
          {}};
}

// The value under `name`; absent when there is none, or one of another kind.
Json member(const Object& object, std::string_view name, mcp::Kind kind) {
  const auto value = object.find(name);
  if (!value || mcp::kind_of(*value) != kind) return {};
  return Json::parse(*value).value_or(Json());
}

Json object_in(const Object& object, std::string_view name) {
  return member(object, name, mcp::Kind::object);
}

// None, where there is no body or it is no object. Views into the body.
Object members_of(const std::optional<Json>& body) {
  if (!body) return {};
  return Object::read(body->text()).value_or(Object());
}

std::optional<std::int64_t> integer_in(const Object& object, std::string_view name) {
  const auto value = object.find(name);
  return value ? mcp::read_integer(*value) : std::nullopt;
}

bool flag_in(const Object& object, std::string_view name) {
  return mcp::read_bool(object.find(name).value_or("false")).value_or(false);
}

// Empty where no number is told, or the one of success.
std::optional<Code> code_in(const Object& object) {
  const std::int64_t number = integer_in(object, "code").value_or(0);
  if (number <= 0 || number > UINT16_MAX) return std::nullopt;
  const CodeInfo& info = describe_number(static_cast<std::uint16_t>(number));
  const Code code = static_cast<Code>(info.number);
  if (code == Code::unset || code == Code::ok) return std::nullopt;
  return code;
}

// In the client's own words: it names the field.
mcp::RpcError wrong_input(const Object& body) {
  return {kInvalidParams,
          body.string("field").value_or("") + " must be " + body.string("expected").value_or(""),
          {}};
}

std::optional<mcp::TaskStatus> status_in(const Object& object) {
  static constexpr std::array<std::string_view, 5> kWords = {"working", "input_required",
                                                             "completed", "failed", "cancelled"};
  const auto* const found =
      std::find(kWords.begin(), kWords.end(), object.string("status").value_or(""));
  if (found == kWords.end()) return std::nullopt;
  return static_cast<mcp::TaskStatus>(found - kWords.begin());
}

std::optional<mcp::Tool> read_tool(std::string_view source) {
  const std::optional<Object> object = Object::read(source);
  if (!object) return std::nullopt;
  mcp::Tool tool;
  tool.name = object->string("name").value_or("");
  tool.title = object->string("title").value_or("");
  tool.description = object->string("description").value_or("");
  tool.input_schema = object_in(*object, "input_schema");
  tool.output_schema = object_in(*object, "output_schema");
  tool.annotations = object_in(*object, "annotations");
  if (object->string("task") == "may") tool.task_support = mcp::TaskSupport::optional;
  if (tool.name.empty() || tool.input_schema.absent()) return std::nullopt;
  return tool;
}

// Whether what ended badly was refused, rather than gone wrong in the tool.
bool is_denial(Code code) {
  const Kind kind = describe(code).kind;
  return kind == Kind::deny || kind == Kind::stale || kind == Kind::exhausted;
}

void read_payload(const Object& object, mcp::TaskRecord& task) {
  if (task.status == mcp::TaskStatus::input_required) {
    Json requests = object_in(object, "requests");
    if (!requests.absent()) task.payload = std::move(requests);
  }
  const Json body = object_in(object, "result");
  std::optional<mcp::ToolResult> result = body.absent() ? std::nullopt : read_result(body);
  if (task.status == mcp::TaskStatus::completed && result) task.payload = std::move(*result);
  if (task.status != mcp::TaskStatus::failed) return;
  const Code code = code_in(object).value_or(Code::tool_failed);
  task.payload = mcp::RpcError{describe(code).number, numbered(code), {}};
}

}  // namespace

std::string agent_text(Code code) {
  const CodeInfo& info = describe(code);
  const std::string_view fix = info.fix;
  return std::string(info.text) + (fix.empty() ? "" : "; ") + std::string(fix);
}

std::string trouble_line(const Replied& replied) {
  const auto* reply = std::get_if<broker::SessionReply>(&replied);
  if (reply == nullptr) return "";
  // Most bodies need not be read for that.
  const bool refused = reply->code != Code::ok;
  if (!refused && reply->body.find("\"is_error\":true") == std::string::npos) return "";
  const std::optional<Json> body = Json::parse(reply->body);
  const Object members = members_of(body);
  const std::optional<Code> code = refused ? reply->code : code_in(members);
  if (!code) return "";
  const CodeInfo& info = describe(*code);
  std::string line = "E" + std::to_string(info.number) + " " + info.name;
  const std::optional<DecisionId> decision =
      DecisionId::from_hex(members.string("decision").value_or(""));
  if (decision) line += ", decision " + decision->hex();
  return line;
}

mcp::RpcError unreadable() {
  return {
      kInternalError, "the node's answer cannot be read: " + numbered(Code::message_malformed), {}};
}

Answer read_reply(const Replied& replied) {
  if (const auto* unanswered = std::get_if<Unanswered>(&replied)) return lost(*unanswered);
  const auto& reply = std::get<broker::SessionReply>(replied);
  std::optional<Json> body = Json::parse(reply.body);
  if (reply.code == Code::ok) {
    if (!body || !body->is_object()) return unreadable();
    return std::move(*body);
  }
  if (reply.code == Code::handle_unknown) return mcp::Refusal::unknown_task;
  if (reply.code == Code::input_malformed) return wrong_input(members_of(body));
  const CodeInfo& info = describe(reply.code);
  if (info.kind == Kind::bug) return mcp::Refusal::internal;
  return mcp::Denial{info.number, agent_text(reply.code), object_in(members_of(body), "remaining")};
}

std::optional<mcp::Listed<mcp::Tool>> read_tools(const Json& body) {
  const std::optional<Object> object = Object::read(body.text());
  const auto tools = object ? object->find("tools") : std::nullopt;
  if (!tools || mcp::kind_of(*tools) != mcp::Kind::array) return std::nullopt;
  mcp::Listed<mcp::Tool> listed;
  for (const std::string_view source : mcp::read_array(*tools)) {
    std::optional<mcp::Tool> tool = read_tool(source);
    if (!tool) return std::nullopt;
    // No client could name it: the codec takes no longer name.
    if (tool->name.size() <= limits::kMcpNameBytesMax) listed.items.push_back(std::move(*tool));
  }
  listed.fresh_ms = std::max<std::int64_t>(0, integer_in(*object, "fresh_ms").value_or(0));
  return listed;
}

std::optional<mcp::ToolResult> read_result(const Json& body) {
  const std::optional<Object> object = Object::read(body.text());
  if (!object) return std::nullopt;
  mcp::ToolResult result;
  result.content = member(*object, "content", mcp::Kind::array);
  if (const auto structured = object->find("structured"))
    result.structured = Json::parse(*structured).value_or(Json());
  result.is_error = flag_in(*object, "is_error");
  result.meta = object_in(*object, "meta");
  result.remaining = object_in(*object, "remaining");
  const std::optional<Code> code = code_in(*object);
  if (code && is_denial(*code)) result.denial = describe(*code).number;
  if (!result.content.absent()) return result;
  if (code) {
    result.content = mcp::text_content(numbered(*code));
  } else if (!result.structured.absent()) {
    result.content = mcp::text_content(result.structured.text());
  }
  return result;
}

std::optional<mcp::Progress> read_progress(const Json& body) {
  const std::optional<Object> object = Object::read(body.text());
  if (!object) return std::nullopt;
  const auto done = mcp::read_number(object->find("progress").value_or("null"));
  if (!done) return std::nullopt;
  return mcp::Progress{*done, mcp::read_number(object->find("total").value_or("null")),
                       object->string("message").value_or("")};
}

std::optional<mcp::InputRequired> read_input_required(const Json& body) {
  // A result, which may be long, begins with its content.
  if (!body.text().starts_with(R"({"call":)")) return std::nullopt;
  const std::optional<mcp::TaskRecord> task = read_task(body);
  if (!task || task->status != mcp::TaskStatus::input_required) return std::nullopt;
  const auto* requests = std::get_if<Json>(&task->payload);
  return mcp::InputRequired{requests != nullptr ? *requests : Json(), task->id, task->remaining};
}

std::optional<mcp::TaskRecord> read_task(const Json& body) {
  const std::optional<Object> object = Object::read(body.text());
  if (!object) return std::nullopt;
  const std::optional<CallId> call = CallId::from_hex(object->string("call").value_or(""));
  const std::optional<mcp::TaskStatus> status = status_in(*object);
  const std::optional<std::int64_t> created_s = integer_in(*object, "created_s");
  if (!call || !status || !created_s) return std::nullopt;
  mcp::TaskRecord task;
  task.id = call->hex();
  task.status = *status;
  task.is_error = flag_in(*object, "is_error");
  task.message = object->string("message").value_or("");
  task.created_s = *created_s;
  task.updated_s = integer_in(*object, "updated_s").value_or(*created_s);
  task.ttl_ms = integer_in(*object, "ttl_ms");
  task.poll_ms = integer_in(*object, "poll_ms");
  task.remaining = object_in(*object, "remaining");
  read_payload(*object, task);
  return task;
}

}  // namespace taper::tools
