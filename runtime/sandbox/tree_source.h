// Granted trees as detached mounts, opened where they lie on the host. Private to the folder.
#pragma once

#include <map>
#include <utility>

#include "runtime/authority/permit.h"
#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace taper::sandbox {

// Who started spawnd, hence which outer uid a cell has: limits::kCellUid, or the caller's own.
enum class Starter : std::uint8_t { root, user };
Starter starter();

// User namespaces that say which on-disk owner a mount shows as the cell's user. Kept, because
// making one costs a process.
class Idmaps {
 public:
  // The namespace's descriptor; stays ours. Error: os_failure.
  Result<int> get(uid_t uid, gid_t gid);

 private:
  std::map<std::pair<uid_t, gid_t>, Fd> kept_;
};

// A mount of the tree, nosuid, nodev, unless a program's noexec and, unless writable, read-only.
// With `idmaps` the tree's owner and group become the cell's; everybody else's files keep their
// `other` bits. Without it this must be called in the mount namespace that the mount will be
// attached in. Errors: tree_missing (absent, or a symbolic link on the way), tree_unsafe (of
// another kind than granted), sandbox_layer "idmapped mount", os_failure.
Result<Fd> open_tree_source(const authority::GrantedTree& tree, Idmaps* idmaps);

}  // namespace taper::sandbox
