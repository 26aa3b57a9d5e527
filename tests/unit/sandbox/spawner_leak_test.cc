#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/permit_for_tests.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {
namespace {

std::size_t open_descriptors(const std::string& pid) {
  const std::filesystem::directory_iterator entries("/proc/" + pid + "/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace

TEST_CASE("two hundred runs leave nothing behind", "[sandbox][cell][R53]") {
  const auto spawner = testing::launch_spawner();
  const auto program = Program::load("/bin/true");
  REQUIRE(program.ok());
  const std::string mounts = testing::text_of("/proc/self/mounts");
  const std::string spawnd = std::to_string(spawner->pid());
  const std::string children = "/proc/" + spawnd + "/task/" + spawnd + "/children";
  const bool may_look = ::geteuid() == 0;  // spawnd is not dumpable
  (void)testing::run_call(*spawner, testing::command_facts(*program, {"/bin/true"}), &*program);
  const std::size_t ours = open_descriptors("self");
  // spawnd reports a cell's end a moment before it gives the cell's descriptors up.
  const auto settled = [&] {
    ::usleep(50'000);
    return may_look ? open_descriptors(spawnd) : 0;
  };
  const std::size_t theirs = settled();
  for (int run = 0; run < 200; ++run) {
    const RunReport report =
        testing::run_call(*spawner, testing::command_facts(*program, {"/bin/true"}), &*program);
    REQUIRE(report.end == RunEnd::done);
  }
  CHECK(open_descriptors("self") == ours);
  CHECK(settled() == theirs);
  CHECK(testing::text_of(children).empty());
  CHECK(testing::text_of("/proc/self/mounts") == mounts);
}

TEST_CASE("a spawnd killed while it starts a cell leaves no process", "[sandbox][cell][R53]") {
  const testing::ScratchDirectory tree;
  REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);  // what is left becomes our child
  std::size_t left = 0;
  for (int run = 0; run < 60; ++run) {
    auto spawner = testing::launch_spawner();
    const pid_t pid = spawner->pid();
    const std::string spawnd = std::to_string(pid);
    const std::string children = "/proc/" + spawnd + "/task/" + spawnd + "/children";
    authority::PermitFacts facts = testing::builtin_facts("time.now", {});
    facts.trees = {{tree.path(), true, false}};
    REQUIRE(spawner->run(testing::permit_for_tests(std::move(facts)), nullptr).ok());
    // Without a pause: the moment after its first child was made is the one that counts.
    const std::int64_t give_up = testing::boot_ms() + 1000;
    while (testing::text_of(children).empty() && testing::boot_ms() < give_up) {
    }
    REQUIRE(::kill(pid, SIGKILL) == 0);
    spawner.reset();
    const auto none = [] {
      while (::waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
      }
      return ::waitpid(-1, nullptr, WNOHANG | __WALL) < 0;
    };
    if (testing::eventually(2000, none)) continue;
    const std::string self = std::to_string(::getpid());
    ++left;
    ::kill(std::stoi(testing::text_of("/proc/" + self + "/task/" + self + "/children")), SIGKILL);
    (void)testing::eventually(1000, none);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  CHECK(left == 0);
}

TEST_CASE("more cells than the limit are refused and none is lost", "[sandbox][cell]") {
  const auto spawner = testing::launch_spawner();
  const std::string path = testing::built_program("hostile_inspect");
  const auto program = Program::load(path);
  REQUIRE(program.ok());
  const auto new_task = [&] { return testing::command_facts(*program, {}).task; };
  const auto start = [&](const TaskId& task) {
    authority::PermitFacts facts = testing::command_facts(*program, {path, "sleep"});
    facts.task = task;
    return spawner->run(testing::permit_for_tests(std::move(facts)), &*program);
  };
  const TaskId greedy = new_task();
  const TaskId other = new_task();
  REQUIRE(greedy != other);
  std::size_t of_one = 0;
  while (start(greedy).ok()) ++of_one;
  // Some are left for others.
  CHECK(of_one == limits::kCellsMax / 4 * 3);
  for (std::size_t i = of_one; i < limits::kCellsMax; ++i) REQUIRE(start(other).ok());
  CHECK(start(other).code() == Code::sandbox_setup);
  CHECK(start(greedy).code() == Code::sandbox_setup);
  REQUIRE(spawner->kill_task(greedy).ok());
  REQUIRE(spawner->kill_task(other).ok());
  for (const RunReport& report : testing::wait_reports(*spawner, limits::kCellsMax)) {
    CHECK(report.end == RunEnd::killed);
  }
  CHECK(spawner->cells_alive(greedy) == 0);
}

TEST_CASE("an idle builtin cell gives way to a call that needs one", "[sandbox][cell]") {
  const auto spawner = testing::launch_spawner();
  const auto program = Program::load("/bin/true");
  REQUIRE(program.ok());
  const TaskId task = testing::command_facts(*program, {}).task;
  const TaskId other = testing::command_facts(*program, {}).task;
  for (std::uint32_t grant = 0; grant < 2 * limits::kCellsMax; ++grant) {
    authority::PermitFacts facts = testing::command_facts(*program, {});
    // Both the room of one task and that of all are used up.
    facts.task = grant < limits::kCellsMax ? task : other;
    facts.grant = grant;
    facts.kind = authority::ToolKind::builtin;
    facts.tool = "time.now";
    facts.argv.clear();
    REQUIRE(spawner->run(testing::permit_for_tests(std::move(facts)), nullptr).ok());
    const auto reports = testing::wait_reports(*spawner, 1);
    REQUIRE(reports.size() == 1);
    CHECK(reports[0].end == RunEnd::done);
  }
  CHECK(spawner->cells_alive(task) <= limits::kCellsMax);
}

}  // namespace taper::sandbox
