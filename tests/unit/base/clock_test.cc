#include "runtime/base/clock.h"

#include <catch2/catch.hpp>

#include <string>

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

}  // namespace
}  // namespace taper
