// Private: the text of key files, docs/formats/keys.md. Text in, fields out; no file is touched.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "crypto/key_file.h"

namespace taper::crypto {

inline constexpr std::string_view kPublicTitle = "taper-public-key v1";

// argon2id's parameters. Absent in a file without a passphrase.
struct Kdf {
  std::uint64_t ops = 0;
  std::uint64_t mem_bytes = 0;
  std::array<std::uint8_t, 16> salt{};
};

struct SecretKeyText {
  Role role = Role::unset;
  PublicKey key;
  std::optional<Kdf> kdf;
  std::string_view seed_line;  // hex of what `open_seed` takes; points into the parsed text
};

// All lines before the seed's, newlines included: what is authenticated with it.
std::string header_text(const SecretKeyText& fields);

// Accepts exactly what the writer writes. Errors: key_file_malformed (also for parameters over
// limits.h, before any memory is spent on them).
Result<SecretKeyText> parse_secret_key_text(std::string_view text);

// With a passphrase: nonce 24 ‖ ciphertext 32 ‖ tag 16 (XChaCha20-Poly1305). Without: seed 32 ‖
// BLAKE2b-256 of the header keyed by the seed. Error: os_failure when the key derivation
// cannot have its memory.
Result<Bytes> close_seed(const SecretKeyText& fields, const SigningKey& key,
                         std::string_view passphrase);
// Errors: key_file_malformed, passphrase_wrong, os_failure.
Result<SigningKey> open_seed(const SecretKeyText& fields, std::string_view passphrase);

Error malformed_key_file(std::string_view what);

}  // namespace taper::crypto
