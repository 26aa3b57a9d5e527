// Bytes on their way to a descriptor that does not wait.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

namespace taper::tools {

class Queue {
 public:
  void put(std::string_view bytes) { bytes_ += bytes; }
  bool empty() const { return bytes_.empty(); }
  std::size_t size() const { return bytes_.size() - at_; }
  void clear() {
    bytes_.clear();
    at_ = 0;
  }

  // What goes without waiting. False: nobody reads at the other end, nor will.
  bool write_to(int fd) {
    while (!empty()) {
      const ssize_t count = ::write(fd, bytes_.data() + at_, size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return errno == EAGAIN;
      at_ += static_cast<std::size_t>(count);
      if (at_ == bytes_.size()) clear();
    }
    return true;
  }

 private:
  std::string bytes_;
  std::size_t at_ = 0;  // of the first that was not written
};

}  // namespace taper::tools
