// Every live task of a state, each with its life in this process. What happens to the host (reports
// of the spawner, the clocks, a cancel) is passed on to the tasks that it concerns.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "runtime/broker/task_life.h"

namespace taper::broker {

class TaskHost {
 public:
  // Takes up every task that is live in the store.
  explicit TaskHost(const TaskLife::Parts& parts);
  TaskHost(const TaskHost&) = delete;
  TaskHost& operator=(const TaskHost&) = delete;

  // Of a task that the authority has live.
  std::shared_ptr<TaskLife> life(const TaskId& task);
  bool knows(const TaskId& task) const { return lives_.contains(task); }
  // Success means that its ending is durable. Errors: unknown_task, task_terminal, the store's.
  Status cancel(const TaskId& task);

  // Kills what runs, so that its end is known; the tasks stay live.
  void park();
  bool busy() const;  // a call runs, or a task is ending
  bool idle() const { return lives_.empty(); }
  // Why nothing can run any more; the tasks stay as the store has them.
  const std::optional<Error>& lost() const { return lost_; }

  void spawner_reported();
  void look_at_time();
  // Journals the time that live tasks have used; then forgets those that are over, and takes up
  // anew those whose life failed. Error: the store's.
  Status tend();
  // When to look at the time again, on the boot clock; at least one millisecond ahead.
  std::optional<std::int64_t> wake_boot_ms() const;

  const TaskLife::Parts& parts() const { return parts_; }

 private:
  void take_up();

  TaskLife::Parts parts_;
  std::map<TaskId, std::shared_ptr<TaskLife>> lives_;
  std::optional<Error> lost_;
};

}  // namespace taper::broker
