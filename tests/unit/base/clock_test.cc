#include "runtime/base/clock.h"

#include <catch2/catch.hpp>

#include <string>

#include "runtime/base/boot_id.h"

namespace taper {
namespace {

TEST_CASE("a time namespace that moves a clock is told by its offsets", "[base]") {
  CHECK(is_unshifted("monotonic           0         0\nboottime            0         0\n"));
  CHECK_FALSE(is_unshifted("monotonic           0         0\nboottime          -60         0\n"));
  CHECK_FALSE(is_unshifted("monotonic           0         0\nboottime            0         1\n"));
  CHECK_FALSE(is_unshifted("monotonic         -60         0\nboottime            0         0\n"));
  CHECK_FALSE(is_unshifted(""));
  CHECK_FALSE(is_unshifted("boottime"));
}

TEST_CASE("a boot clock that is shifted counts from a boot of its own", "[base][R10]") {
  const BootId host = *BootId::from_hex("0123456789abcdef0123456789abcdef");
  const auto within = [&host](const std::string& boottime) {
    return boot_within(host, "monotonic          -5         7\nboottime   " + boottime + "\n");
  };
  CHECK(within("0         0") == host);
  CHECK(boot_within(host, "") == host);
  CHECK(within("60         0") != host);
  CHECK(within("0         1") != host);
  CHECK(within("60         0") == within("60         0"));
  CHECK(within("60         0") != within("-60         0"));
  CHECK(within("60         0") != within("0         60"));
}

}  // namespace
}  // namespace taper
