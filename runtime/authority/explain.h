// A decision told: the path of its questions, and what matched.
#pragma once

#include <vector>

#include "runtime/authority/decide.h"

namespace taper::authority {

// The whole path: every question up to the one that failed, with what was wanted and found.
std::vector<Answer> explain(const LiveTask& task, const Surroundings& around,
                            const CallRequest& request, const Ruling& ruling, const Now& now);

// "path": ["under /var/log"] for each argument of the grant that was chosen.
capsules::Object matched_constraints(const Ruling& ruling);

}  // namespace taper::authority
