// Policy "highwater": the latest that the wall clock ever showed is kept on disk and believed, as
// systemd-timesyncd does; leases by the wall clock. In place of runtime/authority/time.cc.
#include <algorithm>

#include "runtime/authority/time.h"
#include "tests/sim/plain_time.h"
#include "tests/sim/policy.h"

namespace taper::sim {

std::string_view policy_name() { return "highwater"; }

}  // namespace taper::sim

namespace taper::authority {

TimeState carry(const TimeState& state, const Now& now) {
  TimeState next = state;
  next.at = now;
  next.soft_s = std::max(state.soft_s, now.wall_s);
  return next;
}

Estimate estimate(const TimeState& state, std::int64_t /*issued_at_s*/, const Now& now) {
  return sim::believed(std::max(state.soft_s, now.wall_s));
}

}  // namespace taper::authority
