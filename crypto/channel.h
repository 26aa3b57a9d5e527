// A session's two tag keys: made by an exchange that both sides signed, one for each direction.
// A tag shows who wrote a message, for whom, and as which of its direction; nothing is hidden.
#pragma once

#include <cstdint>

#include "crypto/secret.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::crypto {

using Tag = Id<struct TagTag, 32>;  // keyed BLAKE2b-256

enum class Side : std::uint8_t { holder, node };

// One side's half of an X25519 exchange (RFC 7748), used for one session.
class ExchangeKey {
 public:
  static ExchangeKey generate();
  const SealKey& public_key() const { return public_key_; }
  // Error: signature_wrong for a point of small order, with which everybody shares a secret.
  Result<Secret> shared_with(const SealKey& other) const;

 private:
  explicit ExchangeKey(Secret secret);
  SealKey public_key_;
  Secret secret_;
};

// Each direction's messages are numbered from 0 and rise by exactly one: a message that is lost,
// repeated, reordered, changed, or of another session or direction, does not fit.
class Channel {
 public:
  // `transcript` is the hash of everything that both sides said and signed before.
  Channel(Side ours, const Secret& shared, const Hash& transcript);

  // The tag of our next message; each call takes a number.
  Tag seal(ByteSpan body);
  std::uint64_t sealed() const { return sent_; }  // how many; the last has the number before
  // Error: signature_wrong; then nothing more is accepted, the session is over.
  Status open(ByteSpan body, const Tag& tag);
  std::uint64_t opened() const { return received_; }

 private:
  Secret send_, receive_;
  std::uint64_t sent_ = 0, received_ = 0;
  bool broken_ = false;
};

}  // namespace taper::crypto
