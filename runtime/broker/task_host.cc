#include "runtime/broker/task_host.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/base/limits.h"
#include "runtime/broker/diagnostics.h"

namespace taper::broker {

TaskHost::TaskHost(const TaskLife::Parts& parts) : parts_(parts) { take_up(); }

void TaskHost::take_up() {
  for (const TaskId& task : parts_.authority.live_tasks()) life(task);
}

std::shared_ptr<TaskLife> TaskHost::life(const TaskId& task) {
  std::shared_ptr<TaskLife>& life = lives_[task];
  if (!life || life->over()) life = std::make_shared<TaskLife>(parts_, task);
  return life;
}

Status TaskHost::cancel(const TaskId& task) {
  // The authority knows best why there is none.
  if (parts_.authority.capsule(task) == nullptr)
    return parts_.authority.begin_ending(task, authority::EndReason::cancelled, parts_.clock.now());
  return life(task)->end(authority::EndReason::cancelled);
}

void TaskHost::park() {
  for (const auto& [task, life] : lives_) life->cancel_calls();
}

bool TaskHost::busy() const {
  return std::ranges::any_of(lives_, [](const auto& entry) {
    const TaskLife& life = *entry.second;
    return !life.over() && (life.running() || life.ending());
  });
}

void TaskHost::spawner_reported() {
  std::vector<sandbox::RunReport> lost;
  bool another = false;
  for (;;) {
    Result<std::vector<sandbox::RunReport>> reports = parts_.spawner.poll();
    if (!reports.ok()) {
      lost_ = reports.error();
      for (const auto& [task, life] : lives_) life->spawner_lost(*lost_);
      return;
    }
    // First what was heard before a call's end: after that it is told nobody.
    for (sandbox::ProgressReport& told : parts_.spawner.take_progress())
      if (const auto found = lives_.find(told.task); found != lives_.end())
        found->second->take_progress(std::move(told));
    if (reports->empty()) break;
    for (sandbox::RunReport& report : *reports) {
      // Whether the cell alone is gone or the spawner with it shows the next poll.
      if (report.end == sandbox::RunEnd::lost) {
        lost.push_back(std::move(report));
      } else if (const auto found = lives_.find(report.task); found != lives_.end()) {
        // Long results, one behind the other, take longer than the spawner waits for us. One alone
        // does not, and whoever waits for it does not wait for the spawner to wake up.
        if (std::exchange(another, true)) (void)parts_.spawner.beat();
        found->second->take_report(std::move(report));
      }
    }
  }
  for (sandbox::RunReport& report : lost)
    if (const auto found = lives_.find(report.task); found != lives_.end())
      found->second->take_report(std::move(report));
  for (const auto& [task, life] : lives_) life->try_finish();
}

void TaskHost::look_at_time() {
  spawner_reported();
  for (const auto& [task, life] : lives_) life->look_at_time();
}

Status TaskHost::tend() {
  for (const auto& [task, life] : lives_)
    if (life->failure()) warn("task " + task.hex() + ": " + to_line(*life->failure()));
  std::erase_if(lives_, [](const auto& entry) { return entry.second->over(); });
  take_up();
  return parts_.authority.persist_time(parts_.clock.now());
}

std::optional<std::int64_t> TaskHost::wake_boot_ms() const {
  std::optional<std::int64_t> first;
  for (const auto& [task, life] : lives_) {
    const std::optional<std::int64_t> wake = life->wake_boot_ms();
    if (wake) first = std::min(first.value_or(*wake), *wake);
  }
  if (first) first = std::max(*first, parts_.clock.now().boot_ms + 1);
  return first;
}

}  // namespace taper::broker
