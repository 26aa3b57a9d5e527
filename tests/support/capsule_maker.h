// A small fleet for tests: a trust root, an issuer, a holder, a node; capsules to edit and sign.
// crypto::initialise first.
#pragma once

#include "capsules/open.h"
#include "crypto/sign.h"

namespace taper::testing {

inline constexpr std::int64_t kRootIssuedS = 1'790'000'000;     // when the root was issued
inline constexpr std::int64_t kCapsuleIssuedS = 1'790'003'600;  // an hour later
inline constexpr std::int64_t kNowS = 1'790'007'200;            // and the time tests begin at

struct Fleet {
  crypto::SigningKey root_key = crypto::SigningKey::generate();
  crypto::SigningKey issuer_key = crypto::SigningKey::generate();
  crypto::SigningKey holder_key = crypto::SigningKey::generate();
  capsules::TrustRootData root_data;
  Bytes root_file;
  Hash fleet;
  PublicKey node;
  Incarnation incarnation;
  std::uint64_t next_serial = 1;
};
Fleet make_fleet(std::int64_t root_issued_s = kRootIssuedS);

Bytes sign_root(const capsules::TrustRootData& data,
                const std::vector<const crypto::SigningKey*>& keys);

// A plan capsule of the fleet's issuer for its holder and node: a lease of 15 minutes, idle 2
// minutes, 3 denials, one activation. One grant, "read-logs": file.read under /var/log/plant with
// max_bytes at most 1048576 (optional), 5 calls; another, "write-report": file.write of
// /srv/reports/today.md, once. Each call gives another serial.
capsules::Capsule sample_capsule(Fleet& fleet);
capsules::Grant sample_grant(std::string id, std::string tool, capsules::Effect effect,
                             std::vector<capsules::ArgRule> args);

Bytes sign_capsule(const Fleet& fleet, const capsules::Capsule& capsule);
// `file` narrowed by `block`, whose `previous` is filled in, signed by `signer`.
Bytes narrow_capsule(const Bytes& file, capsules::Block block, const crypto::SigningKey& signer);

}  // namespace taper::testing
