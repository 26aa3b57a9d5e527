// The messages of control.sock, one packet each. messages.fbs is their form. Decoding is strict: a
// message that is not byte for byte what this version writes for its content is refused, so nothing
// unknown, repeated, out of place or trailing gets through.
// docs/formats/control.md
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "runtime/authority/authority.h"
#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/broker/step_report.h"

namespace taper::broker {

enum class ControlVerb : std::uint8_t {
  unset,
  show,            // is the task here, and does it live? code ok: yes
  cancel,          // end it; the reply comes when its ending is durable
  challenge,       // what a proof of possession is made for; another request follows
  import_root,     // take in a trust root; the reply comes when it is durable
  result,          // read a kept result as one of its readers
  run,             // activate a plan's capsule and run it
  time_challenge,  // make a challenge for signed time; the answer is a part
  import_time,     // take in a signed time; the reply comes when it is durable
  kill,            // as cancel; the task ends as revoked, by its operator
  import_order,    // obey a signed order; the reply comes when that is durable
  import_release,  // take in a release of the log; the reply comes when it is durable
  policy,  // the node's own policy that is in force: its text, where there is one, is a part
};

// Of the other fields those that the verb's line in messages.fbs names; all else stays as it is
// here.
struct ControlRequest {
  ControlVerb verb = ControlVerb::unset;
  TaskId task = {};
  Bytes file = {};
  std::optional<Hash> fleet = {};
  Nonce challenge = {};
  crypto::Signature proof = {};
  PublicKey reader = {};
  std::string step = {};
  std::uint64_t room = 0;
  std::map<std::string, std::string> inputs = {};
  std::vector<std::string> keys = {};  // absolute paths
};

struct ControlReply {
  Code code = Code::unset;
  ErrorDetail detail = {};  // each text at most limits::kControlDetailBytesMax
};
ControlReply reply_of(const Error& error);

struct ControlChallenge {
  Hash fleet;  // all zero: no trust root yet
  Nonce challenge;
};

struct Imported {
  std::uint64_t version = 0;
  Hash fleet;
  bool first = false;
};

// The task of an order acts no more.
struct Ordered {
  TaskId task;
  bool over = false;  // it had ended, or was ending, before: nothing was changed
};

// A read that was counted; its bytes follow in parts.
struct ControlReadable {
  CallId call;
  std::string step;
  std::uint32_t reads_left = 0;
  std::uint64_t bytes = 0;
};
struct ControlPart {
  Bytes bytes;  // at most limits::kControlPartBytes, at least one
};

// A run: its steps follow, and its end, or a ControlReply where this owner cannot go on with it.
struct RunBegun {
  TaskId task;
  bool resumed = false;
  bool joined = false;
};
struct RunEnded {
  authority::TaskState state = authority::TaskState::unset;
  authority::EndReason reason = authority::EndReason::none;
  Code code = Code::ok;
};

using ControlAnswer = std::variant<ControlReply, ControlChallenge, Imported, ControlReadable,
                                   ControlPart, RunBegun, StepReport, RunEnded, Ordered>;

Bytes encode(const ControlRequest& request);
Bytes encode(const ControlAnswer& answer);  // longer texts are cut

// Error of both: message_malformed, with the rule that was broken.
Result<ControlRequest> decode_request(ByteSpan message);
Result<ControlAnswer> decode_answer(ByteSpan message);

}  // namespace taper::broker
