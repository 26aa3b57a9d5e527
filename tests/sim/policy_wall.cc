// Policy "wall": the clock on the wall is believed, for windows and for leases alike. In place of
// runtime/authority/time.cc.
#include <algorithm>

#include "runtime/authority/time.h"
#include "tests/sim/plain_time.h"
#include "tests/sim/policy.h"

namespace taper::sim {

std::string_view policy_name() { return "wall"; }

}  // namespace taper::sim

namespace taper::authority {

TimeState carry(const TimeState& state, const Now& now) {
  TimeState next = state;
  next.at = now;
  return next;
}

Estimate estimate(const TimeState& /*state*/, std::int64_t /*issued_at_s*/, const Now& now) {
  return sim::believed(now.wall_s);
}

}  // namespace taper::authority
