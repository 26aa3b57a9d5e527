// What a renewal puts beside STATE, each named STATE and one of these.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace taper::broker {

inline constexpr std::string_view kRenewing = ".renewing";     // a state out of its place
inline constexpr std::string_view kRenewLock = ".renew-lock";  // held by who renews
inline constexpr std::string_view kEnded = ".ended-";          // and digits: what was put aside

// A crash may leave the old state beside the new one, keys and all, until the renewal is finished.
// Nobody may own it meanwhile. Error: not_a_state.
Status check_in_place(const std::string& state);

}  // namespace taper::broker
