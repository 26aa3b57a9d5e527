// Text: encodings, UTF-8, escaping for people, words for durations and times.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/bytes.h"

namespace taper {

std::string to_hex(ByteSpan bytes);                       // lower case
std::optional<Bytes> from_hex(std::string_view text);     // either case, even length
std::string to_base64(ByteSpan bytes);                    // RFC 4648 section 4, padded
std::optional<Bytes> from_base64(std::string_view text);  // strict: padding, no stray bits

// Strict UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

// For terminals and log lines: printable text as it is; controls, DEL, C1, bidirectional marks and
// bytes that are not UTF-8 as \xNN or \u{N}; the backslash doubled. Never longer than 8 times the
// text.
std::string escape_text(std::string_view text);

// "90s", "15m", "72h", "7d": a whole number above zero and one unit. Milliseconds; empty when it is
// anything else or overflows.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);
std::string format_duration_ms(std::int64_t ms);  // "1h 30m", "0s"

// RFC 3339 in UTC with whole seconds, "2026-11-21T00:00:00Z".
std::optional<std::int64_t> parse_utc_s(std::string_view text);
std::string format_utc_s(std::int64_t unix_s);

}  // namespace taper
