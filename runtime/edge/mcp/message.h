// JSON-RPC 2.0 messages as MCP has them, read from one line, and the frames around what is sent.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/edge/mcp/json.h"

namespace taper::mcp {

// JSON-RPC's own error numbers, and MCP's.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;
inline constexpr int kMissingCapability = -32021;    // since 2026-07-28
inline constexpr int kUnsupportedVersion = -32022;   // since 2026-07-28
inline constexpr int kResourceNotFoundOld = -32002;  // before 2026-07-28

// A request's id or a progress token: a string or an integer, never null.
struct Id {
  std::string source;  // as it stood, for the echo
  std::string key;     // equal for equal ids, however they were spelled
};

// Up to limits::kMcpIdBytesMax of source; empty when it is anything else.
std::optional<Id> read_id(std::string_view value);

// `params` are views into the line. An absent `params` has no members.
struct Request {
  Id id;
  std::string method;
  Object params;
};
struct Notification {
  std::string method;
  Object params;
};
struct Response {};  // we ask nothing, so nothing is answered
// Cannot be served. `id` is empty when it could not be read, and is then left out of the answer.
struct Malformed {
  std::optional<Id> id;
  int code = kInvalidRequest;
  std::string_view text;
};
struct Batch {
  std::vector<std::string_view> elements;  // for read_element()
};
struct Nothing {};  // a blank line

using Message = std::variant<Nothing, Malformed, Request, Notification, Response, Batch>;

Message read_message(std::string_view line);
// A part of a batch: never itself a Batch.
Message read_element(std::string_view element);

// Lines to send, each with its line feed.
std::string result_line(const Id& id, const Json& result);
std::string error_line(const std::optional<Id>& id, std::int64_t code, std::string_view text,
                       const Json& data = {});
std::string notification_line(std::string_view method, const Json& params);

}  // namespace taper::mcp
