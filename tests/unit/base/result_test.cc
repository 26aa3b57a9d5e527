#include "runtime/base/result.h"

#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace taper {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) {
    return Error(Code::field_invalid,
                 {.field = "value", .expected = "even", .got = "odd", .fix = ""});
  }
  return value / 2;
}

Result<int> quarter(int value) {
  TAPER_TRY(const int once, half(value));
  TAPER_TRY(const int twice, half(once));
  return twice;
}

}  // namespace

TEST_CASE("a result that nobody set is a failure", "[base]") {
  const Result<int> result;
  CHECK_FALSE(result.ok());
  CHECK(result.code() == Code::unset);
  CHECK(exit_code(result.code()) == 1);
}

TEST_CASE("TAPER_TRY passes values on and errors up", "[base]") {
  CHECK(*quarter(8) == 2);
  const Result<int> odd = quarter(6);
  REQUIRE_FALSE(odd.ok());
  CHECK(odd.code() == Code::field_invalid);
  CHECK(odd.error().detail().got == "odd");
}

TEST_CASE("an error line carries number, name, detail and mending, escaped", "[base]") {
  const Error error(Code::argument_refused,
                    {.field = "path", .expected = "under /var/log", .got = "/etc\x1b", .fix = ""});
  const std::string line = to_line(error);
  CHECK(line.find("E504 argument_refused: ") == 0);
  CHECK(line.find("/etc\\x1b") != std::string::npos);
  CHECK(line.find("fix: ") != std::string::npos);
}

TEST_CASE("the error table is complete and its exit codes are those of the contract", "[base]") {
  std::set<std::string> names;
  for (const CodeInfo& info : all_codes()) {
    INFO(info.name);
    CHECK(names.insert(info.name).second);
    CHECK(std::string(info.text).empty() == false);
    const int code = exit_code(static_cast<Code>(info.number));
    CHECK(code >= 0);
    CHECK(code <= 6);
    if (info.number >= 500 && info.number < 600) CHECK(code == 3);
  }
  CHECK(describe_number(65535).number == 0);
}

TEST_CASE("a byte reader fails for good at the first short read", "[base]") {
  const Bytes bytes = ByteWriter().u16(7).text("abc").u64(9).bytes();
  ByteReader whole(bytes);
  CHECK(whole.u16() == 7);
  CHECK(whole.text(3) == "abc");
  CHECK(whole.u64() == 9);
  CHECK(whole.done());

  ByteReader capped(bytes);
  CHECK(capped.u16() == 7);
  CHECK(capped.block(2).empty());
  CHECK_FALSE(capped.ok());
  CHECK(capped.u8() == 0);
  CHECK_FALSE(capped.done());

  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    ByteReader cut_off(ByteSpan(bytes).first(cut));
    cut_off.u16();
    cut_off.block(3);
    cut_off.u64();
    CHECK_FALSE(cut_off.done());
  }
}

TEST_CASE("big-endian keys sort by number", "[base]") {
  CHECK(big_endian(1) < big_endian(256));
  CHECK(from_big_endian(big_endian(0x0102030405060708)) == 0x0102030405060708U);
  CHECK_FALSE(from_big_endian(Bytes(7)));
}

TEST_CASE("ids parse only at their exact size", "[base]") {
  CHECK(BootId::from_hex("000102030405060708090a0b0c0d0e0f"));
  CHECK_FALSE(BootId::from_hex("00"));
  CHECK(BootId{}.is_zero());
}

TEST_CASE("a manual clock moves only when told", "[base]") {
  ManualClock clock({.boot_ms = 1000, .wall_s = 50, .boot_id = {}});
  clock.advance_ms(1500);
  CHECK(clock.now().boot_ms == 2500);
  CHECK(clock.now().wall_s == 51);
  clock.advance_ms(500);
  CHECK(clock.now().wall_s == 52);
  clock.step_wall_s(-100);
  CHECK(clock.now().wall_s == -48);
  clock.reboot(*BootId::from_hex("ff0102030405060708090a0b0c0d0e0f"));
  CHECK(clock.now().boot_ms == 0);
}

}  // namespace taper
