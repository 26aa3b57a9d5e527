#include "crypto/sign.h"

#include <sodium.h>

#include <algorithm>
#include <string>

#include "crypto/crypto.h"
#include "runtime/base/assert.h"

namespace taper::crypto {
namespace {

static_assert(PublicKey::kSize == crypto_sign_PUBLICKEYBYTES);
static_assert(sizeof(Signature) == crypto_sign_BYTES);

void append(Bytes& out, std::string_view text) {
  const ByteSpan bytes = as_bytes(text);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

Bytes pre_authentication_encoding(std::string_view type, ByteSpan payload) {
  const std::string type_size = std::to_string(type.size());
  const std::string payload_size = std::to_string(payload.size());
  Bytes out;
  out.reserve(10 + type_size.size() + type.size() + payload_size.size() + payload.size());
  for (const std::string_view part :
       {std::string_view("DSSEv1 "), std::string_view(type_size), std::string_view(" "), type,
        std::string_view(" "), std::string_view(payload_size), std::string_view(" ")}) {
    append(out, part);
  }
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

SigningKey::SigningKey(ByteSpan seed) : expanded_(crypto_sign_SECRETKEYBYTES) {
  TAPER_ASSERT(seed.size() == crypto_sign_SEEDBYTES);
  crypto_sign_seed_keypair(public_key_.bytes.data(), expanded_.bytes().data(), seed.data());
}

SigningKey SigningKey::generate() {
  Secret seed(crypto_sign_SEEDBYTES);
  random_bytes(seed.bytes());
  return SigningKey(seed.bytes());
}

SigningKey SigningKey::from_seed(ByteSpan seed) { return SigningKey(seed); }

Signature SigningKey::sign(std::string_view type, ByteSpan payload) const {
  const Bytes message = pre_authentication_encoding(type, payload);
  Signature out{};
  crypto_sign_detached(out.data(), nullptr, message.data(), message.size(),
                       expanded_.bytes().data());
  return out;
}

// libsodium keeps the seed in the first half of its 64-byte form.
ByteSpan SigningKey::seed() const { return expanded_.bytes().first(crypto_sign_SEEDBYTES); }

bool verify(const PublicKey& key, std::string_view type, ByteSpan payload, ByteSpan signature) {
  if (signature.size() != crypto_sign_BYTES) return false;
  const Bytes message = pre_authentication_encoding(type, payload);
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.bytes.data()) == 0;
}

}  // namespace taper::crypto
