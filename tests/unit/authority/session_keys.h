// Keys of a holder, a node and a stranger, for tests of sessions.
#pragma once

#include "crypto/crypto.h"
#include "crypto/sign.h"

namespace taper::authority {

// Not at the program's start: libsodium's comes first.
struct SessionKeys {
  const bool ready = crypto::initialise().ok();
  crypto::SigningKey holder = crypto::SigningKey::generate();
  crypto::SigningKey node = crypto::SigningKey::generate();
  crypto::SigningKey stranger = crypto::SigningKey::generate();
};
inline const SessionKeys& keys() {
  static const SessionKeys made;
  return made;
}
inline Hash fleet() {
  (void)keys();
  return crypto::hash(as_bytes("fleet"));
}

}  // namespace taper::authority
