// What a task may do and what is left of it, as the agent and the client read it.
#pragma once

#include <optional>
#include <string>

#include "runtime/edge/mcp/backend.h"

namespace taper::tools {

inline constexpr std::string_view kTaskUri = "taper://task";

mcp::Resource task_resource();

// From the body of a description: the same twice, as Markdown and as the JSON itself. Empty when
// the body is not as agreed.
std::optional<mcp::ReadResource> read_description(const mcp::Json& body);

// What a model is told of this server before anything else; names the task's purpose.
std::string instructions(const mcp::Json& body);

// How long what is said of this server stays true: what is left of the lease.
std::int64_t lease_left_ms(const mcp::Json& body);

}  // namespace taper::tools
