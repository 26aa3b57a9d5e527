// Private: the Merkle tree of RFC 6962 section 2.1 over SHA-256, grown leaf by leaf. Only the roots
// of its complete subtrees are kept, so a leaf costs O(log n).
#pragma once

#include <functional>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"

namespace taper::store {

TreeHash leaf_hash(ByteSpan record);
TreeHash node_hash(const TreeHash& left, const TreeHash& right);

class LogTree {
 public:
  LogTree() = default;
  // `peaks`: roots of the complete subtrees of `size` leaves, largest first; one per bit set.
  LogTree(std::uint64_t size, std::vector<TreeHash> peaks);

  // Told of every subtree of two leaves or more that became complete: level 1 holds pairs, and the
  // subtree covers leaves [index << level, (index + 1) << level).
  using Completed = std::function<void(unsigned level, std::uint64_t index, const TreeHash&)>;
  void append(const TreeHash& leaf, const Completed& completed = {});

  std::uint64_t size() const { return size_; }
  const std::vector<TreeHash>& peaks() const { return peaks_; }
  TreeHash root() const;  // of no leaves: SHA-256 of nothing

 private:
  std::uint64_t size_ = 0;
  std::vector<TreeHash> peaks_;
};

}  // namespace taper::store
