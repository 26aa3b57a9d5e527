#include "store/log_tree.h"

#include <bit>

#include "crypto/crypto.h"
#include "runtime/base/assert.h"

namespace taper::store {
namespace {

constexpr std::uint8_t kLeafPrefix[] = {0x00};
constexpr std::uint8_t kNodePrefix[] = {0x01};

}  // namespace

TreeHash leaf_hash(ByteSpan record) { return crypto::tree_hash({kLeafPrefix, record}); }

TreeHash node_hash(const TreeHash& left, const TreeHash& right) {
  return crypto::tree_hash({kNodePrefix, left.span(), right.span()});
}

LogTree::LogTree(std::uint64_t size, std::vector<TreeHash> peaks)
    : size_(size), peaks_(std::move(peaks)) {
  TAPER_ASSERT(peaks_.size() == static_cast<std::size_t>(std::popcount(size)));
}

void LogTree::append(const TreeHash& leaf, const Completed& completed) {
  TreeHash subtree = leaf;
  std::uint64_t index = size_;
  for (unsigned level = 1; (index & 1U) != 0; ++level) {
    subtree = node_hash(peaks_.back(), subtree);
    peaks_.pop_back();
    index >>= 1U;
    if (completed) completed(level, index, subtree);
  }
  peaks_.push_back(subtree);
  ++size_;
}

TreeHash LogTree::root() const {
  if (peaks_.empty()) return crypto::tree_hash({});
  TreeHash root = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i-- > 0;) root = node_hash(peaks_[i], root);
  return root;
}

}  // namespace taper::store
