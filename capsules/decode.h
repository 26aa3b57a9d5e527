// Parts of the decoders that more than one payload uses. Private to this folder.
#pragma once

#include <vector>

#include "capsules/capsule.h"
#include "capsules/wire.h"

namespace taper::capsules {

// The rules of one grant; names are unique.
std::vector<ArgRule> decode_rules(const WireTable& owner, Field field);
Budget decode_budget(const WireTable& owner, Field field);
Grant decode_grant(const WireTable& table);
Plan decode_plan(const WireTable& table);
ResultRule decode_result(const WireTable& table);

}  // namespace taper::capsules
