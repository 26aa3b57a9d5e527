// A large file looked at where it is, so that its size costs no memory.
#pragma once

#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace taper::tools {

class MappedFile {
 public:
  // What open_input opens; a pipe is read into memory. A regular file above `max_bytes` is refused
  // unread; one that is cut short while it is looked at ends the process (SIGBUS).
  // Errors: those of read_file; os_failure.
  static Result<MappedFile> open(const std::string& path, std::size_t max_bytes);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Gives back the memory of what lies at the front; it may be looked at again.
  void forget(ByteSpan front) const;
  ByteSpan bytes() const {
    return at_ == nullptr ? ByteSpan(read_) : ByteSpan(static_cast<std::uint8_t*>(at_), size_);
  }

 private:
  MappedFile() = default;
  void* at_ = nullptr;  // null: it was read
  std::size_t size_ = 0;
  Bytes read_;
};

}  // namespace taper::tools
