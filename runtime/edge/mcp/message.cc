#include "runtime/edge/mcp/message.h"

#include <algorithm>

#include "runtime/base/limits.h"

namespace taper::mcp {
namespace {

bool is_integer(std::string_view number) {
  if (number.starts_with('-')) number.remove_prefix(1);
  return !number.empty() &&
         std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Malformed malformed(std::string_view text, std::optional<Id> id = std::nullopt,
                    int code = kInvalidRequest) {
  return {std::move(id), code, text};
}

}  // namespace

std::optional<Id> read_id(std::string_view value) {
  if (value.size() > limits::kMcpIdBytesMax) return std::nullopt;
  if (std::optional<std::string> text = read_string(value)) {
    return Id{std::string(value), "s" + *text};
  }
  if (kind_of(value) != Kind::number || !is_integer(value)) return std::nullopt;
  return Id{std::string(value), value == "-0" ? "i0" : "i" + std::string(value)};
}

Message read_element(std::string_view element) {
  if (kind_of(element) != Kind::object) return malformed("a message is an object");
  const std::optional<Object> object = Object::read(element);
  if (!object) return malformed("a name stands twice, or there are too many");
  const std::optional<std::string_view> id_value = object->find("id");
  const std::optional<Id> id = id_value ? read_id(*id_value) : std::nullopt;
  if (object->string("jsonrpc") != "2.0") return malformed("jsonrpc must be \"2.0\"", id);
  const bool answers = object->find("result") || object->find("error");
  const std::optional<std::string_view> method_value = object->find("method");
  if (!method_value) {
    return answers ? Message(Response{}) : Message(malformed("there is no method", id));
  }
  std::optional<std::string> method = read_string(*method_value);
  if (!method || answers) return malformed("method must be a string, without a result", id);
  if (id_value && !id) return malformed("id must be a string or an integer, and short");
  Object params;
  if (const std::optional<std::string_view> value = object->find("params")) {
    std::optional<Object> read = Object::read(*value);
    if (!read) {
      // What nobody may answer is dropped.
      if (!id) return Nothing{};
      return malformed("params must be an object without a name twice", id, kInvalidParams);
    }
    params = std::move(*read);
  }
  if (!id) return Notification{std::move(*method), std::move(params)};
  return Request{*id, std::move(*method), std::move(params)};
}

Message read_message(std::string_view line) {
  line = trim(line);
  if (line.empty()) return Nothing{};
  if (!is_valid_json(line))
    return malformed("not JSON in UTF-8, or nested too deeply", std::nullopt, kParseError);
  if (kind_of(line) != Kind::array) return read_element(line);
  Batch batch{read_array(line)};
  if (batch.elements.empty() || batch.elements.size() > limits::kMcpBatchMax) {
    return malformed("a batch is empty or too long");
  }
  return batch;
}

std::string result_line(const Id& id, const Json& result) {
  ObjectWriter line;
  line.text("jsonrpc", "2.0").raw("id", id.source).json("result", result);
  return std::move(line).end().text() + "\n";
}

std::string error_line(const std::optional<Id>& id, std::int64_t code, std::string_view text,
                       const Json& data) {
  ObjectWriter error;
  error.number("code", code).text("message", text).json("data", data);
  ObjectWriter line;
  line.text("jsonrpc", "2.0");
  if (id) line.raw("id", id->source);
  line.json("error", std::move(error).end());
  return std::move(line).end().text() + "\n";
}

std::string notification_line(std::string_view method, const Json& params) {
  ObjectWriter line;
  line.text("jsonrpc", "2.0").text("method", method);
  if (params.text() != "{}") line.json("params", params);
  return std::move(line).end().text() + "\n";
}

}  // namespace taper::mcp
