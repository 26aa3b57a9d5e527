// What an auditor of the trust root says of a node's log: its first records are archived, and the
// node may forget them. docs/formats/release.md
#pragma once

#include "capsules/trust_root.h"

namespace taper::capsules {

struct LogRelease {
  PublicKey node;  // the log's origin
  Incarnation incarnation;
  std::uint64_t size = 0;  // records below it; at least 2, which no export has less of
  TreeHash root;           // of the log's tree over so many
  KeyId signer;            // set by open_release
};
// The payload to sign under statement::kRelease, and the file. Error: field_invalid.
Result<Bytes> encode_release(const LogRelease& release);
Bytes frame_release(ByteSpan payload, const RootSignature& signature);
// Whether it begins as a release does.
bool is_release(ByteSpan file);
// One signature, by an auditor of `root`. Says nothing of whether the log is such. Errors:
// too_large, envelope_malformed, release_signer, signature_wrong, payload_malformed, field_invalid.
Result<LogRelease> open_release(ByteSpan file, const TrustRoot& root);

}  // namespace taper::capsules
