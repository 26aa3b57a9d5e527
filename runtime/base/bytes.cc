#include "runtime/base/bytes.h"

#include <limits>

#include "runtime/base/assert.h"

namespace taper {
namespace {

template <class T>
T little_endian(ByteSpan bytes) {
  T value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = static_cast<T>((static_cast<std::uint64_t>(value) << 8U) | bytes[i]);
  }
  return value;
}

template <class T>
void append_little_endian(Bytes& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

}  // namespace

ByteSpan ByteReader::take(std::size_t count) {
  if (!ok_ || count > rest_.size()) {
    ok_ = false;
    return {};
  }
  const ByteSpan taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

std::uint8_t ByteReader::u8() { return little_endian<std::uint8_t>(take(1)); }
std::uint16_t ByteReader::u16() { return little_endian<std::uint16_t>(take(2)); }
std::uint32_t ByteReader::u32() { return little_endian<std::uint32_t>(take(4)); }
std::uint64_t ByteReader::u64() { return little_endian<std::uint64_t>(take(8)); }

ByteSpan ByteReader::block(std::size_t max) {
  const std::uint32_t size = u32();
  if (size > max) ok_ = false;
  return take(size);
}

ByteWriter& ByteWriter::u8(std::uint8_t value) {
  out_.push_back(value);
  return *this;
}
ByteWriter& ByteWriter::u16(std::uint16_t value) {
  append_little_endian(out_, value);
  return *this;
}
ByteWriter& ByteWriter::u32(std::uint32_t value) {
  append_little_endian(out_, value);
  return *this;
}
ByteWriter& ByteWriter::u64(std::uint64_t value) {
  append_little_endian(out_, value);
  return *this;
}
ByteWriter& ByteWriter::raw(ByteSpan bytes) {
  out_.insert(out_.end(), bytes.begin(), bytes.end());
  return *this;
}
ByteWriter& ByteWriter::block(ByteSpan bytes) {
  TAPER_ASSERT(bytes.size() <= std::numeric_limits<std::uint32_t>::max());
  return u32(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
}

Bytes big_endian(std::uint64_t value) {
  Bytes out(8);
  for (std::size_t i = 0; i < 8; ++i) out[7 - i] = static_cast<std::uint8_t>(value >> (8 * i));
  return out;
}

std::optional<std::uint64_t> from_big_endian(ByteSpan bytes) {
  if (bytes.size() != 8) return std::nullopt;
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = (value << 8U) | byte;
  return value;
}

}  // namespace taper
