// Whole files, read with a cap and written so that a crash leaves the old one or the new one.
#pragma once

#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace taper {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Error os_failure with `what` (for example "open /a/b") as the field and strerror(errno) as got.
Error os_error(const std::string& what, int error_number);

// Opens a regular file, or what /dev/stdin, /dev/fd/N and /proc/self/fd/N name: a shell's pipe. Any
// other pipe, device or socket is refused unopened, so that nothing hangs and no device wakes.
// Errors: file_missing, file_unreadable.
Result<Fd> open_input(const std::string& path);

// The whole of what open_input opens; a file that is too large is not begun.
// Errors: file_missing, file_unreadable, too_large.
Result<Bytes> read_file(const std::string& path, std::size_t max_bytes);
Result<Bytes> read_fd(int fd, const std::string& name, std::size_t max_bytes);

// Writes to a temporary name in the same directory, fsyncs it, renames it over `path`, fsyncs the
// directory. Error: file_unreadable, store_full.
Status replace_file(const std::string& path, ByteSpan bytes, unsigned mode);
// As above but never replaces. Errors: file_exists and those above.
Status create_file(const std::string& path, ByteSpan bytes, unsigned mode);

// Makes names created or removed in the directory durable. Errors as above.
Status sync_directory(const std::string& path);

// All of `bytes`, over short writes and EINTR.
Status write_all(int fd, const std::string& name, ByteSpan bytes);

}  // namespace taper
