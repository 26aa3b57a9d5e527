// The verdicts of `open`, kept by hash of the whole file and of the root. Nothing about time,
// revocation or activation is in them, so a verdict stays true as long as its root is current.
#pragma once

#include <vector>

#include "capsules/open.h"

namespace taper::capsules {

// Holds the limits::kOpenCacheEntries used last; refusals are not kept.
class OpenCache {
 public:
  // As capsules::open.
  Result<VerifiedCapsule> open(ByteSpan file, const TrustRoot& root);

 private:
  struct Entry {
    Hash file, root;
    VerifiedCapsule capsule;
  };
  std::vector<Entry> entries_;  // last used first
};

}  // namespace taper::capsules
