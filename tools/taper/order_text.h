// Signed orders that end a task: at the centre, and taken in on a node.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/bytes.h"
#include "tools/taper/command.h"

namespace taper::tools {

inline constexpr std::string_view kOrderLabel = "ORDER";

// Of the first argument TASK. Error: usage.
Result<TaskId> task_option(const std::string& text);
void add_order_verb(Command& command, CLI::App* task);
// Errors: those of broker::import_order.
Status import_order(const std::string& state, ByteSpan file, Output& out);

}  // namespace taper::tools
