// What the two sides of a session tell each other inside tagged messages; session.fbs is the form.
// Read only after the tag was right. Strict, as of messages.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "runtime/authority/permit.h"
#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::broker {

enum class Ask : std::uint8_t {
  unset,
  describe,  // the task: purpose, grants, what is left
  discover,  // the tools that may be seen
  call,      // run a tool and answer with its result
  create,    // start a call and answer with its handle
  poll,      // how such a call stands
  result,    // what it gave
  update,    // answer what it asks for
  cancel,    // end it
  abandon,   // the answer to a request in flight is not wanted any more
  close,     // the holder has finished: the task is complete
};

// Where a call stands in a trace of its caller's, as W3C Trace Context and Baggage write it. None
// of it is a credential, and no decision looks at it.
struct TraceContext {
  std::string parent;   // version 00 or another of its form: 55 bytes; empty: none
  std::string state;    // empty where there is no parent
  std::string baggage;  // empty: none
  bool operator==(const TraceContext&) const = default;
};
// `given` without the parts that are not of the form, or longer than limits.h lets them be.
TraceContext fit(TraceContext given);
// Its trace, 32 hex digits; empty: none. `context` is fit.
std::string trace_id(const TraceContext& context);

// What an `ask` does not use is empty.
struct SessionRequest {
  Ask ask = Ask::unset;
  std::string tool;  // call, create
  Bytes arguments;   // call, create, update: as they came
  // poll, result, update, cancel: a handle, never zero. call: one that waits and goes on, or zero.
  CallId call;
  std::uint64_t request = 0;             // abandon
  std::optional<std::int64_t> ttl_ms{};  // create: how long its result is wanted
  bool progress = false;                 // call, create: its holder wants to be told of it
  TraceContext trace = {};               // call, create: fit
  // call, create, update: what can be answered, should the tool ask.
  authority::Input input = authority::Input::none;
  Bytes responses{};  // call, one that goes on: what is answered
};

struct SessionReply {
  std::uint64_t answers = 0;  // the number of the request
  Code code = Code::unset;
  std::string body;  // JSON; for the agent, so nothing of a denial's detail
};

// Something happened that nobody asked for just now.
struct SessionEvent {
  CallId call;
  std::string body;  // JSON
  // Progress of a plain call: the number of its request, which is in flight.
  std::optional<std::uint64_t> request = {};
};

using SessionMessage = std::variant<SessionRequest, SessionReply, SessionEvent>;

Bytes encode(const SessionMessage& message);
// Error: message_malformed, with the rule that was broken.
Result<SessionMessage> decode_session_message(ByteSpan message);

}  // namespace taper::broker
