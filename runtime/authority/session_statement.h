// What the two sides sign when a session opens. The holder signs first and names its half of the
// exchange; the node signs all of that, its own half, and the task it gave. So neither side can be
// posed as, and the tag keys (crypto/channel.h) hang on every byte that either said.
#pragma once

#include "crypto/sign.h"
#include "runtime/base/ids.h"

namespace taper::authority {

struct SessionOffer {
  Hash fleet;
  PublicKey node;
  Incarnation incarnation;
  Hash chain;       // BLAKE2b-256 of the whole capsule file
  Nonce challenge;  // the node's, used once
  SealKey exchange;
};

// Signed by the capsule's last holder (statement::kSession).
Bytes session_statement(const SessionOffer& offer);

struct SessionAnswer {
  TaskId task;
  bool resumed = false;  // the task was live already
  SealKey exchange;
};

// Signed by the node (statement::kSessionAnswer): everything before, then the answer.
Bytes answer_statement(const SessionOffer& offer, const crypto::Signature& holder,
                       const SessionAnswer& answer);

// Of the whole opening, for the tag keys.
Hash session_transcript(const SessionOffer& offer, const crypto::Signature& holder,
                        const SessionAnswer& answer, const crypto::Signature& node);

}  // namespace taper::authority
