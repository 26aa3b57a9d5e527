#include "runtime/upstream/question.h"

#include <algorithm>
#include <optional>
#include <string>

#include "runtime/base/limits.h"
#include "runtime/edge/mcp/json.h"
#include "runtime/upstream/errors.h"

namespace taper::upstream {
namespace {

using authority::Input;
using mcp::Kind;
using mcp::Object;

Error unfit(std::string_view what) { return broken("message", "result: " + std::string(what)); }

Error too_long(std::string_view part) {
  return Error(Code::too_large,
               {.field = std::string(part),
                .expected = "at most " + std::to_string(limits::kInputBytesMax) + " bytes",
                .got = "more",
                .fix = "have the server ask for less"});
}

// The member, where it is there and not null.
std::optional<std::string_view> find_part(const Object& object, std::string_view name) {
  const std::optional<std::string_view> value = object.find(name);
  return value && mcp::kind_of(*value) != Kind::null ? value : std::nullopt;
}

Status check_request(std::string_view value, Input offered) {
  const std::optional<Object> request = Object::read(value);
  const std::string method = request ? request->string("method").value_or("") : "";
  const auto params =
      request ? Object::read(request->find("params").value_or("null")) : std::nullopt;
  if (method.empty()) return unfit("a request without a method");
  const std::string mode = params ? params->string("mode").value_or("form") : "";
  const bool form = method == "elicitation/create" && mode == "form" && offered >= Input::forms;
  const bool url = method == "elicitation/create" && mode == "url" && offered >= Input::urls;
  if (form || url) return success();
  return unfit("it asks for " + method + " " + mode + ", which nobody offered");
}

Status check_requests(std::string_view value, Input offered) {
  const std::optional<Object> requests = Object::read(value);
  if (!requests) return unfit("inputRequests is no object");
  if (requests->members().size() > limits::kInputRequestsMax)
    return unfit("too many inputRequests");
  for (const mcp::Member& member : requests->members()) {
    if (member.name.empty() || member.name.size() > limits::kMcpNameBytesMax)
      return unfit("a key of inputRequests that is empty or too long");
    TAPER_CHECK(check_request(member.value, offered));
  }
  return success();
}

}  // namespace

std::string_view capabilities_for(Input input) {
  if (input == Input::urls) return R"({"elicitation":{"form":{},"url":{}}})";
  return input == Input::forms ? R"({"elicitation":{"form":{}}})" : "{}";
}

bool is_question(std::string_view result) {
  const std::optional<Object> object = Object::read(result);
  return object && object->string("resultType") == "input_required";
}

Result<sandbox::BuiltinResult> read_question(std::string_view result, Input offered) {
  const std::optional<Object> object = Object::read(result);
  const auto requests = object ? find_part(*object, "inputRequests") : std::nullopt;
  const auto state = object ? find_part(*object, "requestState") : std::nullopt;
  if (!requests && !state) return unfit("input_required with nothing that it requires");
  mcp::ObjectWriter asked;
  if (requests) {
    TAPER_CHECK(check_requests(*requests, offered));
    if (requests->size() > limits::kInputBytesMax) return too_long("inputRequests");
    asked.raw("inputRequests", *requests);
  }
  if (state) {
    if (mcp::kind_of(*state) != Kind::string) return unfit("requestState is no text");
    if (state->size() > limits::kInputBytesMax) return too_long("requestState");
    asked.raw("requestState", *state);
  }
  std::string text = std::move(asked).end().text();
  std::ranges::replace(text, '\r', ' ');
  sandbox::BuiltinResult told;
  told.fields.push_back({"asked", std::move(text)});
  return told;
}

}  // namespace taper::upstream
