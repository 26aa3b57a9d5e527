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
  std::string_view err =
      {};  // of what is not done: its stderr, or a server's words, fit to be shown
  DecisionId decision = {};
};

// `remaining` is JSON in all of them; empty: not told.
std::string result_body(const CallResult& result, std::string_view remaining);
// `result` is a result_body, where it is handed out; `requests` what a call asks that waits, JSON.
std::string handle_body(const authority::CallView& call, const std::optional<std::string>& result,
                        std::string_view remaining, std::string_view requests = {});
// How far a call says that it is.
std::string progress_body(const sandbox::ToolProgress& progress);
// Of an answer to what a call asks.
std::string malformed_body(const Error& error);
std::string denial_body(const DecisionId& decision, std::string_view remaining);

}  // namespace taper::broker
