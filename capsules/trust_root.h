// The trust root: versioned, threshold-signed list of who may sign what (after TUF).
// docs/formats/root.md
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/sign.h"
#include "crypto/sshsig.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::capsules {

// What a capsule of this issuer may at most say. Absent in the file means none, so each is written.
struct IssuerLimits {
  std::int64_t max_ttl_ms = 0;
  std::int64_t max_validity_s = 0;  // not_after - not_before
  std::int64_t max_revocation_age_s = 0;
  bool all_tools = false;
  std::vector<std::string> tools;  // where not all
  bool long_leases = false;        // may declare leases above limits::kLongLeaseMs
};

struct Issuer {
  PublicKey key;
  std::optional<std::int64_t> not_before_s, not_after_s;  // when its signatures count, by issued_at
  IssuerLimits limits;
  crypto::Device device = crypto::Device::none;
};

struct TrustRootData {
  std::uint64_t version = 0;     // 1 upward
  std::optional<Hash> fleet;     // absent in version 1, whose hash it is
  std::optional<Hash> previous;  // hash of the version before; absent in version 1
  std::int64_t issued_at_s = 0;
  std::optional<std::int64_t> expires_s;
  std::vector<PublicKey> root_keys;
  std::uint32_t root_threshold = 0;
  std::vector<Issuer> issuers;
  std::uint32_t issuer_threshold = 0;  // k of n signatures on a capsule
  // Roles that later features use; carried and shown from the first version.
  std::vector<PublicKey> approvers, publishers, revokers, registrars, time_keys, auditors,
      allocators;
  // What was signed about the time before this version counts no more: a signer's clock was wrong.
  bool time_reset = false;
};

// Signed by its own root keys and complete. Made only by open_root.
class TrustRoot {
 public:
  const TrustRootData& data() const { return data_; }
  const Hash& fleet() const { return fleet_; }                    // of version 1's payload
  const Hash& hash() const { return hash_; }                      // of this version's payload
  const Issuer* issuer(const KeyId& id) const;                    // null pointer: not listed
  const std::vector<KeyId>& signers() const { return signers_; }  // distinct, of its own root keys

 private:
  friend Result<TrustRoot> open_root(ByteSpan);
  TrustRoot() = default;
  TrustRootData data_;
  std::vector<KeyId> issuer_ids_;  // of data_.issuers, in that order
  Hash fleet_, hash_;
  std::vector<KeyId> signers_;
};

// Verifies framing, signatures (k distinct of its own root keys), structure and features. A version
// after the first must also be signed by the version before: whoever imports checks that.
// Errors: too_large, envelope_malformed, payload_malformed, field_missing, field_invalid,
// feature_unknown, signature_wrong, too_few_signatures, signer_repeated, root_malformed.
Result<TrustRoot> open_root(ByteSpan file);

// The payload to sign, and the file of a payload and its signatures.
Result<Bytes> encode_root(const TrustRootData& data);
struct RootSignature {
  KeyId key;
  crypto::Signature signature;
};
Bytes frame_root(ByteSpan payload, const std::vector<RootSignature>& signatures);

}  // namespace taper::capsules
