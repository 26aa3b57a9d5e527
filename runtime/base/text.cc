#include "runtime/base/text.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>

namespace taper {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Length of the valid UTF-8 sequence at the start of `text` and its code point; length 0 when
// invalid.
struct Sequence {
  std::size_t length = 0;
  std::uint32_t point = 0;
};

Sequence next_sequence(std::string_view text) {
  const auto byte = [&text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {1, lead};
  std::size_t length = 0;
  std::uint32_t point = 0;
  std::uint32_t least = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2, point = lead & 0x1FU, least = 0x80;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3, point = lead & 0x0FU, least = 0x800;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4, point = lead & 0x07U, least = 0x10000;
  } else {
    return {};
  }
  if (text.size() < length) return {};
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {};
    point = (point << 6U) | (byte(i) & 0x3FU);
  }
  const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  if (point < least || point > 0x10FFFF || surrogate) return {};
  return {length, point};
}

// Marks that reorder or hide text on a terminal.
bool is_hidden(std::uint32_t point) {
  return (point >= 0x80 && point <= 0x9F) || point == 0xAD ||
         (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
         (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF || point == 0x061C ||
         (point >= 0xE0000 && point <= 0xE007F);
}

}  // namespace

std::string to_hex(ByteSpan bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out += kHexDigits[byte >> 4U];
    out += kHexDigits[byte & 0x0FU];
  }
  return out;
}

std::optional<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return out;
}

std::string to_base64(ByteSpan bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = (group << 8U) | (k < have ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= have ? kBase64Digits[(group >> (18 - 6 * k)) & 0x3FU] : '=';
    }
  }
  return out;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  Bytes out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::string_view quad = text.substr(i, 4);
    const bool last = i + 4 == text.size();
    std::size_t digits = 4;
    if (last && quad[3] == '=') digits = quad[2] == '=' ? 2 : 3;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::size_t value = k < digits ? kBase64Digits.find(quad[k]) : 0;
      if (value == std::string_view::npos) return std::nullopt;
      group = (group << 6U) | static_cast<std::uint32_t>(value);
    }
    const std::uint32_t unused = digits == 4 ? 0 : group & (digits == 3 ? 0xFFU : 0xFFFFU);
    if (unused != 0) return std::nullopt;
    for (std::size_t k = 0; k + 1 < digits; ++k) {
      out.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * k)));
    }
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Sequence sequence = next_sequence(text);
    if (sequence.length == 0) return false;
    text.remove_prefix(sequence.length);
  }
  return true;
}

std::string escape_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::array<char, 16> buffer{};
  while (!text.empty()) {
    const Sequence sequence = next_sequence(text);
    const auto byte = static_cast<std::uint8_t>(text.front());
    if (sequence.length == 0 || byte < 0x20 || byte == 0x7F) {
      std::snprintf(buffer.data(), buffer.size(), "\\x%02x", byte);
      out += buffer.data();
      text.remove_prefix(1);
      continue;
    }
    if (is_hidden(sequence.point)) {
      std::snprintf(buffer.data(), buffer.size(), "\\u{%x}", sequence.point);
      out += buffer.data();
    } else if (byte == '\\') {
      out += "\\\\";
    } else {
      out += text.substr(0, sequence.length);
    }
    text.remove_prefix(sequence.length);
  }
  return out;
}

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  if (text.size() < 2 || text.front() < '0' || text.front() > '9') return std::nullopt;
  std::int64_t unit_ms = 0;
  switch (text.back()) {
    case 's': unit_ms = 1000; break;
    case 'm': unit_ms = 60'000; break;
    case 'h': unit_ms = 3'600'000; break;
    case 'd': unit_ms = 86'400'000; break;
    default: return std::nullopt;
  }
  std::int64_t count = 0;
  const char* end = text.data() + text.size() - 1;
  const auto parsed = std::from_chars(text.data(), end, count);
  if (parsed.ec != std::errc{} || parsed.ptr != end || count <= 0) return std::nullopt;
  if (count > std::numeric_limits<std::int64_t>::max() / unit_ms) return std::nullopt;
  return count * unit_ms;
}

std::string format_duration_ms(std::int64_t ms) {
  if (ms < 0)
    return "-" + format_duration_ms(ms == std::numeric_limits<std::int64_t>::min()
                                        ? std::numeric_limits<std::int64_t>::max()
                                        : -ms);
  if (ms > 0 && ms < 1000) return std::to_string(ms) + "ms";
  struct UnitName {
    std::int64_t ms;
    const char* name;
  };
  constexpr std::array kUnits = {UnitName{86'400'000, "d"}, UnitName{3'600'000, "h"},
                                 UnitName{60'000, "m"}, UnitName{1000, "s"}};
  std::string out;
  int parts = 0;
  for (const UnitName& unit : kUnits) {
    const std::int64_t count = ms / unit.ms;
    ms %= unit.ms;
    if (count == 0 || parts == 2) continue;
    if (!out.empty()) out += ' ';
    out += std::to_string(count) + unit.name;
    ++parts;
  }
  return out.empty() ? "0s" : out;
}

std::optional<std::int64_t> parse_utc_s(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == '0' ? !digit : text[i] != kShape[i]) return std::nullopt;
  }
  const auto number = [&text](std::size_t at, std::size_t count) {
    int value = 0;
    std::from_chars(text.data() + at, text.data() + at + count, value);
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59)
    return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return days * 86'400 + number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2);
}

std::string format_utc_s(std::int64_t unix_s) {
  constexpr std::int64_t kLeast = -62'167'219'200;  // year 0
  constexpr std::int64_t kMost = 253'402'300'799;   // year 9999
  if (unix_s < kLeast || unix_s > kMost) return "time " + std::to_string(unix_s);
  std::int64_t days = unix_s / 86'400;
  std::int64_t second = unix_s % 86'400;
  if (second < 0) --days, second += 86'400;
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
  std::array<char, 48> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(second / 3600),
                static_cast<int>(second / 60 % 60), static_cast<int>(second % 60));
  return buffer.data();
}

}  // namespace taper
