#include "runtime/broker/frames.h"

#include <string>

#include "runtime/base/assert.h"

namespace taper::broker {
namespace {

constexpr std::size_t kLength = 4;

}  // namespace

Bytes frame(ByteSpan message) { return ByteWriter().block(message).bytes(); }

void FrameReader::feed(ByteSpan bytes) {
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(read_));
  read_ = 0;
  kept_.insert(kept_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Bytes>> FrameReader::next() {
  const ByteSpan rest = ByteSpan(kept_).subspan(read_);
  if (rest.size() < kLength) return std::optional<Bytes>();
  std::size_t length = 0;
  for (std::size_t i = kLength; i-- > 0;) length = length << 8U | rest[i];
  if (length == 0 || length > bytes_max_)
    return Error(Code::message_malformed,
                 {"length", "1 to " + std::to_string(bytes_max_), std::to_string(length), ""});
  if (rest.size() - kLength < length) return std::optional<Bytes>();
  read_ += kLength + length;
  return std::optional<Bytes>(to_bytes(rest.subspan(kLength, length)));
}

}  // namespace taper::broker
