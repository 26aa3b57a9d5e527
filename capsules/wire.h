// Reading a signed FlatBuffers payload strictly, for the decoders of this folder alone. The first
// fault is kept and every later read gives a default, so that a decoder reads straight through and
// asks once, at the end. Every byte belongs to one field: nothing is shared but vtables, and
// `finish` demands that every byte was read or is padding.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/limits.h"
#include "runtime/base/result.h"

namespace taper::capsules {

struct Field {
  flatbuffers::voffset_t offset;
  const char* name;
};

class WireTable;

class WireBuffer {
 public:
  // Copies: a verifier checks alignment relative to the buffer only, so the buffer must be aligned.
  explicit WireBuffer(ByteSpan payload)
      : bytes_(to_bytes(payload)), owned_(payload.size() / kWordBits + 1) {}
  WireBuffer(const WireBuffer&) = delete;
  WireBuffer& operator=(const WireBuffer&) = delete;

  // Errors: too_large, payload_malformed.
  template <class Root>
  Status verify(const char* identifier, std::size_t bytes_max) {
    TAPER_CHECK(check_size(bytes_max));
    flatbuffers::Verifier verifier(bytes_.data(), bytes_.size(), options());
    if (!verifier.VerifyBuffer<Root>(identifier)) return malformed();
    return success();
  }
  // After verify. `last` is the schema's last field.
  WireTable root(flatbuffers::voffset_t last);

  // The first fault, or payload_malformed when a byte was neither read nor is padding.
  Status finish() const;

  void fail(Code code, std::string field, std::string expected, std::string got);
  bool failed() const { return fault_.has_value(); }
  // These bytes are read now, for the first time (vtables excepted): payload_malformed otherwise.
  enum class Part : std::uint8_t { field, vtable };
  bool own(const std::uint8_t* at, std::size_t size, Part part = Part::field);

 private:
  Status check_size(std::size_t bytes_max) const;
  static flatbuffers::Verifier::Options options();
  static Error malformed();

  Bytes bytes_;
  // A bit for each byte: 64 of them are asked and marked at once.
  static constexpr std::size_t kWordBits = 64;
  struct Owners {
    std::uint64_t fields = 0, vtables = 0;
  };
  std::vector<Owners> owned_;
  std::optional<Error> fault_;
};

// One table, or none: reading from none gives defaults and is no fault. Lives no longer than the
// table it was read from.
class WireTable {
 public:
  WireTable(WireBuffer& buffer, const flatbuffers::Table* table, flatbuffers::voffset_t last,
            const WireTable* parent, const char* name, std::optional<std::size_t> index)
      : buffer_(&buffer), table_(table), parent_(parent), name_(name), index_(index) {
    own_vtable(last);
  }

  bool present() const { return table_ != nullptr; }
  bool has(Field field) const {
    return present() && table_->GetOptionalFieldOffset(field.offset) != 0;
  }

  // Required, within the bounds given. Errors: field_missing, field_invalid.
  std::int64_t number(Field field, std::int64_t least, std::int64_t most) const;
  std::uint64_t serial(Field field) const;
  std::uint32_t count(Field field, std::uint32_t most) const;  // from 1
  std::uint8_t octet(Field field, std::uint8_t most) const;
  bool flag(Field field) const;
  std::int32_t offset(Field field, std::int32_t most) const;   // from -most
  std::string text(Field field, std::size_t bytes_max) const;  // UTF-8, not empty
  Bytes data(Field field, std::size_t bytes_max) const;        // not empty
  template <class IdType>
  IdType id(Field field) const {
    IdType out;
    const ByteSpan bytes = octets(field, IdType::kSize);
    std::copy(bytes.begin(), bytes.end(), out.bytes.begin());
    return out;
  }
  // 32 bytes each, joined; at least one, none twice.
  std::vector<Hash> hashes(Field field, std::size_t count_max) const;
  // Neither 0 nor above `last`: feature_unknown.
  template <class Enum>
  Enum choice(Field field, Enum last) const {
    return static_cast<Enum>(enumerator(field, static_cast<std::uint8_t>(last)));
  }
  // Bytes that are enumerators, each once.
  template <class Enum>
  std::vector<Enum> choices(Field field, Enum last) const {
    std::vector<Enum> out;
    for (const std::uint8_t value : enumerators(field, static_cast<std::uint8_t>(last))) {
      out.push_back(static_cast<Enum>(value));
    }
    return out;
  }
  WireTable table(Field field, flatbuffers::voffset_t last) const;

  // Absent means none.
  std::optional<std::int64_t> maybe_number(Field field, std::int64_t least,
                                           std::int64_t most) const;
  WireTable maybe_table(Field field, flatbuffers::voffset_t last) const;
  std::vector<std::string> texts(Field field, std::size_t count_max, std::size_t bytes_max) const;
  // As texts, each once.
  std::vector<std::string> names(Field field, std::size_t count_max) const;
  std::vector<std::uint16_t> ports(Field field, std::size_t count_max) const;  // from 1
  // Calls `decode(WireTable)` for each of at most `most` tables, until something fails.
  template <class Decode>
  void each(Field field, std::size_t most, flatbuffers::voffset_t last, Decode decode) const {
    const auto* tables = list<flatbuffers::Table>(field, most);
    for (flatbuffers::uoffset_t i = 0; tables != nullptr && i < tables->size(); ++i) {
      decode(WireTable(*buffer_, tables->Get(i), last, this, field.name, i));
      if (buffer_->failed()) return;
    }
  }

  // Each of these fields must be absent: not_enforced_yet, by its name.
  void refuse(std::initializer_list<Field> fields) const;
  // Of a list that must not be empty: field_missing.
  void require(Field field, bool is_there) const;
  // The features that the signed table needs, of those `known`. Error: feature_unknown.
  std::vector<std::string> check_features(Field field,
                                          std::initializer_list<std::string_view> known = {}) const;

  void fail(Code code, Field field, std::string expected, std::string got) const;
  void invalid(Field field, std::string expected, std::string got) const {
    fail(Code::field_invalid, field, std::move(expected), std::move(got));
  }

 private:
  void own_vtable(flatbuffers::voffset_t last) const;  // feature_unknown: longer than the schema's
  std::string path(const char* field) const;
  const std::uint8_t* slot(Field field, std::size_t size) const;  // null pointer: absent
  const std::uint8_t* target(Field field) const;
  template <class T>
  std::optional<T> scalar(Field field) const {
    const std::uint8_t* at = slot(field, sizeof(T));
    if (at == nullptr) return std::nullopt;
    return flatbuffers::ReadScalar<T>(at);
  }
  template <class T>
  const flatbuffers::Vector<flatbuffers::Offset<T>>* list(Field field, std::size_t most) const {
    const std::uint8_t* at = target(field);
    if (at == nullptr) return nullptr;
    const auto* items = reinterpret_cast<const flatbuffers::Vector<flatbuffers::Offset<T>>*>(at);
    if (!check_count(field, items->size(), most)) return nullptr;
    const std::size_t size = sizeof(flatbuffers::uoffset_t) * (std::size_t{1} + items->size());
    return buffer_->own(at, size) ? items : nullptr;
  }
  bool check_count(Field field, std::size_t count, std::size_t most) const;
  std::int64_t within(Field field, std::int64_t value, std::int64_t least, std::int64_t most) const;
  std::string checked_text(Field field, const flatbuffers::String& text,
                           std::size_t bytes_max) const;
  ByteSpan octets(Field field, std::optional<std::size_t> size) const;
  std::uint8_t enumerator(Field field, std::uint8_t last) const;
  std::vector<std::uint8_t> enumerators(Field field, std::uint8_t last) const;

  WireBuffer* buffer_;
  const flatbuffers::Table* table_;
  const WireTable* parent_;
  const char* name_;
  std::optional<std::size_t> index_;
};

// A value that comes twice in a short list; null pointer: none.
template <class T>
const T* repeated(const std::vector<T>& values) {
  for (auto at = values.begin(); at != values.end(); ++at) {
    if (std::find(values.begin(), at, *at) != at) return &*at;
  }
  return nullptr;
}

}  // namespace taper::capsules
