// What is known of the time without a network: a signed lower bound carried forward on the boot
// clock. Unsigned wall time never raises it; nothing lowers it. All arithmetic saturates.
#pragma once

#include <cstdint>

#include "runtime/base/clock.h"

namespace taper::authority {

std::int64_t saturating_add(std::int64_t a, std::int64_t b);
std::int64_t saturating_subtract(std::int64_t a, std::int64_t b);

// Boot-clock milliseconds from `since` to `now`. Another boot counts as one persistence interval;
// never negative.
std::int64_t elapsed_ms(const Now& since, const Now& now);

// "The time was at least `floor_ms` (since 1970) when the boot clock read `at`."
struct TimeAnchor {
  std::int64_t floor_ms = 0;
  Now at;
};

// The lower bound now: the anchor plus the boot time since, less limits::kBootClockDrift.
std::int64_t floor_ms(const TimeAnchor& anchor, const Now& now);
// The anchor moved to `now`, raised to `signed_s` where that is later.
TimeAnchor raise(const TimeAnchor& anchor, std::int64_t signed_s, const Now& now);

// The time as one capsule sees it: `issued_at_s` is a lower bound for that capsule alone.
struct Estimate {
  std::int64_t s = 0;   // max(lower bound, wall clock), seconds since 1970
  bool behind = false;  // the wall clock stands before the lower bound, beyond tolerance
};
Estimate estimate(const TimeAnchor& anchor, std::int64_t issued_at_s, const Now& now);

// The wall clock moved back against the boot clock between two readings, beyond tolerance.
bool set_back(const Now& before, const Now& now);

}  // namespace taper::authority
