// `taper run` beside the daemon that owns the state.
#pragma once

#include "runtime/broker/control_client.h"
#include "runtime/broker/embedded.h"

namespace taper::broker {

// As `run`, in the owner: it activates the capsule with the proof that is made here, and runs the
// plan; its steps are told here. SIGINT and SIGTERM cancel the task. Where the conversation ends
// before the task does, the task goes on: control_unreachable, which names it.
Result<RunReport> run_through(const ControlTalk& talk, const RunOptions& options, Bytes file);

}  // namespace taper::broker
