// Ed25519 (RFC 8032) over DSSE pre-authentication encoding. Every kind of statement has a type of
// its own, so a signature over one never verifies as another.
#pragma once

#include <array>
#include <string_view>

#include "crypto/secret.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::crypto {

using Signature = std::array<std::uint8_t, 64>;

// The PAE types in use. A new kind of statement gets a new line here.
namespace statement {
inline constexpr std::string_view kCapsule = "application/vnd.taper.capsule.v1";
inline constexpr std::string_view kBlock = "application/vnd.taper.block.v1";
inline constexpr std::string_view kRoot = "application/vnd.taper.root.v1";
inline constexpr std::string_view kNode = "application/vnd.taper.node.v1";
inline constexpr std::string_view kActivation = "application/vnd.taper.activation.v1";
inline constexpr std::string_view kResultRead = "application/vnd.taper.result-read.v1";
inline constexpr std::string_view kSession = "application/vnd.taper.session.v1";
inline constexpr std::string_view kSessionAnswer = "application/vnd.taper.session-answer.v1";
inline constexpr std::string_view kTime = "application/vnd.taper.time.v1";
inline constexpr std::string_view kOrder = "application/vnd.taper.order.v1";
inline constexpr std::string_view kCheckpoint = "application/vnd.taper.checkpoint.v1";
inline constexpr std::string_view kLogExport = "application/vnd.taper.log-export.v1";
inline constexpr std::string_view kRelease = "application/vnd.taper.release.v1";
inline constexpr std::string_view kCosignature = "application/vnd.taper.cosignature.v1";
}  // namespace statement

// "DSSEv1 " len(type) " " type " " len(payload) " " payload (DSSE 1.0.2).
Bytes pre_authentication_encoding(std::string_view type, ByteSpan payload);

class SigningKey {
 public:
  static SigningKey generate();
  // `seed` is the 32-byte Ed25519 seed. Asserts its size.
  static SigningKey from_seed(ByteSpan seed);

  const PublicKey& public_key() const { return public_key_; }
  Signature sign(std::string_view type, ByteSpan payload) const;
  ByteSpan seed() const;  // 32 bytes, for key files and the log's ratchet

 private:
  explicit SigningKey(ByteSpan seed);
  PublicKey public_key_;
  Secret expanded_;  // libsodium's 64-byte form
};

// False for a wrong signature, a non-canonical or small-order key, and S not reduced.
bool verify(const PublicKey& key, std::string_view type, ByteSpan payload, ByteSpan signature);

}  // namespace taper::crypto
