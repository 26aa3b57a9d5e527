// One task in words and as JSON (docs/CLI.md, taper task show). Whatever a capsule says is escaped.
#pragma once

#include <string>

#include "capsules/value.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/output.h"

namespace taper::tools {

std::string state_words(const authority::TaskView& view);  // "expired (ttl)"
std::string lease_words(const authority::TaskView& view);  // "1m of 15m used, 14m left"
// "E501 lease_over: the next look of its owner ends it (ttl)"; of a task that is stopped.
std::string stopped_words(const authority::TaskView& view);
capsules::Object task_value(const authority::TaskView& view);
void show_task(const authority::TaskView& view, const Output& out);

}  // namespace taper::tools
