#include <algorithm>
#include <map>
#include <set>

#include "tests/crash/sweep/scenario.h"

namespace taper::crash {
namespace {

using authority::TaskState;
using authority::TaskView;
using Problems = std::vector<std::string>;

std::int64_t calls_left(const TaskView& task) {
  for (const TaskView::GrantView& grant : task.grants)
    if (grant.tool == "file.append") return grant.left.calls.value_or(-1);
  return -1;
}

// What can be seen from outside at one moment.
struct Sight {
  std::vector<std::string> effects;
  std::map<std::string, TaskView> tasks;
  Told told;
};

Sight look(const World& world, const char* when, Problems& problems) {
  Sight sight;
  sight.effects = world.effects();
  Result<std::vector<TaskView>> tasks = broker::task_list(world.state());
  if (!tasks.ok()) problems.push_back(std::string(when) + ": list: " + to_line(tasks.error()));
  if (tasks.ok()) {
    for (TaskView& task : *tasks) {
      auto shown = broker::task_show(world.state(), task.task);
      if (!shown.ok()) problems.push_back(std::string(when) + ": show: " + to_line(shown.error()));
      if (shown.ok()) sight.tasks.emplace(task.task.hex(), std::move(*shown));
    }
  }
  Result<Told> told = world.told();
  if (!told.ok()) problems.push_back(std::string(when) + ": log: " + to_line(told.error()));
  if (told.ok()) sight.told = std::move(*told);
  if (sight.told.undone != 0) problems.push_back(std::string(when) + ": a cancel was undone");
  if (sight.told.unanswered != 0)
    problems.push_back(std::string(when) + ": a call went on without an answer");
  return sight;
}

// I2 and I4: no effect twice, none beyond the budget, none without a decision in the log.
void check_effects(const Sight& sight, const char* when, Problems& problems) {
  const auto wrong = [&](const std::string& what) {
    problems.push_back(std::string(when) + ": " + what);
  };
  const std::set<std::string> distinct(sight.effects.begin(), sight.effects.end());
  if (distinct.size() != sight.effects.size()) wrong("an effect happened twice");
  if (sight.effects.size() > static_cast<std::size_t>(kWrites)) wrong("effects beyond the budget");
  for (const std::string& step : distinct) {
    const auto allowed = sight.told.allowed.find(step);
    if (allowed == sight.told.allowed.end()) wrong("no decision in the log for effect " + step);
  }
  for (const auto& [id, task] : sight.tasks) {
    const std::int64_t charged = kWrites - calls_left(task);
    if (static_cast<std::int64_t>(sight.effects.size()) > charged) wrong("an effect not charged");
    if (charged > kWrites) wrong("charged beyond the budget");
  }
  const auto late = sight.told.allowed.find("late");
  if (late != sight.told.allowed.end() && late->second > 1 + kRetries)
    wrong("retried more often than the plan says");
}

// A chain is attached where the log says so, and nowhere else.
void check_chains(const Sight& sight, const char* when, Problems& problems) {
  std::size_t chains = 0;
  for (const auto& [id, task] : sight.tasks) chains += task.chains.size();
  if (chains != sight.told.attached)
    problems.push_back(std::string(when) + ": " + std::to_string(chains) + " chains, " +
                       std::to_string(sight.told.attached) + " in the log");
}

// What was released to the caller stands in the log with its outcome.
void check_released(const World& world, const Sight& sight, Problems& problems) {
  const Shared& shared = world.shared();
  for (std::uint32_t i = 0; i < shared.reported; ++i) {
    const auto done = sight.told.done.find(shared.steps[i]);
    if (done == sight.told.done.end())
      problems.push_back(std::string("released without an outcome in the log: ") + shared.steps[i]);
  }
}

// I1 and I3: a later life has no more than the earlier one; an ending stays one; an end is final;
// the log only grows.
void check_growth(const Sight& before, const Sight& after, const char* when, Problems& problems) {
  const auto wrong = [&](const std::string& what) {
    problems.push_back(std::string(when) + ": " + what);
  };
  if (before.told.types.size() > after.told.types.size() ||
      !std::equal(before.told.types.begin(), before.told.types.end(), after.told.types.begin()))
    wrong("the log lost records");
  for (const auto& [id, was] : before.tasks) {
    const auto found = after.tasks.find(id);
    if (found == after.tasks.end()) {
      wrong("a task is gone");
      continue;
    }
    const TaskView& now = found->second;
    if (now.ttl_ms != was.ttl_ms || now.not_after_s != was.not_after_s) wrong("another lease");
    if (was.state == TaskState::active && now.active_ms < was.active_ms) wrong("lease given back");
    if (now.chains.size() < was.chains.size()) wrong("a chain forgotten");
    if (now.labels.size() < was.labels.size()) wrong("labels forgotten");
    if (now.denials < was.denials) wrong("denials forgotten");
    if (calls_left(now) > calls_left(was)) wrong("calls given back");
    if (authority::is_terminal(was.state) && (now.state != was.state || now.reason != was.reason))
      wrong("an end that was not final");
    if (was.state == TaskState::ending && now.reason != was.reason) wrong("another reason");
    if (was.state != TaskState::active && after.effects != before.effects)
      wrong("an effect after the ending was durable");
  }
}

void check_ended(const Ended& ended, const char* when, Problems& problems) {
  if (ended.hung) problems.push_back(std::string(when) + ": hung");
  if (ended.left) problems.push_back(std::string(when) + ": a process was left");
  if (ended.status > 1) {
    problems.push_back(std::string(when) + ": ended with " + std::to_string(ended.status));
  }
}

// A node whose making was broken off is none, or a whole one.
Problems examine_birth(World& world, const Scenario& scenario) {
  Problems problems;
  world.shared().plan.at = 0;
  world.shared().plan.child_at = 0;
  if (broker::node_record(world.state()).ok()) {
    look(world, "born", problems);
    const Ended again = world.run([&] { return scenario.again(world); });
    check_ended(again, "import", problems);
    if (again.status != 0) problems.push_back(std::string("import: ") + world.shared().error);
    look(world, "imported", problems);
  } else if (broker::task_list(world.state()).ok()) {
    problems.emplace_back("a state without its record was opened");
  }
  return problems;
}

Sight run_again(World& world, const Scenario& scenario, const Sight& before, const char* when,
                Problems& problems) {
  world.shared().plan.at = 0;
  world.shared().plan.child_at = 0;
  const Ended again = world.run([&] { return scenario.again(world); });
  check_ended(again, when, problems);
  if (again.status != 0) problems.push_back(std::string(when) + ": " + world.shared().error);
  Sight after = look(world, when, problems);
  check_growth(before, after, when, problems);
  return after;
}

int count_of(const std::map<std::string, int>& counts, const char* step) {
  const auto found = counts.find(step);
  return found == counts.end() ? 0 : found->second;
}

// A result is never given out more often than the log says and its capsule allows; a read that
// came to nothing is lost, and takes no other result with it.
Problems examine_reading(World& world, const Scenario& scenario) {
  Problems problems;
  const Sight broken = look(world, "broken", problems);
  const auto check = [&](const Sight& sight, const char* when, std::uint32_t given) {
    const int logged = count_of(sight.told.read, kRead);
    if (static_cast<int>(given) > logged || logged > static_cast<int>(kReads))
      problems.push_back(std::string(when) + ": " + std::to_string(given) + " given, " +
                         std::to_string(logged) + " in the log");
  };
  std::uint32_t given = world.shared().reported;
  check(broken, "broken", given);
  const Sight after = run_again(world, scenario, broken, "again", problems);
  given += world.shared().reported;
  check(after, "again", given);
  if (count_of(after.told.read, kRead) != static_cast<int>(kReads))
    problems.emplace_back("reads are left");
  const Sight last = run_again(world, scenario, after, "last", problems);
  if (world.shared().reported != 0) problems.emplace_back("a spent result was given");
  if (count_of(last.told.read, kOtherRead) != 2) problems.emplace_back("another result is gone");
  return problems;
}

// Once their time is over no results are left, and the log says so once.
Problems examine_forgetting(World& world, const Scenario& scenario) {
  Problems problems;
  const Sight broken = look(world, "broken", problems);
  if (broken.told.erased == 0 && world.node().kept_results() == 0)
    problems.emplace_back("results went before the log said so");
  const Sight after = run_again(world, scenario, broken, "again", problems);
  if (world.node().kept_results() != 0) problems.emplace_back("results were kept");
  const Sight last = run_again(world, scenario, after, "last", problems);
  if (after.told.erased != 1 || last.told.erased != 1)
    problems.emplace_back("the log does not tell once of the erasing");
  return problems;
}

}  // namespace

std::vector<std::string> examine(World& world, const Scenario& scenario) {
  if (scenario.examined == Examined::birth) return examine_birth(world, scenario);
  if (scenario.examined == Examined::reading) return examine_reading(world, scenario);
  if (scenario.examined == Examined::forgetting) return examine_forgetting(world, scenario);
  Problems problems;
  const Sight broken = look(world, "broken", problems);
  check_effects(broken, "broken", problems);
  check_chains(broken, "broken", problems);
  check_released(world, broken, problems);

  world.shared().plan.at = 0;
  world.shared().plan.child_at = 0;
  check_ended(world.run([&] { return scenario.again(world); }), "again", problems);
  const Sight after = look(world, "after", problems);
  check_effects(after, "after", problems);
  check_chains(after, "after", problems);
  check_growth(broken, after, "after", problems);
  if (after.tasks.size() != 1) problems.emplace_back("not exactly one task");
  for (const auto& [id, task] : after.tasks)
    if (!authority::is_terminal(task.state))
      problems.push_back("not ended: " + std::string(world.shared().error));
  if (world.node().kept_results() != 0) problems.emplace_back("results were kept");

  const Ended more = world.run([&] {
    const auto report = broker::run(world.options(world.capsule()));
    return report.code() == scenario.refusal ? success() : Status(Error(Code::internal));
  });
  if (more.status != 0) problems.emplace_back("the capsule was activated once more");
  const Sight last = look(world, "last", problems);
  check_growth(after, last, "last", problems);
  if (last.effects != after.effects) problems.emplace_back("effects of a spent capsule");
  return problems;
}

}  // namespace taper::crash
