// What a tool gave back, as the JSON that steps refer to and people see. docs/formats/results.md
#pragma once

#include <string>

#include "runtime/authority/tool.h"
#include "runtime/base/result.h"
#include "runtime/broker/masker.h"
#include "runtime/sandbox/spawner.h"

namespace taper::broker {

struct RenderedResult {
  std::string json;                // at most limits::kResultBytesMax
  std::uint64_t result_bytes = 0;  // what the tool itself gave, before any encoding
};

// Only for a report whose end is `done`. Builtins: an object of their fields and rows; file content
// is "text" when it is UTF-8, else "base64"; any other text that is not UTF-8 is NAME_base64.
// Commands: {"exit", "text" | "base64" | "json", "stderr" where there was any, cut and escaped,
// "masked" where a secret was taken out: the names of such}. Upstreams: {"mcp": the server's
// CallToolResult}, of which only content, structuredContent and _meta are taken.
// Errors: tool_output_malformed, output_cap.
Result<RenderedResult> render_result(const authority::Tool& tool, sandbox::RunReport report,
                                     Masker&& masker = Masker());

}  // namespace taper::broker
