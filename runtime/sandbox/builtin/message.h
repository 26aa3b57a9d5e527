// What the broker and a resident cell say to each other, one request and one reply in turn, over an
// AF_UNIX stream. On the wire each message is a frame: u32 LE length, then that many bytes. The
// functions here make and read the bytes inside the frame.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/authority/permit.h"
#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/sandbox/spawner.h"

namespace taper::sandbox {

// Stands where whoever answers left out a part of a text: of what stands beside it, nobody who
// looks for a secret may think that it is whole.
inline constexpr std::string_view kCutMark = "…";

struct BuiltinRequest {
  std::string tool;
  bool writes = false;  // the permit allows writing
  std::vector<authority::InputValue> inputs;
};

struct BuiltinReply {
  Error error{Code::ok};  // ok: `result` holds; else `result` is empty
  BuiltinResult result;
  std::uint64_t cpu_ms = 0;  // that the request took, rounded up
};

// At most limits::kBuiltinRequestBytesMax for every permit whose arguments kept their own cap.
Bytes encode_request(const authority::PermitFacts& facts);
// Error: message_malformed.
Result<BuiltinRequest> decode_request(ByteSpan bytes);

// A reply that would be longer than limits::kBuiltinReplyBytesMax becomes the error too_large.
Bytes encode_reply(const BuiltinReply& reply);
// Takes the bytes for a hostile cell's: every count and size is capped, only the codes that such a
// cell can answer with (ok, tool_failed, tool_input, too_large; an upstream's upstream_drift and
// upstream_broken too) are believed. Error: message_malformed.
Result<BuiltinReply> decode_reply(ByteSpan bytes,
                                  authority::ToolKind kind = authority::ToolKind::builtin);

// What a server tells of the call under way, before the reply: a message of its own.
Bytes encode_progress(const ToolProgress& progress);
bool is_progress(ByteSpan bytes);
// As of a reply, nothing is believed. Empty: not what the function above makes.
std::optional<ToolProgress> decode_progress(ByteSpan bytes);

// The bytes with their length before them, as they go over the stream.
Bytes frame(ByteSpan message);

// The next request's frame, for whoever answers and does nothing else meanwhile. `end`: the stream
// ended before it; `too_long`: above limits::kBuiltinRequestBytesMax.
struct ReadFrame {
  enum class Got : std::uint8_t { whole, end, broken, too_long };
  Got got = Got::broken;
  Bytes bytes = {};
};
ReadFrame read_request(int socket);

}  // namespace taper::sandbox
