// What a server may ask for in the middle of a call, since 2026-07-28: an InputRequiredResult.
#pragma once

#include <string_view>

#include "runtime/sandbox/builtin/message.h"

namespace taper::upstream {

// The client's capabilities that a call is made with, as JSON.
std::string_view capabilities_for(authority::Input input);

// Whether a result of tools/call is one. `result` passed is_strict_json.
bool is_question(std::string_view result);

// Field "asked": an object of "inputRequests" and "requestState", as far as the server gave them,
// each at most limits::kInputBytesMax, on one line. Every request is an elicitation/create in a
// mode that was offered. Errors: upstream_broken "message": it is not as it must be, or asks for
// what nobody offered; too_large.
Result<sandbox::BuiltinResult> read_question(std::string_view result, authority::Input offered);

}  // namespace taper::upstream
