#include "crypto/seal.h"

#include <sodium.h>

#include "crypto/crypto.h"
#include "runtime/base/assert.h"

namespace taper::crypto {

static_assert(SealKey::kSize == crypto_box_PUBLICKEYBYTES);

UnsealingKey::UnsealingKey(ByteSpan secret_key) : secret_(Secret::copy_of(secret_key)) {
  TAPER_ASSERT(secret_key.size() == crypto_box_SECRETKEYBYTES);
  crypto_scalarmult_base(public_key_.bytes.data(), secret_.bytes().data());
}

UnsealingKey UnsealingKey::generate() {
  Secret secret(crypto_box_SECRETKEYBYTES);
  random_bytes(secret.bytes());
  return UnsealingKey(secret.bytes());
}

UnsealingKey UnsealingKey::from_bytes(ByteSpan secret_key) { return UnsealingKey(secret_key); }

Result<Secret> UnsealingKey::open(ByteSpan sealed) const {
  if (sealed.size() < crypto_box_SEALBYTES) return Error(Code::signature_wrong);
  Secret plain(sealed.size() - crypto_box_SEALBYTES);
  // sodium refuses a null output pointer even for an empty plaintext.
  std::uint8_t none = 0;
  std::uint8_t* out = plain.empty() ? &none : plain.bytes().data();
  if (crypto_box_seal_open(out, sealed.data(), sealed.size(), public_key_.bytes.data(),
                           secret_.bytes().data()) != 0) {
    return Error(Code::signature_wrong);
  }
  return plain;
}

Bytes seal(const SealKey& to, ByteSpan plaintext) {
  Bytes out(plaintext.size() + crypto_box_SEALBYTES);
  TAPER_ASSERT(crypto_box_seal(out.data(), plaintext.data(), plaintext.size(), to.bytes.data()) ==
               0);
  return out;
}

}  // namespace taper::crypto
