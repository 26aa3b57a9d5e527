#include "runtime/upstream/message.h"

#include <utility>

#include "runtime/base/limits.h"
#include "runtime/edge/mcp/json.h"

namespace taper::upstream {
namespace {

using mcp::Kind;
using mcp::Object;

bool read_error(std::string_view value, Message& message) {
  const std::optional<Object> error = Object::read(value);
  if (!error) return false;
  const std::optional<std::string_view> code = error->find("code");
  const std::optional<std::int64_t> number = code ? mcp::read_integer(*code) : std::nullopt;
  message.kind = Message::Kind::error;
  message.code = number.value_or(0);
  message.text = error->string("message").value_or("");
  return number.has_value();
}

bool is_id(std::string_view value) {
  const Kind kind = mcp::kind_of(value);
  return (kind == Kind::string || kind == Kind::number) && value.size() <= limits::kMcpIdBytesMax;
}

bool read_call(const Object& object, std::string_view method, Message& message) {
  if (object.find("result") || object.find("error")) return false;
  const std::optional<std::string> name = mcp::read_string(method);
  if (!name) return false;
  message.method = *name;
  message.body = object.find("params").value_or("");
  const std::optional<std::string_view> id = object.find("id");
  message.kind = id ? Message::Kind::request : Message::Kind::notification;
  message.id = id.value_or("");
  return !id || is_id(*id);
}

std::optional<Message> read_message(std::string_view value) {
  const std::optional<Object> object = Object::read(value);
  if (!object || object->string("jsonrpc") != "2.0") return std::nullopt;
  Message message;
  if (const auto method = object->find("method")) {
    if (!read_call(*object, *method, message)) return std::nullopt;
    return message;
  }
  const std::optional<std::string_view> result = object->find("result");
  const std::optional<std::string_view> error = object->find("error");
  if (result.has_value() == error.has_value()) return std::nullopt;
  message.kind = Message::Kind::result;
  message.body = result.value_or("");
  if (error && !read_error(*error, message)) return std::nullopt;
  message.id = object->find("id").value_or("null");
  const bool named = is_id(message.id) || (error && message.id == "null");
  return named ? std::optional(std::move(message)) : std::nullopt;
}

}  // namespace

std::optional<std::vector<Message>> read_messages(std::string_view line, Batches batches) {
  const std::string_view value = mcp::trim(line);
  std::vector<std::string_view> parts = {value};
  if (batches == Batches::taken && mcp::kind_of(value) == Kind::array) {
    parts = mcp::read_array(value);
    if (parts.empty() || parts.size() > limits::kMcpBatchMax) return std::nullopt;
  }
  std::vector<Message> messages;
  for (const std::string_view part : parts) {
    std::optional<Message> message = read_message(part);
    if (!message) return std::nullopt;
    messages.push_back(std::move(*message));
  }
  return messages;
}

}  // namespace taper::upstream
