// What a server answered to tools/call, as the broker is told it.
#pragma once

#include <string_view>

#include "runtime/base/result.h"
#include "runtime/sandbox/builtin/message.h"

namespace taper::upstream {

// Fields: "result" (an object of content, structuredContent and _meta alone, on one line; of _meta
// what is reserved to the protocol or to Taper is left out, and all of one that is longer than
// limits::kUpstreamMetaBytesMax), "is_error" and, where that is true,
// "text" (the text blocks, cut to limits::kUpstreamTextShownBytes). `result` passed is_strict_json.
// Error: upstream_broken "message": it is no CallToolResult, or one that is not complete.
Result<sandbox::BuiltinResult> read_call_result(std::string_view result);

// Error as above, where `result` says that it is anything but complete: a task, or a question.
Status check_complete(std::string_view result);

}  // namespace taper::upstream
