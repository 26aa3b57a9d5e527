#include "runtime/authority/time.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/limits.h"

namespace taper::authority {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

}  // namespace

std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? kMost : kLeast;
}

std::int64_t saturating_subtract(std::int64_t a, std::int64_t b) {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? kMost : kLeast;
}

std::int64_t elapsed_ms(const Now& since, const Now& now) {
  if (since.boot_id != now.boot_id) return limits::kPersistIntervalMs;
  return std::max<std::int64_t>(0, saturating_subtract(now.boot_ms, since.boot_ms));
}

std::int64_t floor_ms(const TimeAnchor& anchor, const Now& now) {
  if (anchor.at.boot_id != now.boot_id) return anchor.floor_ms;
  const std::int64_t elapsed = elapsed_ms(anchor.at, now);
  const double drift = std::ceil(static_cast<double>(elapsed) * limits::kBootClockDrift);
  return saturating_add(anchor.floor_ms, elapsed - static_cast<std::int64_t>(drift));
}

TimeAnchor raise(const TimeAnchor& anchor, std::int64_t signed_s, const Now& now) {
  std::int64_t signed_ms = 0;
  if (__builtin_mul_overflow(signed_s, std::int64_t{1000}, &signed_ms)) signed_ms = 0;
  return {std::max(floor_ms(anchor, now), signed_ms), now};
}

Estimate estimate(const TimeAnchor& anchor, std::int64_t issued_at_s, const Now& now) {
  const std::int64_t floor_s = std::max(floor_ms(anchor, now) / 1000, issued_at_s);
  const std::int64_t tolerated = saturating_subtract(floor_s, limits::kClockStepToleranceS);
  return {std::max(floor_s, now.wall_s), now.wall_s < tolerated};
}

bool set_back(const Now& before, const Now& now) {
  const bool same_boot = before.boot_id == now.boot_id;
  const std::int64_t passed_s = same_boot ? elapsed_ms(before, now) / 1000 : 0;
  const std::int64_t due_s = saturating_add(before.wall_s, passed_s);
  return now.wall_s < saturating_subtract(due_s, limits::kClockStepToleranceS);
}

}  // namespace taper::authority
