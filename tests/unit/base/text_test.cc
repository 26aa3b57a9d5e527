#include "runtime/base/text.h"

#include <catch2/catch.hpp>

#include "runtime/base/bytes.h"

namespace taper {

TEST_CASE("hexadecimal text round trips and refuses what is not hexadecimal", "[base]") {
  const Bytes bytes = {0x00, 0x7f, 0xff};
  CHECK(to_hex(bytes) == "007fff");
  CHECK(from_hex("007FfF") == bytes);
  CHECK_FALSE(from_hex("0"));
  CHECK_FALSE(from_hex("0g"));
}

TEST_CASE("base64 follows RFC 4648 and refuses slack", "[base]") {
  CHECK(to_base64(as_bytes("")).empty());
  CHECK(to_base64(as_bytes("f")) == "Zg==");
  CHECK(to_base64(as_bytes("fo")) == "Zm8=");
  CHECK(to_base64(as_bytes("foobar")) == "Zm9vYmFy");
  CHECK(from_base64("Zm8=") == to_bytes(as_bytes("fo")));
  CHECK_FALSE(from_base64("Zm9"));       // no padding
  CHECK_FALSE(from_base64("Zm9="));      // stray bits
  CHECK_FALSE(from_base64("Zg==Zg=="));  // padding inside
  CHECK_FALSE(from_base64("Z==="));
  CHECK_FALSE(from_base64("Zm 8"));
}

TEST_CASE("UTF-8 is strict", "[base]") {
  CHECK(is_utf8("grüße \xf0\x9f\x95\xaf"));
  CHECK_FALSE(is_utf8("\xc0\xaf"));          // overlong
  CHECK_FALSE(is_utf8("\xe0\x80\xaf"));      // overlong
  CHECK_FALSE(is_utf8("\xed\xa0\x80"));      // surrogate
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));  // above U+10FFFF
  CHECK_FALSE(is_utf8("\xe2\x82"));          // cut off
  CHECK_FALSE(is_utf8("\x80"));
}

TEST_CASE("escaped text cannot drive a terminal", "[base]") {
  CHECK(escape_text("plain ü") == "plain ü");
  CHECK(escape_text("\x1b[31m\n") == "\\x1b[31m\\x0a");
  CHECK(escape_text("a\\b") == "a\\\\b");
  CHECK(escape_text("\xff") == "\\xff");
  CHECK(escape_text("\xe2\x80\xae") == "\\u{202e}");  // right-to-left override
  CHECK(escape_text("\xc2\x9b") == "\\u{9b}");        // C1 control
}

TEST_CASE("durations are one whole number and one unit", "[base]") {
  CHECK(parse_duration_ms("90s") == 90'000);
  CHECK(parse_duration_ms("15m") == 900'000);
  CHECK(parse_duration_ms("72h") == 259'200'000);
  CHECK(parse_duration_ms("7d") == 604'800'000);
  for (const char* bad :
       {"", "s", "0s", "-1s", "+1s", "1", "1.5h", "1h30m", " 1s", "1S", "99999999999999999d"}) {
    INFO(bad);
    CHECK_FALSE(parse_duration_ms(bad));
  }
  CHECK(format_duration_ms(90'000) == "1m 30s");
  CHECK(format_duration_ms(0) == "0s");
  CHECK(format_duration_ms(250) == "250ms");
  CHECK(format_duration_ms(-90'000) == "-1m 30s");
}

TEST_CASE("UTC times round trip", "[base]") {
  CHECK(parse_utc_s("1970-01-01T00:00:00Z") == 0);
  CHECK(parse_utc_s("2026-11-21T00:00:00Z") == 1'795'219'200);
  CHECK(format_utc_s(1'795'219'200) == "2026-11-21T00:00:00Z");
  CHECK(format_utc_s(-1) == "1969-12-31T23:59:59Z");
  for (const char* bad : {"2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-21T24:00:00Z",
                          "2026-11-21 00:00:00Z", "2026-11-21T00:00:00+00:00", ""}) {
    INFO(bad);
    CHECK_FALSE(parse_utc_s(bad));
  }
}

}  // namespace taper
