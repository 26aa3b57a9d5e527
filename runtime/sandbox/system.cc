#include "runtime/sandbox/system.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>

namespace taper::sandbox {

Result<Clone> clone_process(std::uint64_t flags) {
  int pidfd = -1;
  clone_args args{};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return os_error("clone3", errno);
  return Clone{static_cast<pid_t>(pid), Fd(pid == 0 ? -1 : pidfd)};
}

Status close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned first = 0;
  const auto close_up_to = [&](unsigned last) { return ::close_range(first, last, 0) == 0; };
  for (const int fd : kept) {
    if (fd < 0 || static_cast<unsigned>(fd) < first) continue;
    if (static_cast<unsigned>(fd) > first && !close_up_to(static_cast<unsigned>(fd) - 1)) {
      return os_error("close_range", errno);
    }
    first = static_cast<unsigned>(fd) + 1;
  }
  if (!close_up_to(std::numeric_limits<unsigned>::max())) return os_error("close_range", errno);
  return success();
}

Status write_text(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return os_error("open " + path, errno);
  const ssize_t count = ::write(file.get(), text.data(), text.size());
  if (count < 0) return os_error("write " + path, errno);
  if (static_cast<std::size_t>(count) != text.size()) return os_error("write " + path, EIO);
  return success();
}

int try_open_plainly(int directory, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  if (directory != AT_FDCWD) how.resolve |= RESOLVE_BENEATH;
  const long fd = ::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

Result<Fd> open_plainly(int directory, const std::string& path, int flags) {
  const int fd = try_open_plainly(directory, path, flags);
  if (fd < 0) return os_error("openat2 " + path, -fd);
  return Fd(fd);
}

int try_new_filesystem(const char* type, FilesystemOptions options, unsigned attributes) {
  const Fd context(::fsopen(type, FSOPEN_CLOEXEC));
  if (!context) return -errno;
  for (const auto& [key, value] : options) {
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0) return -errno;
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return -errno;
  const int mount = ::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes);
  return mount < 0 ? -errno : mount;
}

Result<Fd> new_filesystem(const char* type, FilesystemOptions options, unsigned attributes) {
  const int mount = try_new_filesystem(type, options, attributes);
  if (mount < 0) return os_error(std::string("mount ") + type, -mount);
  return Fd(mount);
}

Result<Fd> clone_mount(int fd, const std::string& name, Depth depth, std::uint64_t attributes) {
  const unsigned recursive = depth == Depth::with_submounts ? AT_RECURSIVE : 0U;
  Fd mount(::open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive));
  if (!mount) return os_error("open_tree " + name, errno);
  mount_attr attr{};
  attr.attr_set = attributes;
  if (::mount_setattr(mount.get(), "", AT_EMPTY_PATH | recursive, &attr, sizeof attr) != 0) {
    return os_error("mount_setattr " + name, errno);
  }
  return mount;
}

Status set_mount_attributes(int mount, std::uint64_t attributes) {
  mount_attr attr{};
  attr.attr_set = attributes;
  if (::mount_setattr(mount, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0) {
    return os_error("mount_setattr", errno);
  }
  return success();
}

Status attach_mount(int mount, int target, const std::string& name) {
  if (::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return os_error("move_mount " + name, errno);
  }
  return success();
}

}  // namespace taper::sandbox
