// Ed25519 signatures in OpenSSH's SSHSIG form (PROTOCOL.sshsig), by keys in a file or an agent and
// by FIDO security keys (PROTOCOL.u2f). Everything but signature, flags and counter follows from
// key and namespace, so one statement has one accepted form: it is compared, never parsed.
#pragma once

#include <string_view>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::crypto {

// What holds a key, and what that must have seen when it signs.
enum class Device : std::uint8_t {
  none,      // no security key: a file, an agent
  touched,   // a security key of application "ssh:", its user present
  verified,  // the same, and its user verified by PIN or fingerprint
};

// The key as OpenSSH writes it: in .pub files (base64), to agents, inside an SSHSIG.
Bytes ssh_public_key(const PublicKey& key, Device device);
// An SSHSIG up to its 64 bytes of signature; a security key's flags u8 and counter u32 follow them.
// `name_space` is the statement's type (crypto/sign.h), `hash_algorithm` sha512.
Bytes sshsig_head(const PublicKey& key, Device device, std::string_view name_space);
// What agents and devices are asked to sign.
Bytes sshsig_preimage(std::string_view name_space, ByteSpan message);

// Errors: signature_wrong (also for any other form); user_unverified when the signature is good but
// its flags say less than `device` demands. The counter is signed and not judged.
Status verify_sshsig(const PublicKey& key, Device device, std::string_view name_space,
                     ByteSpan message, ByteSpan blob);

}  // namespace taper::crypto
