// Fixed-size identifiers. Each is a type of its own, so that a task id is never taken for a call
// id. Order and equality are bytewise; secrets are never compared through these.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/text.h"

namespace taper {

template <class Tag, std::size_t Size>
struct Id {
  static constexpr std::size_t kSize = Size;
  std::array<std::uint8_t, Size> bytes{};

  auto operator<=>(const Id&) const = default;
  ByteSpan span() const { return bytes; }
  std::string hex() const { return to_hex(bytes); }
  bool is_zero() const { return *this == Id{}; }

  static std::optional<Id> from(ByteSpan source) {
    if (source.size() != Size) return std::nullopt;
    Id id;
    std::copy(source.begin(), source.end(), id.bytes.begin());
    return id;
  }
  static std::optional<Id> from_hex(std::string_view text) {
    const std::optional<Bytes> decoded = taper::from_hex(text);
    return decoded ? from(*decoded) : std::nullopt;
  }
};

using Hash = Id<struct HashTag, 32>;            // BLAKE2b-256, except in the RFC 6962 tree
using TreeHash = Id<struct TreeHashTag, 32>;    // SHA-256, RFC 6962
using PublicKey = Id<struct PublicKeyTag, 32>;  // Ed25519
using SealKey = Id<struct SealKeyTag, 32>;      // X25519 public key
using KeyId = Id<struct KeyIdTag, 32>;          // BLAKE2b-256 of the public key's 32 bytes
using Incarnation = Id<struct IncarnationTag, 16>;
using TaskId = Id<struct TaskTag, 16>;  // random, names no authority
using CallId = Id<struct CallTag, 16>;
using DecisionId = Id<struct DecisionTag, 8>;
using Nonce = Id<struct NonceTag, 32>;
using BootId = Id<struct BootTag, 16>;  // /proc/sys/kernel/random/boot_id

}  // namespace taper
