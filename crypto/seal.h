// X25519 sealed boxes (libsodium crypto_box_seal): anyone can seal to a node, only it can open.
#pragma once

#include "crypto/secret.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::crypto {

class UnsealingKey {
 public:
  static UnsealingKey generate();
  static UnsealingKey from_bytes(ByteSpan secret_key);  // 32 bytes; asserts
  const SealKey& public_key() const { return public_key_; }
  ByteSpan bytes() const { return secret_.bytes(); }
  // Error: signature_wrong when the box was not sealed to this key or was changed.
  Result<Secret> open(ByteSpan sealed) const;

 private:
  explicit UnsealingKey(ByteSpan secret_key);
  SealKey public_key_;
  Secret secret_;
};

Bytes seal(const SealKey& to, ByteSpan plaintext);

}  // namespace taper::crypto
