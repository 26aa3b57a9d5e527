// The verdicts of `open`, kept by the bytes of the whole file, which are compared faster than
// they are hashed, and the hash of the root. Nothing about time, revocation or activation is in
// them, so a verdict stays true as long as its root is current.
#pragma once

#include <vector>

#include "capsules/open.h"

namespace taper::capsules {

// Holds the limits::kOpenCacheEntries used last, each with its file of at most
// limits::kCapsuleBytesMax; refusals are not kept.
class OpenCache {
 public:
  // As capsules::open.
  Result<VerifiedCapsule> open(ByteSpan file, const TrustRoot& root);

 private:
  struct Entry {
    Bytes file;
    Hash root;
    VerifiedCapsule capsule;
  };
  std::vector<Entry> entries_;  // last used first
};

}  // namespace taper::capsules
