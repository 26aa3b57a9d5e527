#include "capsules/wire.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

using flatbuffers::uoffset_t;
using flatbuffers::voffset_t;

// The verifier's reads are aligned within the buffer; this aligns the buffer.
static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= alignof(std::uint64_t));
constexpr std::size_t kPaddingMax = alignof(std::uint64_t) - 1;

}  // namespace

flatbuffers::Verifier::Options WireBuffer::options() {
  flatbuffers::Verifier::Options options;
  options.max_depth = limits::kFlatbufferDepthMax;
  options.max_tables = limits::kFlatbufferTablesMax;
  options.check_nested_flatbuffers = false;
  return options;
}

Error WireBuffer::malformed() {
  return Error(Code::payload_malformed,
               {"payload", "a payload of this kind", "broken offsets", ""});
}

Status WireBuffer::check_size(std::size_t bytes_max) const {
  if (bytes_.size() <= bytes_max) return success();
  return Error(Code::too_large, {"payload", "at most " + std::to_string(bytes_max) + " bytes",
                                 std::to_string(bytes_.size()) + " bytes", ""});
}

WireTable WireBuffer::root(voffset_t last) {
  own(bytes_.data(), sizeof(uoffset_t) + flatbuffers::kFileIdentifierLength);
  return {*this,       flatbuffers::GetRoot<flatbuffers::Table>(bytes_.data()), last, nullptr, "",
          std::nullopt};
}

Status WireBuffer::finish() const {
  if (fault_) return Error(*fault_);
  std::size_t gap = 0;
  std::size_t next = 0;  // the byte after the last without an owner
  for (std::size_t word = 0; word < owned_.size(); ++word) {
    std::uint64_t unowned = ~(owned_[word].fields | owned_[word].vtables);
    for (; unowned != 0; unowned &= unowned - 1) {
      const std::size_t i = word * kWordBits + static_cast<std::size_t>(std::countr_zero(unowned));
      if (i >= bytes_.size()) return success();
      gap = i == next ? gap + 1 : 1;
      next = i + 1;
      if (bytes_[i] == 0 && gap <= kPaddingMax) continue;
      return Error(Code::payload_malformed,
                   {"byte " + std::to_string(i), "no byte that no field owns", "slack", ""});
    }
  }
  return success();
}

void WireBuffer::fail(Code code, std::string field, std::string expected, std::string got) {
  if (fault_) return;
  fault_.emplace(code, ErrorDetail{std::move(field), std::move(expected), std::move(got), ""});
}

bool WireBuffer::own(const std::uint8_t* at, std::size_t size, Part part) {
  const auto start = static_cast<std::size_t>(at - bytes_.data());
  TAPER_ASSERT(start <= bytes_.size() && size <= bytes_.size() - start);
  bool free = true;
  for (std::size_t i = start; i < start + size;) {
    const std::size_t count = std::min(kWordBits - i % kWordBits, start + size - i);
    const std::uint64_t bits = (~std::uint64_t{0} >> (kWordBits - count)) << i % kWordBits;
    Owners& owners = owned_[i / kWordBits];
    const std::uint64_t taken = owners.fields | (part == Part::vtable ? 0 : owners.vtables);
    free = free && (taken & bits) == 0;
    (part == Part::vtable ? owners.vtables : owners.fields) |= bits;
    i += count;
  }
  if (!free) fail(Code::payload_malformed, "byte " + std::to_string(start), "one owner", "two");
  return free;
}

void WireTable::own_vtable(voffset_t last) const {
  if (!present()) return;
  const std::uint8_t* vtable = table_->GetVTable();
  const auto vtable_size = flatbuffers::ReadScalar<voffset_t>(vtable);
  buffer_->own(vtable, vtable_size, WireBuffer::Part::vtable);
  buffer_->own(reinterpret_cast<const std::uint8_t*>(table_), sizeof(flatbuffers::soffset_t));
  if (vtable_size > last + sizeof(voffset_t)) {
    buffer_->fail(Code::feature_unknown, path(""), "only fields that this version knows",
                  "a longer table");
  }
}

std::string WireTable::path(const char* field) const {
  std::string out = parent_ == nullptr ? "" : parent_->path(name_);
  if (index_) out += "[" + std::to_string(*index_) + "]";
  if (*field != '\0' && !out.empty()) out += '.';
  return out + field;
}

void WireTable::fail(Code code, Field field, std::string expected, std::string got) const {
  if (!buffer_->failed()) {
    buffer_->fail(code, path(field.name), std::move(expected), std::move(got));
  }
}

const std::uint8_t* WireTable::slot(Field field, std::size_t size) const {
  if (!has(field)) return nullptr;
  const std::uint8_t* at = table_->GetAddressOf(field.offset);
  buffer_->own(at, size);
  return at;
}

const std::uint8_t* WireTable::target(Field field) const {
  const std::uint8_t* at = slot(field, sizeof(uoffset_t));
  return at == nullptr ? nullptr : at + flatbuffers::ReadScalar<uoffset_t>(at);
}

void WireTable::require(Field field, bool is_there) const {
  if (present() && !is_there) fail(Code::field_missing, field, "a value", "nothing");
}

void WireTable::refuse(std::initializer_list<Field> fields) const {
  for (const Field& field : fields) {
    if (has(field)) fail(Code::not_enforced_yet, field, "left out", field.name);
  }
}

bool WireTable::check_count(Field field, std::size_t count, std::size_t most) const {
  if (count <= most) return true;
  invalid(field, "at most " + std::to_string(most) + " items", std::to_string(count));
  return false;
}

std::int64_t WireTable::within(Field field, std::int64_t value, std::int64_t least,
                               std::int64_t most) const {
  if (value < least || value > most) {
    invalid(field, std::to_string(least) + " to " + std::to_string(most), std::to_string(value));
  }
  return value;
}

std::int64_t WireTable::number(Field field, std::int64_t least, std::int64_t most) const {
  require(field, has(field));
  return maybe_number(field, least, most).value_or(0);
}

std::optional<std::int64_t> WireTable::maybe_number(Field field, std::int64_t least,
                                                    std::int64_t most) const {
  const auto value = scalar<std::int64_t>(field);
  if (value) within(field, *value, least, most);
  return value;
}

std::uint64_t WireTable::serial(Field field) const {
  require(field, has(field));
  const auto value = scalar<std::uint64_t>(field);
  if (value && *value == 0) invalid(field, "1 or more", "0");
  return value.value_or(0);
}

std::uint32_t WireTable::count(Field field, std::uint32_t most) const {
  require(field, has(field));
  const auto value = scalar<std::uint32_t>(field);
  if (value) within(field, *value, 1, most);
  return value.value_or(0);
}

std::uint8_t WireTable::octet(Field field, std::uint8_t most) const {
  require(field, has(field));
  const auto value = scalar<std::uint8_t>(field);
  if (value) within(field, *value, 0, most);
  return value.value_or(0);
}

bool WireTable::flag(Field field) const { return octet(field, 1) == 1; }

std::int32_t WireTable::offset(Field field, std::int32_t most) const {
  require(field, has(field));
  const auto value = scalar<std::int32_t>(field);
  if (value) within(field, *value, -most, most);
  return value.value_or(0);
}

std::uint8_t WireTable::enumerator(Field field, std::uint8_t last) const {
  require(field, has(field));
  const auto value = scalar<std::uint8_t>(field);
  if (value && (*value == 0 || *value > last)) {
    fail(Code::feature_unknown, field, "1 to " + std::to_string(last), std::to_string(*value));
  }
  return value.value_or(0);
}

std::vector<std::uint8_t> WireTable::enumerators(Field field, std::uint8_t last) const {
  const ByteSpan bytes = octets(field, std::nullopt);
  require(field, !bytes.empty());
  std::vector<std::uint8_t> out(bytes.begin(), bytes.end());
  for (const std::uint8_t value : out) {
    if (value == 0 || value > last) {
      fail(Code::feature_unknown, field, "1 to " + std::to_string(last), std::to_string(value));
      return {};
    }
  }
  if (const auto* twice = repeated(out)) invalid(field, "each once", std::to_string(*twice));
  return out;
}

ByteSpan WireTable::octets(Field field, std::optional<std::size_t> size) const {
  const std::uint8_t* at = target(field);
  require(field, at != nullptr);
  if (at == nullptr) return {};
  const auto* bytes = reinterpret_cast<const flatbuffers::Vector<std::uint8_t>*>(at);
  buffer_->own(at, sizeof(uoffset_t) + bytes->size());
  if (size && bytes->size() != *size) {
    invalid(field, std::to_string(*size) + " bytes", std::to_string(bytes->size()));
    return {};
  }
  return {bytes->data(), bytes->size()};
}

std::vector<Hash> WireTable::hashes(Field field, std::size_t count_max) const {
  const ByteSpan bytes = octets(field, std::nullopt);
  require(field, !bytes.empty());
  std::vector<Hash> out;
  for (std::size_t at = 0; at + Hash::kSize <= bytes.size(); at += Hash::kSize)
    out.push_back(Hash::from(bytes.subspan(at, Hash::kSize)).value_or(Hash{}));
  const bool whole = out.size() * Hash::kSize == bytes.size();
  if (!whole) invalid(field, "32 bytes each", std::to_string(bytes.size()) + " bytes");
  if (!check_count(field, out.size(), count_max)) return {};
  if (const auto* twice = repeated(out)) invalid(field, "each once", twice->hex());
  return out;
}

Bytes WireTable::data(Field field, std::size_t bytes_max) const {
  const ByteSpan bytes = octets(field, std::nullopt);
  require(field, !bytes.empty());
  return check_count(field, bytes.size(), bytes_max) ? to_bytes(bytes) : Bytes();
}

std::string WireTable::checked_text(Field field, const flatbuffers::String& text,
                                    std::size_t bytes_max) const {
  constexpr std::size_t kNul = 1;
  buffer_->own(reinterpret_cast<const std::uint8_t*>(&text),
               sizeof(uoffset_t) + text.size() + kNul);
  if (text.size() > bytes_max) {
    invalid(field, "at most " + std::to_string(bytes_max) + " bytes", std::to_string(text.size()));
    return {};
  }
  std::string out(text.data(), text.size());
  if (out.empty()) fail(Code::field_missing, field, "a text", "an empty one");
  if (!is_utf8(out)) invalid(field, "UTF-8", out);
  return out;
}

std::string WireTable::text(Field field, std::size_t bytes_max) const {
  const std::uint8_t* at = target(field);
  require(field, at != nullptr);
  if (at == nullptr) return {};
  return checked_text(field, *reinterpret_cast<const flatbuffers::String*>(at), bytes_max);
}

std::vector<std::string> WireTable::texts(Field field, std::size_t count_max,
                                          std::size_t bytes_max) const {
  std::vector<std::string> out;
  const auto* items = list<flatbuffers::String>(field, count_max);
  for (uoffset_t i = 0; items != nullptr && i < items->size() && !buffer_->failed(); ++i) {
    out.push_back(checked_text(field, *items->Get(i), bytes_max));
  }
  return out;
}

std::vector<std::string> WireTable::names(Field field, std::size_t count_max) const {
  std::vector<std::string> out = texts(field, count_max, limits::kNameBytesMax);
  if (const auto* twice = repeated(out)) invalid(field, "each once", *twice);
  return out;
}

std::vector<std::uint16_t> WireTable::ports(Field field, std::size_t count_max) const {
  const std::uint8_t* at = target(field);
  if (at == nullptr) return {};
  const auto* items = reinterpret_cast<const flatbuffers::Vector<std::uint16_t>*>(at);
  buffer_->own(at, sizeof(uoffset_t) + sizeof(std::uint16_t) * items->size());
  if (!check_count(field, items->size(), count_max)) return {};
  std::vector<std::uint16_t> out;
  for (uoffset_t i = 0; i < items->size(); ++i) {
    out.push_back(items->Get(i));
    within(field, out.back(), 1, std::numeric_limits<std::uint16_t>::max());
  }
  return out;
}

WireTable WireTable::table(Field field, voffset_t last) const {
  require(field, has(field));
  return maybe_table(field, last);
}

WireTable WireTable::maybe_table(Field field, voffset_t last) const {
  const auto* table = reinterpret_cast<const flatbuffers::Table*>(target(field));
  return {*buffer_, table, last, this, field.name, std::nullopt};
}

std::vector<std::string> WireTable::check_features(
    Field field, std::initializer_list<std::string_view> known) const {
  const std::vector<std::string> out = names(field, limits::kListItemsMax);
  for (const std::string& feature : out) {
    if (std::find(known.begin(), known.end(), feature) != known.end()) continue;
    fail(Code::feature_unknown, field, "only features that this version knows", feature);
  }
  return out;
}

}  // namespace taper::capsules
