#include "capsules/open_cache.h"

#include <algorithm>

#include "runtime/base/limits.h"

namespace taper::capsules {

Result<VerifiedCapsule> OpenCache::open(ByteSpan file, const TrustRoot& root) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return std::equal(entry.file.begin(), entry.file.end(), file.begin(), file.end()) &&
           entry.root == root.hash();
  });
  if (found != entries_.end()) {
    std::rotate(entries_.begin(), found, found + 1);
    return VerifiedCapsule(entries_.front().capsule);
  }
  TAPER_TRY(VerifiedCapsule capsule, capsules::open(file, root));
  if (entries_.size() == limits::kOpenCacheEntries) entries_.pop_back();
  entries_.insert(entries_.begin(), Entry{to_bytes(file), root.hash(), capsule});
  return capsule;
}

}  // namespace taper::capsules
