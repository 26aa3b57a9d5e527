// Messages in a stream of bytes: each behind its length, u32 little-endian.
#pragma once

#include <optional>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace taper::broker {

Bytes frame(ByteSpan message);

class FrameReader {
 public:
  // `bytes_max`: of one message.
  explicit FrameReader(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  void feed(ByteSpan bytes);
  // The next whole message, or none yet. Error: message_malformed for a length that is zero or
  // above the most; nothing after it can be read.
  Result<std::optional<Bytes>> next();
  // From the next message on.
  void allow(std::size_t bytes_max) { bytes_max_ = bytes_max; }
  // More than one message and its length is never kept: feed no more before `next` gave none.
  std::size_t kept() const { return kept_.size() - read_; }

 private:
  std::size_t bytes_max_;
  Bytes kept_;
  std::size_t read_ = 0;
};

}  // namespace taper::broker
