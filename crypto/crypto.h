// Start-up, hashes and randomness. libsodium is behind every function of this folder.
#pragma once

#include <initializer_list>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::crypto {

// Call once per process before anything else here. Error: crypto_unavailable.
Status initialise();

// BLAKE2b-256 (RFC 7693) of the concatenated parts; no framing is added between them.
Hash hash(ByteSpan bytes);
Hash hash(std::initializer_list<ByteSpan> parts);

// SHA-256 (FIPS 180-4) of the concatenated parts, for the RFC 6962 tree alone.
TreeHash tree_hash(std::initializer_list<ByteSpan> parts);

void random_bytes(std::span<std::uint8_t> out);
template <class IdType>
IdType random_id() {
  IdType id;
  random_bytes(id.bytes);
  return id;
}

bool constant_time_equal(ByteSpan a, ByteSpan b);

KeyId key_id(const PublicKey& key);

}  // namespace taper::crypto
