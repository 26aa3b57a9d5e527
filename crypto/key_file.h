// Key files (docs/formats/keys.md): one key, one role. The secret half is text with an encrypted
// seed (argon2id, XChaCha20-Poly1305, all header lines authenticated); the public half is text for
// hand transport.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crypto/seal.h"
#include "crypto/sign.h"

namespace taper::crypto {

enum class Role : std::uint8_t {
  unset,
  root,
  issuer,
  approver,
  publisher,
  revoker,
  registrar,
  time,
  auditor,
  allocator,
  witness,
  holder,
  node,  // a node's own signing key; made by `node init`, never by `key new`
};
std::optional<Role> parse_role(std::string_view name);
std::string_view role_name(Role role);

// "tpk:" and 64 hex digits.
std::string public_key_text(const PublicKey& key);
std::optional<PublicKey> parse_public_key_text(std::string_view text);

struct PublicKeyFile {
  Role role = Role::unset;
  PublicKey key;
  bool security_key = false;  // it lives in a FIDO security key
};

// Protection of the seed at rest. `none` is for machines and stands in the file in plain words.
struct Passphrase {
  std::optional<std::string_view> text;  // empty optional: no passphrase (--no-passphrase)
};

// Creates `secret_path` (0600, O_EXCL, fsynced with its directory) and its public half beside it.
// `kdf_mem_bytes` 0 means the default (256 MiB). Errors: file_exists, file_unreadable.
Status write_key_pair(const std::string& secret_path, const std::string& public_path, Role role,
                      const SigningKey& key, const Passphrase& passphrase,
                      std::uint64_t kdf_mem_bytes = 0);

struct KeyFileInfo {
  Role role = Role::unset;
  PublicKey key;
  bool locked = false;  // a passphrase is needed
};

// Opens O_NOFOLLOW and refuses a file that is not regular, not ours, open to others, hard-linked or
// in a world-writable directory (sticky directories excepted). Nothing secret is read by `inspect`.
// Errors: file_missing, key_file_exposed, key_file_malformed, key_role, passphrase_needed,
// passphrase_wrong.
// The same care for any secret file: at most `bytes_max` + 1 bytes of it, one more than the caller
// accepts. Errors: file_missing, file_unreadable, key_file_exposed.
Result<Secret> read_secret_file(const std::string& path, std::size_t bytes_max);
Result<KeyFileInfo> inspect_key_file(const std::string& path);
Result<SigningKey> read_key_file(const std::string& path, Role role, const Passphrase& passphrase);

// Errors: file_missing, key_file_malformed; key_role when `role` is given and differs.
Result<PublicKeyFile> read_public_key_file(const std::string& path, std::optional<Role> role);
Result<PublicKeyFile> parse_public_key_file(std::string_view text);
std::string public_key_file_text(const PublicKeyFile& file);  // the only form that is parsed

}  // namespace taper::crypto
