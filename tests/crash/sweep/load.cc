#include "tests/crash/sweep/load.h"

#include <csignal>
#include <cstdio>
#include <map>
#include <random>
#include <set>

#include "tests/crash/sweep/world.h"

namespace taper::crash {
namespace {

constexpr unsigned kShortestUs = 1'000;
constexpr unsigned kLongestUs = 80'000;

// Takes the capsules one after the other from where the last life stood.
Status work_through(World& world, const std::vector<std::string>& capsules) {
  std::uint32_t& next = world.shared().next;
  for (; next < capsules.size(); ++next) {
    const Result<broker::RunReport> report = broker::run(world.options(capsules[next]));
    // Killed between its end and our count of it.
    if (!report.ok() && report.code() != Code::activations_spent) return report.error();
  }
  return success();
}

int check(const World& world, const char* when) {
  int problems = 0;
  const auto wrong = [&](const std::string& what) {
    ++problems;
    std::printf("FAILED load, %s: %s\n", when, what.c_str());
  };
  const std::vector<std::string> effects = world.effects();
  const std::set<std::string> distinct(effects.begin(), effects.end());
  if (distinct.size() != effects.size()) wrong("an effect happened twice");
  const Result<Told> told = world.told();
  if (!told.ok()) wrong(to_line(told.error()));
  for (const std::string& effect : distinct)
    if (told.ok() && !told->allowed.contains(effect)) wrong("no decision for effect " + effect);
  const auto tasks = broker::task_list(world.state());
  if (!tasks.ok()) wrong(to_line(tasks.error()));
  std::map<std::string, int> of_capsule;
  int live = 0;
  for (std::size_t i = 0; tasks.ok() && i < tasks->size(); ++i) {
    const authority::TaskView& task = (*tasks)[i];
    if (++of_capsule[task.capsule.hex()] > 1) wrong("a capsule was activated twice");
    live += authority::is_terminal(task.state) ? 0 : 1;
  }
  if (live > 1) wrong("more than one live task");
  return problems;
}

}  // namespace

int kill_under_load(unsigned kills) {
  World world;
  std::vector<std::string> capsules;
  for (unsigned i = 0; i < kills; ++i)
    capsules.push_back(world.node().sign(sample_plan(world.node(), "c" + std::to_string(i) + "-")));
  std::mt19937 random(20261121);  // NOLINT: the same waits every time
  std::uniform_int_distribution<unsigned> wait_us(kShortestUs, kLongestUs);
  unsigned killed = 0;
  int problems = 0;
  world.shared().plan.at = 0;
  world.shared().next = 0;
  for (unsigned life = 0; life < kills; ++life) {
    const Ended ended = world.run([&] { return work_through(world, capsules); }, wait_us(random));
    killed += ended.status == 128 + SIGKILL ? 1U : 0U;
    if (ended.status != 128 + SIGKILL && ended.status != 0) {
      ++problems;
      std::printf("FAILED load: a life ended with %d: %s\n", ended.status, world.shared().error);
    }
    if (ended.left) ++problems;
    if (life % 20 == 0) problems += check(world, "between");
  }
  problems += check(world, "at the end");
  std::printf("load: %u lives, %u killed, %u capsules, %zu effects, %d problems\n", kills, killed,
              world.shared().next, world.effects().size(), problems);
  return problems == 0 && killed > kills / 2 && !world.effects().empty() ? 0 : 1;
}

}  // namespace taper::crash
