#include "capsules/open_cache.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::capsules {

Result<VerifiedCapsule> OpenCache::open(ByteSpan file, const TrustRoot& root) {
  // The cap comes before the hash, so that a stranger cannot make the node hash what it will
  // refuse.
  if (file.size() > limits::kCapsuleBytesMax) return capsules::open(file, root);
  const Hash hash = crypto::hash(file);
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.file == hash && entry.root == root.hash();
  });
  if (found != entries_.end()) {
    std::rotate(entries_.begin(), found, found + 1);
    return VerifiedCapsule(entries_.front().capsule);
  }
  TAPER_TRY(VerifiedCapsule capsule, capsules::open(file, root));
  if (entries_.size() == limits::kOpenCacheEntries) entries_.pop_back();
  entries_.insert(entries_.begin(), Entry{hash, root.hash(), capsule});
  return capsule;
}

}  // namespace taper::capsules
