// Thin wrappers over the Linux calls a cell is made of. Private to the folder. Each error is
// os_failure with the call's name and object as field.
#pragma once

#include <sys/types.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace taper::sandbox {

struct Clone {
  pid_t pid = -1;  // 0 in the child
  Fd pidfd;
};
// fork with the namespaces of `flags` and a pidfd.
Result<Clone> clone_process(std::uint64_t flags);

// Closes every descriptor but these.
Status close_all_but(std::vector<int> kept);

// One write to a file that is there already, such as those of /proc.
Status write_text(const std::string& path, const std::string& text);

// Opens without following any symbolic link, not even on the way; with a directory, only below it.
// The descriptor, or -errno.
int try_open_plainly(int directory, const std::string& path, int flags);
Result<Fd> open_plainly(int directory, const std::string& path, int flags);

// A detached mount. Attributes are MOUNT_ATTR_ bits. The first gives the descriptor, or -errno.
using FilesystemOptions = std::initializer_list<std::pair<const char*, std::string>>;
int try_new_filesystem(const char* type, FilesystemOptions options, unsigned attributes);
Result<Fd> new_filesystem(const char* type, FilesystemOptions options, unsigned attributes);
// A detached copy of what `fd` or `path` names, with the attributes set on it.
enum class Depth : std::uint8_t { this_mount, with_submounts };
Result<Fd> clone_mount(int fd, const std::string& name, Depth depth, std::uint64_t attributes);
Status set_mount_attributes(int mount, std::uint64_t attributes);
Status attach_mount(int mount, int target, const std::string& name);

}  // namespace taper::sandbox
