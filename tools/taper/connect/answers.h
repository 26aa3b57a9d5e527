// What a node answered, as the values of the codec. The bodies are JSON and came under the node's
// tag; they are read strictly all the same, and what is not as agreed is told as an error.
// docs/MCP.md, docs/formats/session.md
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "runtime/broker/session_messages.h"
#include "runtime/edge/mcp/backend.h"

namespace taper::tools {

// There will be no reply: the session ended, or could not be opened.
struct Unanswered {
  enum class When : std::uint8_t {
    unsent,     // nothing was asked
    in_flight,  // it was, and may have been done or not
    ended,      // nothing was asked: the task has ended
  };
  When when;
  Error why;
};
using Replied = std::variant<broker::SessionReply, Unanswered>;

// The body of a reply that is ok, or why there is none: a denial with the number and the fixed text
// of codes.def, an unknown task, an error of JSON-RPC.
using Answer = mcp::Outcome<mcp::Json>;
Answer read_reply(const Replied& replied);

// "the lease has ended; sign a new capsule": the table's words for `code`, nothing else.
std::string agent_text(Code code);
// "E504 argument_refused, decision 0123456789abcdef", for the holder's own eyes: of what was
// refused, and of a call that failed; else empty.
std::string trouble_line(const Replied& replied);

// A reply was ok and its body is not as agreed.
mcp::RpcError unreadable();

// The bodies: docs/formats/session.md. Empty when they are not as agreed.
std::optional<mcp::Listed<mcp::Tool>> read_tools(const mcp::Json& body);
std::optional<mcp::ToolResult> read_result(const mcp::Json& body);
std::optional<mcp::Progress> read_progress(const mcp::Json& body);
std::optional<mcp::TaskRecord> read_task(const mcp::Json& body);
// Where a plain call was answered with a handle because it waits.
std::optional<mcp::InputRequired> read_input_required(const mcp::Json& body);

// `read` over the body of an answer; whatever else the answer is stays as it is.
template <class T>
mcp::Outcome<T> read_as(const Answer& answer,
                        const std::function<std::optional<T>(const mcp::Json&)>& read) {
  if (const auto* denial = std::get_if<mcp::Denial>(&answer)) return *denial;
  if (const auto* refusal = std::get_if<mcp::Refusal>(&answer)) return *refusal;
  if (const auto* error = std::get_if<mcp::RpcError>(&answer)) return *error;
  std::optional<T> value = read(std::get<mcp::Json>(answer));
  if (!value) return unreadable();
  return mcp::Outcome<T>(std::in_place_type<T>, std::move(*value));
}

}  // namespace taper::tools
