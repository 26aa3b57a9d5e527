// Signing in several places: the request that goes round, the signatures that come back, and what
// OpenSSH writes of either. Nothing here is trusted: `open` checks whatever they are made into.
// docs/formats/request.md
#pragma once

#include <optional>
#include <string_view>

#include "capsules/open.h"
#include "crypto/key_file.h"

namespace taper::capsules {

inline constexpr std::string_view kRequestLabel = "SIGNING REQUEST";  // of the text forms
inline constexpr std::string_view kSignatureLabel = "SIGNATURE";

struct SigningRequest {
  std::uint8_t needed = 1;  // signatures, as the asking side's root has it; 1 to 8
  Bytes payload;
};
Bytes encode_request(const SigningRequest& request);
// Errors: too_large, request_malformed.
Result<SigningRequest> decode_request(ByteSpan file);

struct CapsuleSignature {
  KeyId key;
  std::uint8_t kind = kRawSignature;
  Bytes signature;

  SignatureView view() const { return {key, kind, signature}; }
};
// The file of one signature over the capsule of this id.
struct SignatureFile {
  Hash capsule;
  CapsuleSignature signature;
};
Bytes encode_signature(const SignatureFile& file);
// Errors: too_large, request_malformed.
Result<SignatureFile> decode_signature(ByteSpan file);

// The blob of "-----BEGIN SSH SIGNATURE-----". Errors: too_large, armour_malformed.
Result<Bytes> ssh_unarmour(std::string_view text);
// Whose the SSHSIG blob is, among the root's issuers; whether it verifies is not asked.
// Error: request_malformed when it is nobody's, or not over a capsule.
Result<CapsuleSignature> of_issuer(ByteSpan blob, const TrustRoot& root);

// One line as in id_ed25519.pub: "ssh-ed25519 BASE64 COMMENT", or a security key's. The role is
// left unset. Error: key_file_malformed.
Result<crypto::PublicKeyFile> parse_ssh_public_key(std::string_view text);

// What of the root a signer would break by signing: it lists him and the capsule's issuer, it is
// the capsule's fleet's, its limits for both hold. Errors as those of `open`: signer_unknown,
// fleet_other, issuer_window, issuer_limit.
Status check_signable(const Capsule& capsule, const TrustRoot& root, const KeyId& signer);

}  // namespace taper::capsules
