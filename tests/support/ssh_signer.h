// A signer that writes OpenSSH's SSHSIG form by itself, part by part, so that tests can spoil each
// part; also a security key in software, which says of its user whatever it is told to say.
#pragma once

#include <optional>
#include <string>

#include "crypto/sign.h"

namespace taper::testing {

struct SecurityKey {
  std::uint8_t flags = 0x01;  // user present
  std::uint32_t counter = 7;
  std::string application = "ssh:";
};

// The parts of a blob before they are framed. What stands in `after_…` follows that part inside the
// string around it.
struct SshSignature {
  std::string magic = "SSHSIG";
  std::uint32_t version = 1;
  std::string key_type, signature_type;
  Bytes key, signature;
  std::string name_space, reserved, hash = "sha512";
  std::optional<SecurityKey> device;  // as the blob says it
  std::string after_key, after_signature, after_all;

  Bytes blob() const;
  std::string armour() const;  // as `ssh-keygen -Y sign` writes it
};

// Signs `message` under `name_space` with `hash` sha512 or sha256.
SshSignature ssh_sign(const crypto::SigningKey& key, std::string name_space, ByteSpan message,
                      const std::optional<SecurityKey>& device = {}, std::string hash = "sha512");

// "ssh-ed25519 AAAA… comment"
std::string ssh_public_line(const PublicKey& key, const std::optional<SecurityKey>& device = {});

}  // namespace taper::testing
