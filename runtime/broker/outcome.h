// What the sandbox reports, in the authority's words.
#pragma once

#include <string>
#include <string_view>

#include "runtime/authority/authority.h"
#include "runtime/base/limits.h"
#include "runtime/broker/result_json.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

// State, code, detail and exit status; the result's size and hash are not set.
authority::Outcome outcome_of(const sandbox::RunReport& report);
// Where there is no report.
authority::Outcome outcome_without_run(authority::CallState state, const Error& error);
// What a step's report shows of its result: all of it, or how long it is where it is longer than
// `bytes_max` and than saying so would be. Empty for none.
std::string shown_result(std::string_view json,
                         std::size_t bytes_max = limits::kStepResultShownBytes);

}  // namespace taper::broker
