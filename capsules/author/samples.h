// Values at the edges of constraints, and moments at those of times of day: where two capsules that
// differ are likely to answer differently.
#pragma once

#include <vector>

#include "capsules/constraints.h"

namespace taper::capsules {

// For one argument, given every constraint that anybody puts on it. Each value once.
std::vector<Value> edge_values(const std::vector<Constraint>& constraints);
// At least one moment.
std::vector<Moment> edge_moments(const std::vector<Constraint>& constraints);

}  // namespace taper::capsules
