// A disk of a few megabytes of one's own, and what fills it to the last block.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

namespace taper::testing {

// In a child process: mounts of its own (and, for an ordinary user, a user namespace), with an
// empty file system of `megabytes` at `directory`. Real ENOSPC, and nobody else meets it.
inline bool enter_small_disk(const std::string& directory, unsigned megabytes) {
  const auto uid = std::to_string(::geteuid());
  const auto gid = std::to_string(::getegid());
  const bool root = ::geteuid() == 0;
  if (::unshare(CLONE_NEWNS | (root ? 0 : CLONE_NEWUSER)) != 0) return false;
  if (!root) {
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << uid << " " << uid << " 1";
    std::ofstream("/proc/self/gid_map") << gid << " " << gid << " 1";
  }
  const std::string options = "mode=0700,size=" + std::to_string(megabytes) + "m";
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("small", directory.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

// Takes every free block of the file system. False when it does not end with ENOSPC.
inline bool fill_disk(const std::string& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::vector<char> block(4096, 'x');
  ssize_t count = 0;
  while (fd >= 0 && (count = ::write(fd, block.data(), block.size())) > 0) {
  }
  const bool full = fd >= 0 && errno == ENOSPC;
  ::close(fd);
  return full;
}

}  // namespace taper::testing
