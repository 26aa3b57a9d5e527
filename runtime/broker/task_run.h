// What carries a task that was activated with `run` to its end: its plan, or its agent's program.
#pragma once

#include <functional>
#include <memory>

#include "runtime/broker/agent_server.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/event_loop.h"
#include "runtime/broker/owned_state.h"

namespace taper::broker {

class TaskRun : public Guest {
 public:
  // A call of its own runs, and will tell it of its end.
  virtual bool calling() const = 0;
  virtual Result<RunReport> take_report() = 0;  // once over
};

// Serves the channel to an agent, until the server goes. EventLoop::serve_channel
using ServeChannel = std::function<Result<std::unique_ptr<AgentServer>>(
    Fd channel, Session::Host& host, const TaskId& task)>;
using OnStep = std::function<void(const StepReport&)>;  // may be empty
enum class Steps : std::uint8_t { kept, told };         // for the report, or by OnStep alone

// For the live task that was activated, as its capsule's entry says. Both outlive it.
std::unique_ptr<TaskRun> begin_run(const OwnedState& owned, TaskHost& tasks,
                                   const authority::Activation& activation, ServeChannel serve,
                                   OnStep on_step, Steps steps = Steps::kept);

}  // namespace taper::broker
