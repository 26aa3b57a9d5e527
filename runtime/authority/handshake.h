// How a session opens: the node's challenge, the holder's offer, the node's answer; from there on
// every message bears a tag. Each half is told what came and gives what goes; neither waits.
// docs/formats/session.md
#pragma once

#include <functional>
#include <optional>

#include "crypto/channel.h"
#include "runtime/authority/session_statement.h"

namespace taper::authority {

// Node to holder: who the node is, and what to sign.
struct Challenge {
  Hash fleet;
  PublicKey node;
  Incarnation incarnation;
  Nonce challenge;
};

// Holder to node. The signature is by the capsule's last holder over session_statement().
struct Open {
  Bytes capsule;  // the file, at most limits::kCapsuleBytesMax
  SealKey exchange;
  crypto::Signature signature{};
};

// Node to holder. The signature is by the node over answer_statement().
struct Opened {
  SessionAnswer answer;
  crypto::Signature signature{};
};

// What the holder offered, as both see it.
SessionOffer offer_of(const Challenge& challenge, const Open& open);

// The holder's half, used for one session.
class HolderHandshake {
 public:
  // Signs with the holder's key (statement::kSession).
  using Prove = std::function<crypto::Signature(ByteSpan statement)>;
  // Where the capsule may be spent, as it says itself: no other node is answered.
  struct Audience {
    Hash fleet;
    PublicKey node;
    Incarnation incarnation;
  };
  HolderHandshake(Bytes capsule, const Audience& audience, Prove prove);

  // Once. Error: audience_other, when another node asks.
  Result<Open> open(const Challenge& challenge);
  // After `open`. Error: signature_wrong, when the answer is not that node's.
  Result<crypto::Channel> conclude(const Opened& opened) const;

 private:
  Bytes capsule_;
  Audience audience_;
  Prove prove_;
  crypto::ExchangeKey exchange_ = crypto::ExchangeKey::generate();
  std::optional<SessionOffer> offer_;
  crypto::Signature signature_{};
};

// The node's answer, after the holder's proof was taken.
struct NodeAnswer {
  Opened opened;
  crypto::Channel channel;
};
// Error: signature_wrong for an exchange key of small order.
Result<NodeAnswer> answer_open(const Challenge& challenge, const Open& open, const TaskId& task,
                               bool resumed, const crypto::SigningKey& node);

}  // namespace taper::authority
