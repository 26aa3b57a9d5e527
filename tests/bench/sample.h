// One signed capsule of ordinary size for benchmarks, and all that stands around it.
#pragma once

#include "capsules/capsule.h"
#include "capsules/trust_root.h"
#include "crypto/sign.h"

namespace taper::bench {

// A node that exists nowhere, for what needs no store.
inline const PublicKey kSomeNode{{1}};
inline const Incarnation kSomeIncarnation{{1}};

struct Sample {
  crypto::SigningKey root_key = crypto::SigningKey::generate();
  crypto::SigningKey issuer = crypto::SigningKey::generate();
  crypto::SigningKey holder = crypto::SigningKey::generate();
  Bytes root_file;
  capsules::Capsule capsule;  // ten grants, one of them with six mixed constraints

  // For `node`, in its window at `now_s`.
  Sample(const PublicKey& node, const Incarnation& incarnation, std::int64_t now_s);

  // The signed file of the capsule with another serial.
  Bytes signed_file(std::uint64_t serial) const;
  // As `signed_file`, but only the payload.
  Bytes payload(std::uint64_t serial) const;
};

}  // namespace taper::bench
