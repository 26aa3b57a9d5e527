// What the authority is told about this host.
#pragma once

#include <string>

#include "runtime/authority/authority.h"
#include "runtime/authority/node.h"

namespace taper::broker {

// The paths never given to a tool are the real ones of the state, both tools.d, `holder_key` and
// every other *.key beside it. `holder_key` may be empty. Error: os_failure.
Result<authority::NodeFacts> node_facts(const std::string& state,
                                        const authority::NodeRecord& record,
                                        const std::string& holder_key);

}  // namespace taper::broker
