// The messages of control.sock: one request, one reply, one packet each. messages.fbs is their
// form. Decoding is strict: a message that is not byte for byte what this version writes for its
// content is refused, so nothing unknown, repeated or trailing gets through.
#pragma once

#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::broker {

enum class ControlVerb : std::uint8_t {
  unset,
  show,    // is the task here, and does it live? code ok: yes
  cancel,  // end it; the reply comes when its ending is durable
};

struct ControlRequest {
  ControlVerb verb = ControlVerb::unset;
  TaskId task;
};

struct ControlReply {
  Code code = Code::unset;
  std::string detail;  // for the operator, at most limits::kControlDetailBytesMax
};

Bytes encode(const ControlRequest& request);
Bytes encode(const ControlReply& reply);  // longer details are cut

// Error of both: message_malformed, with the rule that was broken.
Result<ControlRequest> decode_request(ByteSpan message);
Result<ControlReply> decode_reply(ByteSpan message);

}  // namespace taper::broker
