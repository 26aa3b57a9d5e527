#include "runtime/broker/task_host.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "runtime/base/limits.h"
#include "runtime/broker/diagnostics.h"

namespace taper::broker {
namespace {

std::size_t bytes_of(const sandbox::Row& row) {
  std::size_t bytes = 0;
  for (const sandbox::Field& field : row)
    if (const auto* text = std::get_if<std::string>(&field.value)) bytes += text->size();
  return bytes;
}

std::size_t bytes_of(const sandbox::RunReport& report) {
  std::size_t bytes = report.out.size() + report.err.size() + bytes_of(report.result.fields);
  for (const sandbox::Row& row : report.result.rows) bytes += bytes_of(row);
  return bytes;
}

}  // namespace

TaskHost::TaskHost(const TaskLife::Parts& parts)
    : parts_(parts), tended_boot_ms_(parts.clock.now().boot_ms) {
  take_up();
}

void TaskHost::take_up() {
  for (const TaskId& task : parts_.authority.live_tasks()) life(task);
}

std::shared_ptr<TaskLife> TaskHost::life(const TaskId& task) {
  std::shared_ptr<TaskLife>& life = lives_[task];
  if (!life || life->over()) life = std::make_shared<TaskLife>(parts_, task);
  return life;
}

Status TaskHost::end(const TaskId& task, authority::EndReason reason,
                     const authority::EndedBy& by) {
  // The authority knows best why there is none.
  if (parts_.authority.capsule(task) == nullptr)
    return parts_.authority.begin_ending(task, reason, parts_.clock.now(), by);
  return life(task)->end(reason, by);
}

Result<Ordered> TaskHost::obey(ByteSpan order, uid_t uid) {
  TAPER_TRY(capsules::Order opened, parts_.authority.open_order(order));
  const TaskId task = opened.task;
  const bool ending = parts_.authority.capsule(task) != nullptr && life(task)->ending();
  const Status ended =
      end(task, authority::EndReason::operator_kill, {.uid = uid, .order = std::move(opened)});
  if (!ended.ok() && ended.code() != Code::task_terminal) return ended.error();
  return Ordered{task, ending || !ended.ok()};
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

// Whether a cell alone is gone or the spawner with it shows the next poll.
void TaskHost::take_in() {
  std::vector<sandbox::RunReport> lost;
  for (bool again = true; again;) {
    Result<std::vector<sandbox::RunReport>> reports = parts_.spawner.poll();
    if (!reports.ok()) return lose(reports.error());
    // First what was heard before a call's end: after that it is told nobody.
    for (sandbox::ProgressReport& told : parts_.spawner.take_progress())
      if (const auto found = lives_.find(told.task); found != lives_.end())
        found->second->take_progress(std::move(told));
    again = false;
    for (sandbox::RunReport& report : *reports) {
      const bool gone = report.end == sandbox::RunEnd::lost;
      if (gone) {
        lost.push_back(std::move(report));
      } else {
        came_[report.task].push_back(std::move(report));
      }
      again = again || gone;
    }
  }
  for (sandbox::RunReport& report : lost) came_[report.task].push_back(std::move(report));
}

void TaskHost::lose(const Error& error) {
  while (!came_.empty()) settle(came_.begin());
  lost_ = error;
  for (const auto& [task, life] : lives_) life->spawner_lost(*lost_);
}

void TaskHost::settle(Reports::iterator next) {
  sandbox::RunReport report = std::move(next->second.front());
  next->second.pop_front();
  const auto life = lives_.find(next->first);
  if (next->second.empty()) came_.erase(next);
  if (life != lives_.end()) life->second->take_report(std::move(report));
}

// A task's turn is one report, but for those that are ending: of what they did nothing is kept.
void TaskHost::advance() {
  std::set<TaskId> ending;
  for (const auto& [task, reports] : came_) {
    const auto life = lives_.find(task);
    if (life == lives_.end() || life->second->ending()) ending.insert(task);
  }
  for (const TaskId& task : ending)
    for (auto next = came_.find(task); next != came_.end(); next = came_.find(task)) settle(next);
  std::size_t bytes = 0;
  bool another = false;
  for (std::size_t count = 0; count < limits::kSettledAtOnce; ++count) {
    if (came_.empty() || bytes >= limits::kSettledBytesAtOnce) break;
    auto next = came_.upper_bound(last_);
    if (next == came_.end()) next = came_.begin();
    last_ = next->first;
    bytes += bytes_of(next->second.front());
    // Long results, one behind the other, take longer than the spawner waits for us. One alone does
    // not, and whoever waits for it does not wait for the spawner to wake up.
    if (std::exchange(another, true)) (void)parts_.spawner.beat();
    settle(next);
  }
  for (const auto& [task, life] : lives_) life->try_finish();
  if (came_.empty() && prunes_) prune_some();
}

// What fails here stays for the next time: no task waits for it.
void TaskHost::prune_some() {
  const Result<bool> more = parts_.authority.prune(parts_.clock.now());
  if (!more.ok()) warn("forgetting the released log: " + to_line(more.error()));
  prunes_ = more.ok() && *more;
}

void TaskHost::spawner_reported() {
  take_in();
  advance();
}

void TaskHost::look_at_time() {
  spawner_reported();
  for (const auto& [task, life] : lives_) life->look_at_time();
  const Status noted = parts_.authority.note_clock(parts_.clock.now());
  if (!noted.ok()) warn("the step of the clock: " + to_line(noted.error()));
  const bool due = idle() && parts_.clock.now().boot_ms >= tended_boot_ms_ + limits::kIdlePersistMs;
  const Status tended = due ? tend() : success();
  if (!tended.ok()) warn("the time: " + to_line(tended.error()));
}

Status TaskHost::tend() {
  tended_boot_ms_ = parts_.clock.now().boot_ms;  // also where it fails: it is tried again later
  for (const auto& [task, life] : lives_)
    if (life->failure()) warn("task " + task.hex() + ": " + to_line(*life->failure()));
  std::erase_if(lives_, [](const auto& entry) { return entry.second->over(); });
  take_up();
  prune();
  return parts_.authority.persist_time(parts_.clock.now());
}

std::optional<std::int64_t> TaskHost::wake_boot_ms() const {
  std::optional<std::int64_t> first;
  if (idle()) first = tended_boot_ms_ + limits::kIdlePersistMs;
  for (const auto& [task, life] : lives_) {
    const std::optional<std::int64_t> wake = life->wake_boot_ms();
    if (wake) first = std::min(first.value_or(*wake), *wake);
  }
  if (first) first = std::max(*first, parts_.clock.now().boot_ms + 1);
  return first;
}

}  // namespace taper::broker
