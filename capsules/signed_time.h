// Time brought by hand: a node's challenge, and what a time key of the trust root says about the
// time, as an answer to one or to nobody. docs/formats/time.md
#pragma once

#include <optional>

#include "capsules/trust_root.h"

namespace taper::capsules {

// Signed by nobody: it asks, and its answer counts only where its nonce was made.
struct TimeChallenge {
  PublicKey node;
  Incarnation incarnation;
  BootId boot;
  Nonce nonce;
};
Bytes encode_time_challenge(const TimeChallenge& challenge);
// Errors: too_large, envelope_malformed, field_invalid (a part is all zero).
Result<TimeChallenge> decode_time_challenge(ByteSpan file);

// "When this was signed, the time was within `radius_s` of `midpoint_s` (since 1970)."
struct SignedTime {
  std::int64_t midpoint_s = 0, radius_s = 0;
  std::optional<TimeChallenge> answers;  // none: a lower bound, for everybody
  KeyId signer;                          // set by open_time
};
// The payload to sign under statement::kTime, and the file. Error: field_invalid.
Result<Bytes> encode_time(const SignedTime& time);
Bytes frame_time(ByteSpan payload, const RootSignature& signature);
// Whether it begins as a challenge or a signed time does.
bool is_signed_time(ByteSpan file);
// One signature, by a time key of `root`. Says nothing of when or where it counts. Errors:
// too_large, envelope_malformed, time_signer, signature_wrong, payload_malformed, field_invalid.
Result<SignedTime> open_time(ByteSpan file, const TrustRoot& root);

}  // namespace taper::capsules
