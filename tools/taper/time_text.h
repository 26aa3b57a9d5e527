// What a node knows of the time, for people and programs.
#pragma once

#include <string>
#include <string_view>

#include "runtime/broker/embedded.h"
#include "tools/taper/output.h"

namespace taper::tools {

inline constexpr std::string_view kTimeLabel = "TIME";
inline constexpr std::string_view kTimeChallengeLabel = "TIME CHALLENGE";

// The lower bound and where it comes from.
std::string told_bound(const authority::TimeReport& report);
// Four lines: state, estimate, lower bound, wall clock.
void show_time(const authority::TimeReport& report, Output& out);
// {state, estimate, estimate_source, at_least, at_least_source, wall, wall_ahead_s, signed_bound,
// anchor_age_s}; at_least, its source and the last two null where there is none.
capsules::Value time_value(const authority::TimeReport& report);

}  // namespace taper::tools
