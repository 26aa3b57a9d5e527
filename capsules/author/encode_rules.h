// Argument rules as parts of a payload. Private to this folder.
#pragma once

#include <vector>

#include "capsule_generated.h"
#include "capsules/capsule.h"

namespace taper::capsules {

using WireRules = flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<wire::ArgRule>>>;
WireRules write_rules(flatbuffers::FlatBufferBuilder& fbb, const std::vector<ArgRule>& rules);

}  // namespace taper::capsules
