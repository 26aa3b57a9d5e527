// A large file as it was at one moment, so that its size costs no memory. It is copied first, to a
// file without a name: whoever may write the original could otherwise cut it short (SIGBUS) or
// change it between two looks, and what is kept as evidence would not be what was judged.
#pragma once

#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace taper::tools {

class MappedFile {
 public:
  // What open_input opens. Up to 1 MiB lies in memory; what is larger in $TMPDIR, or else in
  // /var/tmp, which needs that room. A regular file above `max_bytes` is refused unread.
  // Errors: those of read_file; store_full; os_failure.
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
  void* at_ = nullptr;  // null: it is small
  std::size_t size_ = 0;
  Bytes read_;
};

}  // namespace taper::tools
