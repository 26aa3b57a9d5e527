// What the node knows of the time, for people: in denials, and when asked.
#pragma once

#include <string>
#include <string_view>

#include "runtime/authority/time.h"
#include "runtime/base/result.h"
#include "store/store.h"

namespace taper::authority {

std::string_view time_standing_name(TimeAssurance standing);  // "anchored", …
std::string_view time_source_name(TimeSource source);         // "the wall clock", …

// "2026-11-22T04:00:00Z by the wall clock".
std::string told_time(std::int64_t s, TimeSource source);
// A clock says no: `code` with `bound`, which `bound_s` is ("before …", "at least …"), and with the
// time that was compared, where it comes from, how far they lie apart, and what the wall clock
// shows where it is another.
Error time_denial(Code code, std::string field, std::string bound, std::int64_t bound_s,
                  std::int64_t time_s, TimeSource source, const Now& now);

struct TimeReport {
  Estimate estimate;                          // without any capsule
  std::int64_t wall_s = 0;                    // as it was read
  std::optional<std::int64_t> anchor_age_ms;  // where one of this boot is known, over or not
  std::int64_t signed_s = 0;                  // the signed lower bound; 0: none yet
};
TimeReport time_report(const TimeState& state, const Now& now);
// Beside whoever owns the state. Errors: store_corrupt, the store's.
Result<TimeReport> time_report(const store::Store& store, const Now& now);

}  // namespace taper::authority
