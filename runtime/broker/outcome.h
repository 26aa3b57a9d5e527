// What the sandbox reports, in the authority's words.
#pragma once

#include <string>
#include <string_view>

#include "runtime/authority/authority.h"
#include "runtime/base/limits.h"
#include "runtime/broker/result_json.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

// State, code, detail and exit status; the result's size and hash are not set. What a server said
// goes to the subject: it may repeat any argument.
authority::Outcome outcome_of(const sandbox::RunReport& report,
                              authority::ToolKind kind = authority::ToolKind::command);
// An upstream's server that answers that its tool failed has answered, but the call has failed:
// makes the report say so, with the server's own words as its `err`.
void fail_by_answer(sandbox::RunReport& report);
// Where there is no report.
authority::Outcome outcome_without_run(authority::CallState state, const Error& error);
// What a step's report shows of its result: all of it, or how long it is where it is longer than
// `bytes_max` and than saying so would be. Empty for none.
std::string shown_result(std::string_view json,
                         std::size_t bytes_max = limits::kStepResultShownBytes);

}  // namespace taper::broker
