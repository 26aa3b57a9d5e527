// What the answers of a session say, as JSON; docs/formats/session.md has their members. Each says
// no more of a denial than its number: its words are for the operator.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/authority/authority.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

// How a tool's call went, for whoever made it.
struct CallResult {
  Code code = Code::ok;
  std::string_view json = {};  // what the tool gave; empty where it is not done
  std::string_view err = {};   // of a command that is not done: its stderr, fit to be shown
  DecisionId decision = {};
};

// `remaining` is JSON in all of them; empty: not told.
std::string result_body(const CallResult& result, std::string_view remaining);
// `result` is a result_body, where it is handed out.
std::string handle_body(const authority::CallView& call, const std::optional<std::string>& result,
                        std::string_view remaining);
// How far a call says that it is.
std::string progress_body(const sandbox::ToolProgress& progress);
std::string denial_body(const DecisionId& decision, std::string_view remaining);

}  // namespace taper::broker
