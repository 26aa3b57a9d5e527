// The time policy of the product itself: runtime/authority/time.cc, from its library.
#include "tests/sim/policy.h"

namespace taper::sim {

std::string_view policy_name() { return "ours"; }

}  // namespace taper::sim
