// Watches everything that can happen to a running task and tells its state machine: reports of the
// spawner, the lease's clock, steps of the wall clock, signals, control.sock. One thread.
#pragma once

#include <memory>
#include <string>

#include "runtime/broker/task_run.h"

namespace taper::broker {

class EventLoop {
 public:
  // Binds control.sock and takes SIGINT and SIGTERM, which from here on wait for `drive`. The
  // caller owns the state's lock. Error: os_failure.
  static Result<std::unique_ptr<EventLoop>> create(const std::string& state);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Returns when the run is over. Error: os_failure, when watching itself failed; the task stays as
  // the store has it then.
  Status drive(TaskRun& run, const TaskRun::Parts& parts);

 private:
  struct State;
  explicit EventLoop(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Ends a task of which nothing runs. Errors: those of begin_ending and finish.
Status end_idle_task(const TaskRun::Parts& parts, const TaskId& task, authority::EndReason reason);
// Ends every live task but `ours` whose time is over.
Status sweep(const TaskRun::Parts& parts, const TaskId& ours);

}  // namespace taper::broker
