// A disk that stalls or fails while a task ends. What this does to you: slows down or fails this
// process's own syncs; a tool that ignores signals runs until it is killed.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>

#include "runtime/base/clock.h"
#include "runtime/broker/embedded.h"
#include "tests/crash/sweep/fault_shim.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::TaskState;
using testing::ChildProcess;
using testing::NodeForTests;
using testing::plan_step;

constexpr unsigned kStallMs = 500;
constexpr int kDeadWithinMs = 50;  // on an idle host
constexpr int kTries = 5;

fault_plan* shared_plan(const std::string& state) {
  void* memory = ::mmap(nullptr, sizeof(fault_plan), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  TAPER_ASSERT(memory != MAP_FAILED);
  auto* plan = static_cast<fault_plan*>(memory);
  std::snprintf(plan->tree, sizeof(plan->tree), "%s", state.c_str());
  return plan;
}

// A task whose only tool ignores what can be ignored and never ends.
struct Sleeper {
  NodeForTests node;
  std::string marker = "stalled-" + std::to_string(::getpid()) + "-" + std::to_string(++count());
  capsules::Capsule capsule;
  std::string file;
  fault_plan* plan;
  explicit Sleeper(std::int64_t ttl_ms) : plan(shared_plan(node.state())) {
    node.put_tool("sleeper",
                  "kind = \"command\"\neffect = \"read\"\noutput = \"text\"\n"
                  "argv = [\"/usr/bin/perl\", \"-e\", '''# " +
                      marker +
                      "\n$SIG{$_} = \"IGNORE\" for qw(TERM HUP INT QUIT); sleep 1 while 1;''']\n");
    capsule = node.capsule();
    capsule.lease_ttl_ms = capsule.lease_idle_ms = ttl_ms;
    capsule.grants = {node.grant({.tool = "sleeper", .paths = {}, .any = {}})};
    capsule.plan.steps = {plan_step("sleep", "sleeper", "{}")};
    file = node.sign(capsule);
  }
  ~Sleeper() { ::munmap(plan, sizeof(fault_plan)); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  static int& count() {
    static int value = 0;
    return value;
  }
  int owner() const {
    fault_arm(plan);
    const Result<RunReport> report = run(node.options(file));
    return report.ok() ? 0
                       : static_cast<int>(report.code()) - static_cast<int>(Code::store_failure);
  }
  bool runs() const {
    for (int i = 0; i < 1000; ++i, testing::pause_ms(5))
      if (testing::processes_with(marker) > 0) return true;
    return false;
  }
};

// Milliseconds until no process with the marker is left; at most five seconds.
std::int64_t dead_after_ms(const std::string& marker, std::int64_t since_boot_ms) {
  const SystemClock clock;
  while (clock.now().boot_ms < since_boot_ms + 5000 && testing::processes_with(marker) > 0)
    testing::pause_ms(1);
  return clock.now().boot_ms - since_boot_ms;
}

// The best of a few tries is what the order of things allows; the rest is a busy host. Were the
// disk waited for, no try could be below its stall.
std::int64_t best_stop_ms(const std::function<void(pid_t)>& stop) {
  std::int64_t best = 5000;
  for (int i = 0; i < kTries && best > kDeadWithinMs; ++i) {
    Sleeper sleeper(60'000);
    ChildProcess owner([&] { return sleeper.owner(); });
    if (!sleeper.runs()) return -1;
    sleeper.plan->sync_delay_ms = kStallMs;
    const std::int64_t at = SystemClock().now().boot_ms;
    stop(owner.pid());
    const std::int64_t took = dead_after_ms(sleeper.marker, at);
    best = std::min(best, took);
    const auto tasks = task_list(sleeper.node.state());
    // The cell was dead before the disk had answered.
    if (took < kStallMs) CHECK((tasks.ok() && !authority::is_terminal(tasks->front().state)));
    CHECK(owner.wait() == 0);
    CHECK(task_list(sleeper.node.state())->front().state == TaskState::cancelled);
  }
  return best;
}

TEST_CASE("cells are dead before a stalled disk has answered", "[broker][crash][R16]") {
  const std::int64_t best = best_stop_ms([](pid_t owner) { ::kill(owner, SIGTERM); });
  CHECK(best >= 0);
  CHECK(best <= kDeadWithinMs);
}

TEST_CASE("cells die at the lease's end while the disk stalls", "[broker][crash][R16]") {
  Sleeper sleeper(1500);
  ChildProcess owner([&] { return sleeper.owner(); });
  REQUIRE(sleeper.runs());
  sleeper.plan->sync_delay_ms = kStallMs;
  const auto tasks = task_list(sleeper.node.state());
  REQUIRE(tasks.ok());
  const std::int64_t left = 1500 - tasks->front().active_ms;
  const std::int64_t took = dead_after_ms(sleeper.marker, SystemClock().now().boot_ms + left);
  CHECK(took < static_cast<std::int64_t>(kStallMs));
  CHECK(owner.wait() == 0);
  CHECK(task_list(sleeper.node.state())->front().state == TaskState::expired);
}

TEST_CASE("a disk that fails at the ending leaves dead cells and a task for the next start",
          "[broker][crash][R50]") {
  Sleeper sleeper(60'000);
  ChildProcess owner([&] { return sleeper.owner(); });
  REQUIRE(sleeper.runs());
  sleeper.plan->fail_syncs = 1;
  const auto before = task_list(sleeper.node.state());
  REQUIRE(before.ok());
  // Nobody is told that it was cancelled.
  CHECK(task_cancel(sleeper.node.state(), before->front().task).code() == Code::commit_unknown);
  CHECK(owner.wait() ==
        static_cast<int>(Code::commit_unknown) - static_cast<int>(Code::store_failure));
  CHECK(testing::processes_with(sleeper.marker) == 0);
  const auto shown = task_list(sleeper.node.state());
  REQUIRE(shown.ok());
  CHECK_FALSE(authority::is_terminal(shown->front().state));
  CHECK(task_cancel(sleeper.node.state(), before->front().task).ok());
  CHECK(task_list(sleeper.node.state())->front().state == TaskState::cancelled);
}

}  // namespace
}  // namespace taper::broker
