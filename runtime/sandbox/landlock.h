// Landlock: which files a process in a cell may touch, whatever its mounts say. All rights that the
// running kernel knows are handled, so what no rule gives is refused; network rights and scopes
// (signals, abstract sockets) get no rule at all. Landlock does not govern stat, chdir, chmod,
// chown, setxattr, utime, flock: mounts, ids and seccomp do.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/result.h"

namespace taper::sandbox {

enum class LandlockAccess : std::uint8_t {
  read_tree,     // read files, list directories
  program_tree,  // as read_tree, and execute
  write_tree,    // as read_tree, and write, truncate, make files, directories and links, remove
  read_file,
  write_file,  // read, write, truncate
  execute_file,
  device,  // read and write; no ioctl of its own
};

struct LandlockRule {
  int fd = -1;  // of the tree or file, O_PATH is enough
  LandlockAccess access = LandlockAccess::read_file;
};

// The kernel's Landlock version; 0 where there is none.
int landlock_abi();

// Finds out, once a process, what the running kernel can forbid. Children inherit the answer, so
// spawnd calls it before it starts cells; a process that did not, asks when it binds itself.
void learn_landlock();

// Sets no_new_privs and binds the calling thread, for good. Errors: sandbox_layer "landlock" (ABI
// below 4), sandbox_setup "landlock" with the system's answer.
Status restrict_landlock(std::span<const LandlockRule> rules);

}  // namespace taper::sandbox
