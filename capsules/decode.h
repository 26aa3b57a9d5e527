// Parts of the decoders that more than one payload uses. Private to this folder.
#pragma once

#include <vector>

#include "capsules/capsule.h"
#include "capsules/wire.h"

namespace taper::capsules {

// The rules of one grant; names are unique.
std::vector<ArgRule> decode_rules(const WireTable& owner, Field field);
Budget decode_budget(const WireTable& owner, Field field);
CellLimits decode_cell(const WireTable& owner, Field field);
Grant decode_grant(const WireTable& table);
// After the grants, which name them: each once, used by a grant, and only by grants that pin their
// tool.
void decode_secrets(const WireTable& root, Field field, Capsule& out);
Plan decode_plan(const WireTable& table);
ResultRule decode_result(const WireTable& table);

}  // namespace taper::capsules
