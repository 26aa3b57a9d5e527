// Every live task of a state, each with its life in this process. What happens to the host (reports
// of the spawner, the clocks, a cancel) is passed on to the tasks that it concerns.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "runtime/broker/messages.h"
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
  // From outside: a cancel, a kill. Success means that its ending is durable; the first reason
  // stays. Errors: unknown_task, task_terminal, the store's.
  Status end(const TaskId& task, authority::EndReason reason, const authority::EndedBy& by);
  // Ends the task that a signed order names; whoever brought it is of `uid`. Durable on success.
  // Errors: those of Authority::open_order, unknown_task, the store's.
  Result<Ordered> obey(ByteSpan order, uid_t uid);

  // Kills what runs, so that its end is known; the tasks stay live.
  void park();
  bool busy() const;  // a call runs, or a task is ending
  bool idle() const { return lives_.empty(); }
  // Why nothing can run any more; the tasks stay as the store has them.
  const std::optional<Error>& lost() const { return lost_; }

  // Both take in what the spawner has to say, and settle some of it: whose results are long or many
  // waits for the next `advance`, and what others have waits no longer than one result takes.
  void spawner_reported();
  void look_at_time();
  bool ready() const { return !came_.empty() || prunes_; }  // `advance` has something to do
  void advance();
  // Journals the time that live tasks have used, and what is known of the time; then forgets those
  // that are over, and takes up anew those whose life failed. A host without tasks does that by
  // itself when it looks at the time, limits::kIdlePersistMs later. Error: the store's.
  Status tend();
  // `advance` forgets what was released of the log, some of it at each step. It does so from the
  // beginning; after that when a release came, and whenever tasks may have ended.
  void prune() { prunes_ = true; }
  // When to look at the time again, on the boot clock; at least one millisecond ahead.
  std::optional<std::int64_t> wake_boot_ms() const;

  const TaskLife::Parts& parts() const { return parts_; }

 private:
  using Reports = std::map<TaskId, std::deque<sandbox::RunReport>>;  // none is empty
  void take_up();
  void take_in();
  void lose(const Error& error);
  void settle(Reports::iterator next);
  void prune_some();

  TaskLife::Parts parts_;
  Reports came_;  // and are not settled yet
  TaskId last_;   // whose turn it was
  std::map<TaskId, std::shared_ptr<TaskLife>> lives_;
  std::optional<Error> lost_;
  std::int64_t tended_boot_ms_;
  bool prunes_ = true;
};

}  // namespace taper::broker
