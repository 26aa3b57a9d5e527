// What "wall" and "highwater" have in common of runtime/authority/time.h: nothing signed counts,
// and time passes as the wall clock does. Included by one source of a program.
#pragma once

#include <algorithm>
#include <limits>

#include "runtime/authority/time.h"
#include "runtime/base/limits.h"

namespace taper::sim {

inline authority::Estimate believed(std::int64_t time_s) {
  authority::Estimate out;
  out.s = out.least_s = time_s;
  out.source = out.least_source = authority::TimeSource::wall;
  out.standing = authority::TimeAssurance::anchored;
  out.anchored_ms = limits::kTimeAnchorMs;
  return out;
}

}  // namespace taper::sim

namespace taper::authority {

std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  using Limits = std::numeric_limits<std::int64_t>;
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? Limits::max() : Limits::min();
}

std::int64_t saturating_subtract(std::int64_t a, std::int64_t b) {
  using Limits = std::numeric_limits<std::int64_t>;
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return b < 0 ? Limits::max() : Limits::min();
}

std::int64_t elapsed_ms(const Now& since, const Now& now) {
  return std::max<std::int64_t>(0, (now.wall_s - since.wall_s) * 1000);
}

TimeState raise(const TimeState& state, std::int64_t /*signed_s*/, const Now& now) {
  return carry(state, now);
}

std::optional<TimeState> with_anchor(const TimeState& state, std::int64_t /*lo_s*/,
                                     std::int64_t /*hi_s*/, std::int64_t /*age_ms*/,
                                     const Now& now) {
  return carry(state, now);
}

std::int64_t step_s(const Now& /*before*/, const Now& /*now*/) { return 0; }
bool set_back(const Now& /*before*/, const Now& /*now*/) { return false; }

}  // namespace taper::authority
