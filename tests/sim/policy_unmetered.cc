// Policy "ours-without-metering": our time, but what a task was active is not counted on. In place
// of runtime/authority/time.cc, of which all but that is taken as it is.
#define elapsed_ms elapsed_of_the_boot_ms
#include "runtime/authority/time.cc"
#undef elapsed_ms

#include "tests/sim/policy.h"

namespace taper::sim {

std::string_view policy_name() { return "ours-without-metering"; }

}  // namespace taper::sim

namespace taper::authority {

std::int64_t elapsed_ms(const Now& /*since*/, const Now& /*now*/) { return 0; }

}  // namespace taper::authority
