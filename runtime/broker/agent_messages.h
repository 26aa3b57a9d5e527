// The messages of agent.sock, in the order in which a session opens. agent.fbs is their form; on
// the wire each stands behind its length (u32, little-endian). Decoding is strict, as of
// messages.h: what is not byte for byte what this version writes for its content is refused.
#pragma once

#include <string>
#include <variant>

#include "runtime/authority/handshake.h"
#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::broker {

// Holder to node: I would like to open a session, of this version of the messages (1).
struct Hello {};

using authority::Challenge;
using authority::Open;
using authority::Opened;

// Node to holder, in place of any of the others: the session is over. Nothing shows who wrote it.
struct Refused {
  Code code = Code::unset;
  std::string detail;  // at most limits::kControlDetailBytesMax; longer ones are cut
};

// Either way.
struct Tagged {
  crypto::Tag tag;
  Bytes body;  // a session message, at most limits::kSessionBodyBytesMax
};

using AgentMessage = std::variant<Hello, Challenge, Open, Opened, Refused, Tagged>;

Bytes encode(const AgentMessage& message);
// Error: message_malformed, with the rule that was broken.
Result<AgentMessage> decode_agent_message(ByteSpan message);

}  // namespace taper::broker
