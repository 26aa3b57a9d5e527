#include "crypto/key_text.h"

#include <sodium.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::crypto {
namespace {

constexpr std::string_view kSecretTitle = "taper-secret-key v1";
constexpr std::string_view kUnprotected = "none, not protected by a passphrase";
constexpr std::string_view kDeviceLine = "device: security key\n";
constexpr std::string_view kKeyPrefix = "tpk:";
constexpr std::size_t kSeedBytes = crypto_sign_SEEDBYTES;
constexpr std::size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(sizeof(Kdf::salt) == crypto_pwhash_SALTBYTES);

constexpr std::array<std::string_view, 13> kRoleNames = {
    "",     "root",    "issuer",    "approver", "publisher", "revoker", "registrar",
    "time", "auditor", "allocator", "witness",  "holder",    "node"};
static_assert(kRoleNames.size() == static_cast<std::size_t>(Role::node) + 1);

// Takes "<label>...\n" off the front of `rest` and returns the dots.
std::optional<std::string_view> take_line(std::string_view& rest, std::string_view label) {
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos || !rest.starts_with(label)) return std::nullopt;
  if (end < label.size()) return std::nullopt;
  const std::string_view value = rest.substr(label.size(), end - label.size());
  rest.remove_prefix(end + 1);
  return value;
}

// The lines that both kinds of key file begin with.
Result<PublicKeyFile> take_header(std::string_view& rest, std::string_view title) {
  if (rest.size() > limits::kKeyFileBytesMax) return malformed_key_file("it is too large");
  const auto title_rest = take_line(rest, title);
  const auto role_text = take_line(rest, "role: ");
  const auto key_text = take_line(rest, "key: ");
  if (!title_rest || !role_text || !key_text)
    return malformed_key_file("a line is missing or not in its place");
  const std::optional<Role> role = parse_role(*role_text);
  const std::optional<PublicKey> key = parse_public_key_text(*key_text);
  if (!role) return malformed_key_file("the role is unknown");
  if (!key) return malformed_key_file("the public key is malformed");
  return PublicKeyFile{*role, *key};
}

std::string kdf_text(const std::optional<Kdf>& kdf) {
  if (!kdf) return std::string(kUnprotected);
  return "argon2id ops=" + std::to_string(kdf->ops) + " mem=" + std::to_string(kdf->mem_bytes) +
         " salt=" + to_hex(kdf->salt);
}

bool take_number(std::string_view& rest, std::string_view label, std::uint64_t max,
                 std::uint64_t& out) {
  if (!rest.starts_with(label)) return false;
  rest.remove_prefix(label.size());
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), out);
  if (parsed.ec != std::errc{} || out > max) return false;
  rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
  return true;
}

std::optional<Kdf> parse_kdf(std::string_view rest) {
  Kdf kdf;
  if (!take_number(rest, "argon2id ops=", limits::kKdfOpsMax, kdf.ops) ||
      !take_number(rest, " mem=", limits::kKdfMemBytesMax, kdf.mem_bytes) ||
      !rest.starts_with(" salt=")) {
    return std::nullopt;
  }
  const std::optional<Bytes> salt = from_hex(rest.substr(6));
  if (!salt || salt->size() != kdf.salt.size()) return std::nullopt;
  if (kdf.ops < crypto_pwhash_OPSLIMIT_MIN || kdf.mem_bytes < crypto_pwhash_MEMLIMIT_MIN) {
    return std::nullopt;
  }
  std::copy(salt->begin(), salt->end(), kdf.salt.begin());
  return kdf;
}

std::size_t seed_line_bytes(const SecretKeyText& fields) {
  return fields.kdf ? kNonceBytes + kSeedBytes + kTagBytes : kSeedBytes + Hash::kSize;
}

Result<Secret> derive(const Kdf& kdf, std::string_view passphrase) {
  Secret key(crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
  if (crypto_pwhash(key.bytes().data(), key.size(), passphrase.data(), passphrase.size(),
                    kdf.salt.data(), kdf.ops, kdf.mem_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return os_error("argon2id with " + std::to_string(kdf.mem_bytes) + " bytes of memory", ENOMEM);
  }
  return key;
}

Hash checksum(const std::string& header, ByteSpan seed) {
  Hash out;
  crypto_generichash(out.bytes.data(), out.bytes.size(), as_bytes(header).data(), header.size(),
                     seed.data(), seed.size());
  return out;
}

Result<Secret> open_protected(const SecretKeyText& fields, ByteSpan box,
                              std::string_view passphrase) {
  const std::string header = header_text(fields);
  const ByteSpan body = box.subspan(kNonceBytes);
  Secret seed(kSeedBytes);
  TAPER_TRY(const Secret key, derive(*fields.kdf, passphrase));
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          seed.bytes().data(), nullptr, nullptr, body.data(), body.size(), as_bytes(header).data(),
          header.size(), box.data(), key.bytes().data()) != 0) {
    return Error(Code::passphrase_wrong);
  }
  return seed;
}

Result<Secret> open_unprotected(const SecretKeyText& fields, ByteSpan box) {
  const Hash expected = checksum(header_text(fields), box.first(kSeedBytes));
  if (!constant_time_equal(expected.span(), box.subspan(kSeedBytes))) {
    return malformed_key_file("its check value does not match");
  }
  return Secret::copy_of(box.first(kSeedBytes));
}

}  // namespace

Error malformed_key_file(std::string_view what) {
  return Error(Code::key_file_malformed, {"", "", std::string(what), ""});
}

std::optional<Role> parse_role(std::string_view name) {
  for (std::size_t i = 1; i < kRoleNames.size(); ++i) {
    if (kRoleNames[i] == name) return static_cast<Role>(i);
  }
  return std::nullopt;
}

std::string_view role_name(Role role) { return kRoleNames.at(static_cast<std::size_t>(role)); }

std::string public_key_text(const PublicKey& key) { return std::string(kKeyPrefix) + key.hex(); }

std::optional<PublicKey> parse_public_key_text(std::string_view text) {
  if (!text.starts_with(kKeyPrefix)) return std::nullopt;
  std::optional<PublicKey> key = PublicKey::from_hex(text.substr(kKeyPrefix.size()));
  if (key && public_key_text(*key) != text) return std::nullopt;
  return key;
}

std::string header_text(const SecretKeyText& fields) {
  return std::string(kSecretTitle) + "\nrole: " + std::string(role_name(fields.role)) +
         "\nkey: " + public_key_text(fields.key) + "\nkdf: " + kdf_text(fields.kdf) + "\n";
}

Result<SecretKeyText> parse_secret_key_text(std::string_view text) {
  std::string_view rest = text;
  TAPER_TRY(const PublicKeyFile header_key, take_header(rest, kSecretTitle));
  const auto kdf_line = take_line(rest, "kdf: ");
  if (!kdf_line) return malformed_key_file("a line is missing or not in its place");
  SecretKeyText fields;
  fields.role = header_key.role;
  fields.key = header_key.key;
  if (*kdf_line != kUnprotected) {
    fields.kdf = parse_kdf(*kdf_line);
    if (!fields.kdf) return malformed_key_file("the kdf is unknown or demands too much");
  }
  const std::string header = header_text(fields);
  if (!text.starts_with(header)) return malformed_key_file("a line is not in its plain form");
  const auto seed_line = take_line(rest, "seed: ");
  if (!seed_line || !rest.empty() || seed_line->size() != 2 * seed_line_bytes(fields) ||
      seed_line->find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return malformed_key_file("the seed line is malformed, or not the last");
  }
  fields.seed_line = *seed_line;
  return fields;
}

Result<Bytes> close_seed(const SecretKeyText& fields, const SigningKey& key,
                         std::string_view passphrase) {
  const std::string header = header_text(fields);
  Bytes box(seed_line_bytes(fields));
  if (!fields.kdf) {
    const Hash check = checksum(header, key.seed());
    std::copy(key.seed().begin(), key.seed().end(), box.begin());
    std::copy(check.bytes.begin(), check.bytes.end(), box.begin() + kSeedBytes);
    return box;
  }
  random_bytes(std::span(box).first(kNonceBytes));
  TAPER_TRY(const Secret wrapping, derive(*fields.kdf, passphrase));
  crypto_aead_xchacha20poly1305_ietf_encrypt(box.data() + kNonceBytes, nullptr, key.seed().data(),
                                             kSeedBytes, as_bytes(header).data(), header.size(),
                                             nullptr, box.data(), wrapping.bytes().data());
  return box;
}

Result<SigningKey> open_seed(const SecretKeyText& fields, std::string_view passphrase) {
  std::optional<Bytes> box = from_hex(fields.seed_line);
  if (!box || box->size() != seed_line_bytes(fields)) return malformed_key_file("the seed line");
  Result<Secret> seed =
      fields.kdf ? open_protected(fields, *box, passphrase) : open_unprotected(fields, *box);
  wipe(*box);
  if (!seed.ok()) return Error(seed.error());
  SigningKey key = SigningKey::from_seed(seed->bytes());
  if (key.public_key() != fields.key) return malformed_key_file("seed and public key differ");
  return key;
}

std::string public_key_file_text(const PublicKeyFile& file) {
  return std::string(kPublicTitle) + "\nrole: " + std::string(role_name(file.role)) +
         "\nkey: " + public_key_text(file.key) + "\n" +
         std::string(file.security_key ? kDeviceLine : "");
}

Result<PublicKeyFile> parse_public_key_file(std::string_view text) {
  std::string_view rest = text;
  TAPER_TRY(PublicKeyFile file, take_header(rest, kPublicTitle));
  file.security_key = rest == kDeviceLine;
  if (public_key_file_text(file) != text) return malformed_key_file("more than a key");
  return file;
}

}  // namespace taper::crypto
