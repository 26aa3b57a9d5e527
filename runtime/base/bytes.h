// Byte spans and the bounded little-endian reader and writer that every hand-framed format uses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace taper {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes to_bytes(ByteSpan bytes) { return Bytes(bytes.begin(), bytes.end()); }

// Reads forward over a span it does not own. A read past the end fails for good: every later read
// fails too and `ok()` is false, so a parser may read all fields and check once.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : rest_(bytes) {}

  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  std::uint64_t u64();
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  ByteSpan take(std::size_t count);
  // u32 length, then that many bytes; fails when longer than `max`.
  ByteSpan block(std::size_t max);
  std::string text(std::size_t max) { return std::string(as_text(block(max))); }

  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }  // read whole, nothing left over
  std::size_t left() const { return rest_.size(); }

 private:
  ByteSpan rest_;
  bool ok_ = true;
};

class ByteWriter {
 public:
  ByteWriter& u8(std::uint8_t value);
  ByteWriter& u16(std::uint16_t value);
  ByteWriter& u32(std::uint32_t value);
  ByteWriter& u64(std::uint64_t value);
  ByteWriter& i64(std::int64_t value) { return u64(static_cast<std::uint64_t>(value)); }
  ByteWriter& raw(ByteSpan bytes);
  ByteWriter& block(ByteSpan bytes);  // u32 length, then the bytes; at most 2^32-1
  ByteWriter& text(std::string_view value) { return block(as_bytes(value)); }

  const Bytes& bytes() const& { return out_; }
  Bytes bytes() && { return std::move(out_); }

 private:
  Bytes out_;
};

// u64, most significant byte first: keys that sort by number.
Bytes big_endian(std::uint64_t value);
std::optional<std::uint64_t> from_big_endian(ByteSpan bytes);

}  // namespace taper
