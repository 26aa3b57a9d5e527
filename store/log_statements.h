// Private: what stands in the audit log and what is signed over it. docs/formats/log.md
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/sign.h"
#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "store/store.h"

namespace taper::store {

// A record's exact bytes: {version u8, type u16, body}.
Bytes record_bytes(LeafType type, std::string_view body);
inline constexpr std::size_t kRecordHeadBytes = 3;
inline constexpr std::uint8_t kRecordVersion = 1;

std::string incarnation_body(const Incarnation& incarnation, std::string_view origin);
std::string log_key_body(std::uint64_t epoch, const PublicKey& key);

// "origin\nsize\nbase64 root\nepoch\n"
std::string checkpoint_text(std::string_view origin, std::uint64_t size, const TreeHash& root,
                            std::uint64_t epoch);
// "origin\nsize\nbase64 root\nincarnation\nnonce or none\n"
std::string export_text(std::string_view origin, std::uint64_t size, const TreeHash& root,
                        const Incarnation& incarnation, const std::optional<Nonce>& nonce);

// The last checkpoint that a log key signed, as stored and exported: size u64, root 32, signature
// 64. Its text is made again from these, so there are no other bytes that could differ.
struct SignedHead {
  std::uint64_t size = 0;
  TreeHash root;
  crypto::Signature signature{};
};
inline constexpr std::size_t kSignedHeadBytes = 8 + 32 + 64;
Bytes encode(const SignedHead& head);
SignedHead take_signed_head(ByteReader& reader);  // check the reader afterwards

SignedHead sign_head(const crypto::SigningKey& key, std::string_view origin, std::uint64_t size,
                     const TreeHash& root, std::uint64_t epoch);
bool verify_head(const PublicKey& key, std::string_view origin, const SignedHead& head,
                 std::uint64_t epoch);

}  // namespace taper::store
