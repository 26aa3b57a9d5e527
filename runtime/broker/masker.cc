#include "runtime/broker/masker.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/sandbox/builtin/message.h"

namespace taper::broker {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

void wipe_text(std::string& text) {
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// The digits that stand for `value` whatever comes before and after it, where it begins `offset`
// bytes into a group of three.
std::string base64_inside(std::string_view value, std::size_t offset) {
  constexpr std::size_t kByteBits = 8;
  constexpr std::size_t kDigitBits = 6;
  Bytes bytes(offset + value.size());
  std::ranges::copy(as_bytes(value), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  std::string all = to_base64(bytes);
  const std::size_t first = (offset * kByteBits + kDigitBits - 1) / kDigitBits;
  const std::size_t last = bytes.size() * kByteBits / kDigitBits;
  std::string digits = all.substr(first, last - first);
  crypto::wipe(bytes);
  wipe_text(all);
  return digits;
}

// A text read in another way: `text`, and for each of its bytes the place in the original where
// what stands for it begins and ends.
struct Reading {
  std::string text;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> from;
  void add(std::string_view bytes, std::size_t begin, std::size_t end) {
    text += bytes;
    from.resize(text.size(), {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
  }
};

Reading begin_reading(std::size_t size) {
  Reading out;
  out.text.reserve(size);  // so that no half of it is left behind
  out.from.reserve(size);
  return out;
}

// Without white space, and without the line ends of a text inside JSON: base64 and hex come in
// lines of any length.
Reading without_space(std::string_view text) {
  Reading out = begin_reading(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool line_end =
        text[at] == '\\' && at + 1 < text.size() && (text[at + 1] == 'n' || text[at + 1] == 'r');
    if (line_end) {
      ++at;
    } else if (kSpace.find(text[at]) == kSpace.npos) {
      out.add(text.substr(at, 1), at, at + 1);
    }
  }
  return out;
}

// Of the four digits after \u at `at`; empty: there is no such escape.
std::optional<std::uint32_t> escaped_unit(std::string_view text, std::size_t at) {
  if (!text.substr(std::min(at, text.size())).starts_with("\\u")) return {};
  const std::optional<Bytes> bytes = from_hex(text.substr(at + 2, 4));
  if (!bytes || bytes->size() != 2) return {};
  return static_cast<std::uint32_t>((*bytes)[0]) << 8U | (*bytes)[1];
}

std::string utf8_of(std::uint32_t point) {
  const auto tail = [point](unsigned shift) {
    return static_cast<char>(0x80U | ((point >> shift) & 0x3FU));
  };
  if (point < 0x80) return {static_cast<char>(point)};
  if (point < 0x800) return {static_cast<char>(0xC0U | point >> 6U), tail(0)};
  if (point < 0x10000) return {static_cast<char>(0xE0U | point >> 12U), tail(6), tail(0)};
  return {static_cast<char>(0xF0U | point >> 18U), tail(12), tail(6), tail(0)};
}

// With the escapes of JSON's strings undone, whichever of them the writer chose.
Reading unescaped(std::string_view text) {
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  Reading out = begin_reading(text.size());
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    std::string meant(1, text[at]);
    if (text[at] == '\\' && end < text.size()) {
      const std::size_t letter = kLetters.find(text[end]);
      std::optional<std::uint32_t> unit = escaped_unit(text, at);
      if (letter != kLetters.npos) {
        meant = kMeant.substr(letter, 1);
        ++end;
      } else if (unit) {
        end = at + 6;
        const auto low = escaped_unit(text, end);
        if (*unit >= 0xD800 && *unit < 0xDC00 && low && *low >= 0xDC00 && *low < 0xE000) {
          unit = 0x10000 + ((*unit - 0xD800) << 10U) + (*low - 0xDC00);
          end += 6;
        }
        meant = utf8_of(*unit);
      }
    }
    out.add(meant, at, end);
    at = end;
  }
  return out;
}

// The most bytes of `form`, but not all, that `text` ends with; 0: too few to tell.
std::size_t begun_at_end(std::string_view text, std::string_view form) {
  for (std::size_t size = std::min(form.size() - 1, text.size()); size >= limits::kMaskedBytesMin;
       --size)
    if (text.ends_with(form.substr(0, size))) return size;
  return 0;
}

// The same of the form's end, at the beginning of the text.
std::size_t ended_at_begin(std::string_view text, std::string_view form) {
  for (std::size_t size = std::min(form.size() - 1, text.size()); size >= limits::kMaskedBytesMin;
       --size)
    if (text.starts_with(form.substr(form.size() - size))) return size;
  return 0;
}

// As long as the longest escape of one character, which the cut may have gone through.
constexpr std::size_t kEscapeBytesMax = 12;

struct Part {
  std::size_t begin, end;
};

// A part of `form` that stands before the last mark of a cut, or behind the first.
std::vector<Part> parts_at_cuts(std::string_view text, std::string_view form) {
  std::vector<Part> parts;
  const std::size_t last = text.rfind(sandbox::kCutMark);
  if (last == text.npos) return parts;
  for (std::size_t end = last; end + kEscapeBytesMax >= last; --end) {
    const bool whole = end == last || text[end] == '\\';
    const std::size_t size = whole ? begun_at_end(text.substr(0, end), form) : 0;
    if (size > 0) parts.push_back({end - size, last});
    if (size > 0 || end == 0) break;
  }
  const std::size_t first = text.find(sandbox::kCutMark) + sandbox::kCutMark.size();
  for (std::size_t begin = first; begin < std::min(text.size(), first + kEscapeBytesMax); ++begin) {
    const std::size_t size = ended_at_begin(text.substr(begin), form);
    if (size > 0) parts.push_back({first, begin + size});
    if (size > 0) break;
  }
  return parts;
}

}  // namespace

Masker::Masker(const std::vector<authority::CallSecret>& secrets) {
  for (const authority::CallSecret& secret : secrets) {
    const std::string_view value = trimmed(as_text(secret.value.bytes()));
    if (value.size() < limits::kMaskedBytesMin) continue;
    add_value(secret.name, value);
    if (value.find('\n') == value.npos) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = trimmed(rest.substr(0, end));
      if (line.size() >= limits::kMaskedLineBytesMin)
        add(secret.name, std::string(line), Kind::value);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
}

void Masker::add(const std::string& name, std::string form, Kind kind) {
  forms_.push_back({crypto::Secret::copy_of(as_bytes(form)), name, kind});
  wipe_text(form);
}

void Masker::add_value(const std::string& name, std::string_view value) {
  add(name, std::string(value), Kind::value);
  // An error's text stands on one line.
  std::string line(value);
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
  std::ranges::replace_if(line, is_control, ' ');
  line == value ? wipe_text(line) : add(name, std::move(line), Kind::value);
  std::string hex = to_hex(as_bytes(value));
  add(name, hex, Kind::digits);
  std::ranges::transform(hex, hex.begin(),
                         [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
  add(name, std::move(hex), Kind::digits);
  for (std::size_t offset = 0; offset < 3; ++offset) {
    std::string digits = base64_inside(value, offset);
    add(name, digits, Kind::digits);
    std::ranges::replace(digits, '+', '-');
    std::ranges::replace(digits, '/', '_');
    add(name, std::move(digits), Kind::digits);
  }
}

// Adds where a form of this kind stands in the reading, as places of the original.
void Masker::find(std::string_view reading, const Places& from, Kind kind,
                  std::vector<Match>& found) const {
  for (const Form& form : forms_) {
    if (form.kind != kind) continue;
    const std::string_view bytes = as_text(form.bytes.bytes());
    std::vector<Part> parts = parts_at_cuts(reading, bytes);
    for (std::size_t at = reading.find(bytes); at != reading.npos;
         at = reading.find(bytes, at + bytes.size()))
      parts.push_back({at, at + bytes.size()});
    for (const auto& [begin, end] : parts)
      found.push_back({from.empty() ? begin : from[begin].first,
                       from.empty() ? end : from[end - 1].second, &form.name});
  }
}

bool Masker::mask(std::string& text) {
  if (forms_.empty()) return false;
  std::vector<Match> found;
  for (const Kind kind : {Kind::value, Kind::digits}) find(text, {}, kind, found);
  if (text.find('\\') != text.npos) {
    Reading reading = unescaped(text);
    find(reading.text, reading.from, Kind::value, found);
    wipe_text(reading.text);
  }
  if (text.find_first_of("\\ \t\r\n") != text.npos) {
    Reading reading = without_space(text);
    find(reading.text, reading.from, Kind::digits, found);
    wipe_text(reading.text);
  }
  if (found.empty()) return false;
  // Of those that overlap the first stands for all, and of those that begin together the longest.
  std::ranges::sort(found, [](const Match& a, const Match& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  std::string out;
  std::size_t from = 0;
  for (const Match& match : found) {
    if (match.begin >= from) {
      out.append(text, from, match.begin - from).append("[secret ").append(*match.name).append("]");
    }
    from = std::max(from, match.end);
    if (std::ranges::find(found_, *match.name) == found_.end()) found_.push_back(*match.name);
  }
  out.append(text, from);
  wipe_text(text);
  text = std::move(out);
  return true;
}

// A value of the depth that the parser allows.
// NOLINTNEXTLINE(misc-no-recursion)
void Masker::mask(capsules::Value& value) {
  if (forms_.empty()) return;
  if (capsules::Array* array = value.array()) {
    for (capsules::Value& item : *array) mask(item);
  } else if (capsules::Object* object = value.object()) {
    for (auto& member : *object) mask(member.second);
    mask_keys(*object);
  } else {
    std::string text = value.text() != nullptr ? *value.text() : capsules::write_canonical(value);
    if (mask(text)) value = capsules::Value(std::move(text));
  }
}

// Two keys may become one: those are numbered, so that none is lost and the JSON stays strict.
void Masker::mask_keys(capsules::Object& object) {
  std::set<std::string, std::less<>> taken;
  std::vector<std::string*> changed;
  for (auto& member : object) {
    if (mask(member.first)) {
      changed.push_back(&member.first);
    } else {
      taken.insert(member.first);
    }
  }
  std::map<std::string, std::size_t> next;  // for keys of this text, so that none is tried twice
  for (std::string* key : changed) {
    const std::string plain = *key;
    std::size_t& number = next.try_emplace(plain, 2).first->second;
    while (!taken.insert(*key).second) *key = plain + " " + std::to_string(number++);
  }
}

Error Masker::masked(const Error& error) {
  ErrorDetail detail = error.detail();
  for (std::string* text : {&detail.field, &detail.expected, &detail.got, &detail.fix}) mask(*text);
  return Error(error.code(), std::move(detail));
}

}  // namespace taper::broker
