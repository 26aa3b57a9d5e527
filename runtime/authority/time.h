// What is known of the time without a network. This header and time.cc are the whole policy: pure
// functions over (TimeState, Now). Nothing else of the authority compares clocks, so another
// time.cc linked in its place is another policy, as a simulation does it.
//
// hard: a signed lower bound, carried on by the boot clock; no wall clock raises it, and nothing
// lowers it but a trust root that takes the time back. base: what the wall clock of earlier boots
// reached; a signed answer replaces it. anchor: the answer to this boot's challenge, which bounds
// the time from above too, for limits::kTimeAnchorMs.
// All arithmetic saturates: nothing passes because a difference went negative.
#pragma once

#include <cstdint>
#include <optional>

#include "capsules/capsule.h"
#include "runtime/base/clock.h"

namespace taper::authority {

using capsules::TimeAssurance;  // behind, bounded, anchored: how surely the time is known

std::int64_t saturating_add(std::int64_t a, std::int64_t b);
std::int64_t saturating_subtract(std::int64_t a, std::int64_t b);

// Boot-clock milliseconds from `since` to `now`. Another boot counts as one persistence interval;
// never negative.
std::int64_t elapsed_ms(const Now& since, const Now& now);

// "The time was at most `hi_ms` (since 1970) when the boot clock read `boot_ms`."
struct TimeAnchor {
  std::int64_t hi_ms = 0;
  std::int64_t boot_ms = 0;
};

// Milliseconds since 1970. Kept in the store with every commit.
struct TimeState {
  std::int64_t hard_ms = 0;     // the time was at least that at `at`; only a root's reset lowers it
  std::int64_t base_ms = 0;     // and, where the wall clocks of earlier boots were right, that
  std::int64_t soft_s = 0;      // the most that a settled wall clock showed: the next boot's base
  std::int64_t settled_ms = 0;  // boot time up to `at` without a step of the wall clock
  Now at;
  std::optional<TimeAnchor> anchor = {};  // of the boot of `at`
};

// The state at `now`: bounds moved on, less limits::kBootClockDrift; a wall clock that was settled
// for limits::kWallSettledMs and is not beyond limits::kWallAheadS taken into `soft_s`. In another
// boot the anchor is gone, and what was soft is the base.
TimeState carry(const TimeState& state, const Now& now);
// Carried, and raised to `signed_s` where that is later: a signed lower bound.
TimeState raise(const TimeState& state, std::int64_t signed_s, const Now& now);
// Carried, with the answer to a challenge that was made `age_ms` ago by the boot clock: when it was
// answered, the time was in `lo_s`..`hi_s`. Empty: it contradicts what was signed before, and
// nothing is changed.
std::optional<TimeState> with_anchor(const TimeState& state, std::int64_t lo_s, std::int64_t hi_s,
                                     std::int64_t age_ms, const Now& now);

// Where a time comes from.
enum class TimeSource : std::uint8_t {
  none,
  wall,           // the wall clock
  signed_bound,   // hard
  earlier_boots,  // base
  capsule,        // its own issued_at
  anchor,
};

// The time as one capsule sees it: `issued_at_s` is a lower bound for that capsule alone.
struct Estimate {
  std::int64_t s = 0;        // what is compared with ends; seconds since 1970
  std::int64_t least_s = 0;  // it is surely that late
  TimeSource source = TimeSource::none, least_source = TimeSource::none;
  // bounded: the wall clock does not stand before `least_s`, beyond tolerance.
  TimeAssurance standing = TimeAssurance::behind;
  std::int64_t anchored_ms = 0;  // of the anchor's time, which are left
};
Estimate estimate(const TimeState& state, std::int64_t issued_at_s, const Now& now);

// By so many seconds the wall clock was set between two readings; 0: not, within tolerance. From
// one boot to another only a step back is one.
std::int64_t step_s(const Now& before, const Now& now);
bool set_back(const Now& before, const Now& now);

}  // namespace taper::authority
