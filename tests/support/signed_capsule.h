// Trust roots and capsules for tests, signed with keys that everybody knows.
#pragma once

#include <initializer_list>

#include "capsules/open.h"
#include "crypto/sign.h"

namespace taper::testing {

// The key whose seed is 32 times `number`.
crypto::SigningKey known_key(std::uint8_t number);

inline constexpr std::uint8_t kRootKey = 1;
inline constexpr std::uint8_t kIssuerKey = 10;
inline constexpr std::uint8_t kSecondIssuerKey = 11;
inline constexpr std::uint8_t kHolderKey = 20;
inline constexpr std::uint8_t kNodeKey = 30;

// Version 1: one root key, both issuers, threshold 1, generous limits.
capsules::TrustRootData sample_root_data();
Bytes signed_root(const capsules::TrustRootData& data,
                  std::initializer_list<std::uint8_t> keys = {kRootKey});
capsules::TrustRoot opened_root(const capsules::TrustRootData& data);

// A complete plan of two steps for `root`: file.list under /var/log, file.write of one file.
capsules::Capsule sample_capsule(const capsules::TrustRoot& root);
// Encodes; asserts that it can.
Bytes capsule_payload(const capsules::Capsule& capsule);
Bytes signed_payload(ByteSpan payload, std::initializer_list<std::uint8_t> keys = {kIssuerKey});
Bytes signed_capsule(const capsules::Capsule& capsule,
                     std::initializer_list<std::uint8_t> keys = {kIssuerKey});
// `file` narrowed by the holder `signer`; `previous` is filled in.
Bytes narrowed(ByteSpan file, capsules::Block block, std::uint8_t signer);

}  // namespace taper::testing
