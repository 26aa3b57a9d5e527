// Which policy of time this program was linked with.
#pragma once

#include <string_view>

namespace taper::sim {

std::string_view policy_name();

}  // namespace taper::sim
