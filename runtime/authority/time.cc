#include "runtime/authority/time.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/base/limits.h"

namespace taper::authority {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

std::int64_t drift_ms(std::int64_t elapsed) {
  return static_cast<std::int64_t>(
      std::ceil(static_cast<double>(elapsed) * limits::kBootClockDrift));
}

std::int64_t ms_of(std::int64_t s) {
  std::int64_t ms = 0;
  return __builtin_mul_overflow(s, std::int64_t{1000}, &ms) ? (s < 0 ? kLeast : kMost) : ms;
}

// What the anchor says at `now`, which is of its boot. Empty: its time is over.
std::optional<std::int64_t> latest_ms(const TimeState& state, const Now& now) {
  if (!state.anchor) return std::nullopt;
  const std::int64_t age = saturating_subtract(now.boot_ms, state.anchor->boot_ms);
  if (age < 0 || age >= limits::kTimeAnchorMs) return std::nullopt;
  return saturating_add(state.anchor->hi_ms, age + drift_ms(age));
}

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

TimeState carry(const TimeState& state, const Now& now) {
  TimeState next = state;
  next.at = now;
  if (state.at.boot_id != now.boot_id) {
    next.base_ms = std::max(state.base_ms, ms_of(state.soft_s));
    next.settled_ms = 0;
    next.anchor.reset();
    return next;
  }
  const std::int64_t elapsed = elapsed_ms(state.at, now);
  const std::int64_t sure = elapsed - drift_ms(elapsed);
  next.hard_ms = saturating_add(state.hard_ms, sure);
  next.base_ms = saturating_add(state.base_ms, sure);
  next.settled_ms = step_s(state.at, now) != 0 ? 0 : saturating_add(state.settled_ms, elapsed);
  const std::int64_t ahead_s =
      saturating_add(std::max(next.hard_ms, next.base_ms) / 1000, limits::kWallAheadS);
  const std::int64_t most_s = latest_ms(next, now).value_or(kMost) / 1000;
  if (next.settled_ms >= limits::kWallSettledMs && now.wall_s <= std::min(ahead_s, most_s))
    next.soft_s = std::max(next.soft_s, now.wall_s);
  return next;
}

TimeState raise(const TimeState& state, std::int64_t signed_s, const Now& now) {
  TimeState next = carry(state, now);
  next.hard_ms = std::max(next.hard_ms, ms_of(signed_s));
  return next;
}

std::optional<TimeState> with_anchor(const TimeState& state, std::int64_t lo_s, std::int64_t hi_s,
                                     std::int64_t age_ms, const Now& now) {
  const std::int64_t hi_ms = saturating_add(ms_of(hi_s), age_ms + drift_ms(age_ms));
  if (hi_ms < carry(state, now).hard_ms) return std::nullopt;
  TimeState next = raise(state, lo_s, now);
  // What wall clocks showed counts no more, in either direction.
  next.base_ms = 0;
  next.soft_s = next.hard_ms / 1000;
  next.anchor = TimeAnchor{hi_ms, now.boot_ms};
  return next;
}

Estimate estimate(const TimeState& state, std::int64_t issued_at_s, const Now& now) {
  const TimeState at = carry(state, now);
  Estimate out;
  const bool base = at.base_ms > at.hard_ms;
  out.least_s = std::max(at.hard_ms, at.base_ms) / 1000;
  out.least_source = base ? TimeSource::earlier_boots : TimeSource::signed_bound;
  if (issued_at_s > out.least_s) {
    out.least_s = issued_at_s;
    out.least_source = TimeSource::capsule;
  }
  const std::optional<std::int64_t> latest = latest_ms(at, now);
  const std::int64_t other_s = latest ? saturating_add(*latest, 999) / 1000 : now.wall_s;
  out.s = std::max(out.least_s, other_s);
  out.source = other_s < out.least_s ? out.least_source
               : latest              ? TimeSource::anchor
                                     : TimeSource::wall;
  const std::int64_t tolerated = saturating_subtract(out.least_s, limits::kClockStepToleranceS);
  out.standing = latest                   ? TimeAssurance::anchored
                 : now.wall_s < tolerated ? TimeAssurance::behind
                                          : TimeAssurance::bounded;
  if (latest) out.anchored_ms = limits::kTimeAnchorMs - (now.boot_ms - at.anchor->boot_ms);
  return out;
}

std::int64_t step_s(const Now& before, const Now& now) {
  const bool same_boot = before.boot_id == now.boot_id;
  const std::int64_t passed_s = same_boot ? elapsed_ms(before, now) / 1000 : 0;
  const std::int64_t step =
      saturating_subtract(now.wall_s, saturating_add(before.wall_s, passed_s));
  const bool back = step < -limits::kClockStepToleranceS;
  const bool forward = same_boot && step > limits::kClockStepToleranceS;
  return back || forward ? step : 0;
}

bool set_back(const Now& before, const Now& now) { return step_s(before, now) < 0; }

}  // namespace taper::authority
