#include "runtime/broker/session_bodies.h"

#include <array>
#include <charconv>

#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

using authority::CallState;

// Objects are put together as text, so that a result of a megabyte is not taken apart for it.
class Writer {
 public:
  void raw(std::string_view name, std::string_view json) {
    text_ += text_.size() > 1 ? "," : "";
    capsules::append_json_string(text_, name);
    text_.append(":").append(json);
  }
  void text(std::string_view name, std::string_view value) {
    std::string quoted;
    capsules::append_json_string(quoted, value);
    raw(name, quoted);
  }
  void number(std::string_view name, std::int64_t value) { raw(name, std::to_string(value)); }
  void real(std::string_view name, double value) {  // finite
    std::array<char, 32> digits{};
    const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    raw(name, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
  }
  void optional(std::string_view name, std::string_view json) {
    if (!json.empty()) raw(name, json);
  }
  std::string take() { return std::move(text_) + "}"; }

 private:
  std::string text_ = "{";
};

// What a model reads: a file's or a command's own text where there is one, else the whole JSON.
std::string readable(std::string_view json) {
  const auto value = capsules::parse_value(as_bytes(json), limits::kResultBytesMax);
  const capsules::Value* text = value.ok() ? value->find("text") : nullptr;
  return text != nullptr && text->text() != nullptr ? *text->text() : std::string(json);
}

std::string_view status_of(const authority::CallView& call) {
  if (call.runs) return "working";
  if (call.state == CallState::waiting) return "input_required";
  if (call.state == CallState::killed && call.code == Code::call_cancelled) return "cancelled";
  return call.state == CallState::interrupted ? "failed" : "completed";
}

enum class Told : std::uint8_t { whole, text };

std::string text_block(std::string_view text) {
  Writer block;
  block.text("type", "text");
  block.text("text", text);
  return "[" + block.take() + "]";
}

// A server's result is what it gave itself, whose blocks are not told twice.
void put_server_result(Writer& body, const capsules::Value& given) {
  const capsules::Value* content = given.find("content");
  body.raw("content", content == nullptr ? "[]" : write_canonical(*content));
  if (const capsules::Value* structured = given.find("structuredContent"))
    body.raw("structured", write_canonical(*structured));
  if (const capsules::Value* meta = given.find("_meta")) body.raw("meta", write_canonical(*meta));
}

// No command and no builtin gives such an object.
std::optional<capsules::Value> server_result(std::string_view json) {
  if (!json.starts_with(R"({"mcp":)")) return std::nullopt;
  const auto value = capsules::parse_value(as_bytes(json), limits::kResultBytesMax);
  if (!value.ok() || value->object()->size() != 1) return std::nullopt;
  return value->object()->front().second;
}

std::string written(const CallResult& result, Told told, std::string_view remaining) {
  const bool done = result.code == Code::ok;
  const auto given = done ? server_result(result.json) : std::nullopt;
  Writer body;
  if (given) {
    put_server_result(body, *given);
  } else {
    std::string shown = done ? readable(result.json)
                             : "E" + std::to_string(describe(result.code).number) + ": " +
                                   std::string(describe(result.code).text);
    if (!done && !result.err.empty()) shown.append("\n").append(result.err);
    body.raw("content", text_block(shown));
    if (done && told == Told::whole && result.json.starts_with('{'))
      body.raw("structured", result.json);
  }
  body.raw("is_error", done ? "false" : "true");
  body.number("code", describe(result.code).number);
  if (!result.decision.is_zero()) body.text("decision", result.decision.hex());
  body.optional("remaining", remaining);
  return body.take();
}

}  // namespace

// A message has an end, and the text stands in it twice: what does not fit is left out, and said.
std::string result_body(const CallResult& result, std::string_view remaining) {
  constexpr std::size_t kAround = std::size_t{16} * 1024;  // the handle's own members
  constexpr std::size_t kMost = limits::kSessionBodyBytesMax - kAround;
  for (const Told told : {Told::whole, Told::text}) {
    std::string body = written(result, told, remaining);
    if (body.size() <= kMost) return body;
  }
  CallResult none = result;
  none.code = Code::output_cap;
  none.json = none.err = {};
  return written(none, Told::text, remaining);
}

std::string handle_body(const authority::CallView& call, const std::optional<std::string>& result,
                        std::string_view remaining, std::string_view requests) {
  const std::string_view status = status_of(call);
  Writer body;
  body.text("call", call.call.hex());
  body.text("status", status);
  body.raw("is_error", status == "completed" && call.state != CallState::done ? "true" : "false");
  body.number("code", describe(call.code).number);
  if (call.code != Code::ok) body.text("message", describe(call.code).text);
  body.number("created_s", call.created.wall_s);
  body.number("updated_s", call.updated.wall_s);
  body.number("ttl_ms", call.ttl_ms);
  body.number("poll_ms", limits::kHandlePollMs);
  if (call.state == CallState::waiting) body.text("message", "the tool asks for input");
  if (result) body.raw("result", *result);
  body.optional("requests", requests);
  body.optional("remaining", remaining);
  return body.take();
}

std::string progress_body(const sandbox::ToolProgress& progress) {
  Writer body;
  body.real("progress", progress.done);
  if (progress.total) body.real("total", *progress.total);
  if (!progress.message.empty()) body.text("message", progress.message);
  return body.take();
}

std::string malformed_body(const Error& error) {
  Writer body;
  body.text("field", error.detail().field);
  body.text("expected", error.detail().expected);
  return body.take();
}

std::string denial_body(const DecisionId& decision, std::string_view remaining) {
  Writer body;
  if (!decision.is_zero()) body.text("decision", decision.hex());
  body.optional("remaining", remaining);
  return body.take();
}

}  // namespace taper::broker
