#include "crypto/crypto.h"

#include <sodium.h>

namespace taper::crypto {

static_assert(Hash::kSize == crypto_generichash_BYTES);
static_assert(TreeHash::kSize == crypto_hash_sha256_BYTES);

Status initialise() {
  if (sodium_init() < 0) return Error(Code::crypto_unavailable);
  return success();
}

Hash hash(ByteSpan bytes) { return hash({bytes}); }

Hash hash(std::initializer_list<ByteSpan> parts) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, Hash::kSize);
  for (const ByteSpan part : parts) crypto_generichash_update(&state, part.data(), part.size());
  Hash out;
  crypto_generichash_final(&state, out.bytes.data(), out.bytes.size());
  return out;
}

TreeHash tree_hash(std::initializer_list<ByteSpan> parts) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  for (const ByteSpan part : parts) crypto_hash_sha256_update(&state, part.data(), part.size());
  TreeHash out;
  crypto_hash_sha256_final(&state, out.bytes.data());
  return out;
}

void random_bytes(std::span<std::uint8_t> out) { randombytes_buf(out.data(), out.size()); }

bool constant_time_equal(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

KeyId key_id(const PublicKey& key) {
  KeyId id;
  id.bytes = hash(key.span()).bytes;
  return id;
}

}  // namespace taper::crypto
