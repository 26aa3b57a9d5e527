#include "runtime/broker/masker.h"

#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::broker {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kBase64Columns = 76;

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

// As base64(1) prints what is longer than a line.
std::string wrapped(std::string_view digits) {
  std::string lines;
  lines.reserve(digits.size() + digits.size() / kBase64Columns);
  for (std::size_t at = 0; at < digits.size(); at += kBase64Columns) {
    if (at != 0) lines += '\n';
    lines += digits.substr(at, kBase64Columns);
  }
  return lines;
}

std::string json_form(std::string_view value) {
  std::string quoted;
  quoted.reserve(6 * value.size() + 2);  // so that no half of it is left behind
  capsules::append_json_string(quoted, value);
  std::string inside = quoted.substr(1, quoted.size() - 2);
  wipe_text(quoted);
  return inside;
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
      if (line.size() >= limits::kMaskedLineBytesMin) add(secret.name, std::string(line));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  std::ranges::sort(forms_, std::ranges::greater{},
                    [](const Form& form) { return form.bytes.size(); });
}

void Masker::add(const std::string& name, std::string form) {
  forms_.push_back({crypto::Secret::copy_of(as_bytes(form)), name});
  wipe_text(form);
}

void Masker::add_value(const std::string& name, std::string_view value) {
  add(name, std::string(value));
  if (is_utf8(value)) add(name, json_form(value));
  std::string hex = to_hex(as_bytes(value));
  add(name, hex);
  std::ranges::transform(hex, hex.begin(),
                         [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
  add(name, std::move(hex));
  for (std::size_t offset = 0; offset < 3; ++offset) {
    std::string digits = base64_inside(value, offset);
    if (offset == 0 && digits.size() > kBase64Columns) add(name, wrapped(digits));
    add(name, digits);
    std::ranges::replace(digits, '+', '-');
    std::ranges::replace(digits, '/', '_');
    add(name, std::move(digits));
  }
}

bool Masker::mask(std::string& text) {
  bool any = false;
  for (const Form& form : forms_) {
    const std::string_view bytes = as_text(form.bytes.bytes());
    std::size_t at = text.find(bytes);
    if (at == text.npos) continue;
    std::string out;
    std::size_t from = 0;
    for (; at != text.npos; at = text.find(bytes, from)) {
      out.append(text, from, at - from).append("[secret ").append(form.name).append("]");
      from = at + bytes.size();
    }
    out.append(text, from);
    wipe_text(text);
    text = std::move(out);
    any = true;
    if (std::ranges::find(found_, form.name) == found_.end()) found_.push_back(form.name);
  }
  return any;
}

// A value of the depth that the parser allows.
// NOLINTNEXTLINE(misc-no-recursion)
void Masker::mask(capsules::Value& value) {
  if (forms_.empty()) return;
  if (capsules::Array* array = value.array()) {
    for (capsules::Value& item : *array) mask(item);
  } else if (capsules::Object* object = value.object()) {
    for (auto& [key, member] : *object) {
      mask(key);
      mask(member);
    }
  } else {
    std::string text = value.text() != nullptr ? *value.text() : capsules::write_canonical(value);
    if (mask(text)) value = capsules::Value(std::move(text));
  }
}

Error Masker::masked(const Error& error) {
  ErrorDetail detail = error.detail();
  for (std::string* text : {&detail.field, &detail.expected, &detail.got, &detail.fix}) mask(*text);
  return Error(error.code(), std::move(detail));
}

}  // namespace taper::broker
