#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <iostream>

#include "crypto/crypto.h"
#include "tests/support/permit_for_tests.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {
namespace {

using testing::boot_ms;
using testing::eventually;
using testing::processes_with;

constexpr std::size_t kDaemons = 100;
// Half of them change their pid all the time, so a look at /proc on a busy machine misses some.
constexpr std::size_t kSeen = kDaemons * 3 / 4;

// A spawner with one cell full of daemons that ignore TERM and replace themselves.
struct Haunted {
  explicit Haunted(std::int64_t life_ms = 60'000) {
    spawner = testing::launch_spawner();
    marker = "haunt-" + crypto::random_id<CallId>().hex();
    const std::string path = testing::built_program("hostile_forker");
    auto program = Program::load(path);
    REQUIRE(program.ok());
    authority::PermitFacts facts =
        testing::command_facts(*program, {path, marker, std::to_string(kDaemons)});
    facts.deadline_boot_ms = boot_ms() + life_ms;
    task = facts.task;
    call = facts.call;
    REQUIRE(spawner->run(testing::permit_for_tests(std::move(facts)), &*program).ok());
  }
  bool haunted() const {
    return eventually(30'000, [&] { return processes_with(marker) >= kSeen; });
  }
  bool gone(std::int64_t limit_ms) const {
    return eventually(limit_ms, [&] { return processes_with(marker) == 0; });
  }

  std::unique_ptr<Spawner> spawner;
  std::string marker;
  TaskId task;
  CallId call;
};

// Collects reports until `wanted` or the loss of spawnd.
std::vector<RunReport> drain(Spawner& spawner, bool& lost) {
  std::vector<RunReport> out;
  const std::int64_t end = boot_ms() + 5000;
  while (boot_ms() < end && !lost) {
    pollfd wait{spawner.wait_fd(), POLLIN, 0};
    ::poll(&wait, 1, 100);
    auto reports = spawner.poll();
    lost = !reports.ok();
    if (lost) CHECK(reports.code() == Code::spawner_lost);
    if (lost) break;
    for (RunReport& report : *reports) out.push_back(std::move(report));
  }
  return out;
}

}  // namespace

TEST_CASE("kill_task ends 100 daemons that fork again and again",
          "[sandbox][cell][R16][R66][alone]") {
  const Haunted haunted;
  REQUIRE(haunted.haunted());
  const std::int64_t start = boot_ms();
  REQUIRE(haunted.spawner->kill_task(haunted.task).ok());
  std::vector<RunReport> reports = testing::wait_reports(*haunted.spawner);
  std::cout << "kill_task of " << kDaemons << " daemons: " << boot_ms() - start << " ms\n";
  CHECK(reports[0].end == RunEnd::killed);
  CHECK(haunted.spawner->cells_alive(haunted.task) == 0);
  CHECK(processes_with(haunted.marker) == 0);
}

TEST_CASE("kill_call ends one command", "[sandbox][cell][R16][alone]") {
  const Haunted haunted;
  REQUIRE(haunted.haunted());
  REQUIRE(haunted.spawner->kill_call(haunted.call).ok());
  CHECK(testing::wait_reports(*haunted.spawner)[0].end == RunEnd::killed);
  CHECK(processes_with(haunted.marker) == 0);
}

TEST_CASE("a cell meets its deadline by itself while the broker stalls",
          "[sandbox][cell][R16][alone]") {
  const Haunted haunted(1500);
  REQUIRE(haunted.haunted());
  CHECK(haunted.gone(2500));
  CHECK(testing::wait_reports(*haunted.spawner)[0].end == RunEnd::deadline);
}

TEST_CASE("a deadline that has passed ends the cell at once", "[sandbox][cell][R16][alone]") {
  const Haunted haunted(-10);
  CHECK(testing::wait_reports(*haunted.spawner)[0].end == RunEnd::deadline);
  CHECK(processes_with(haunted.marker) == 0);
}

TEST_CASE("every cell dies with spawnd", "[sandbox][cell][R16][alone]") {
  const Haunted haunted;
  REQUIRE(haunted.haunted());
  REQUIRE(haunted.spawner->poll().ok());
  REQUIRE(::kill(haunted.spawner->pid(), SIGKILL) == 0);
  CHECK(haunted.gone(2000));
  bool lost = false;
  const std::vector<RunReport> reports = drain(*haunted.spawner, lost);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].end == RunEnd::lost);
  CHECK(lost);
  CHECK(eventually(2000, [&] { return haunted.spawner->cells_alive(haunted.task) == 0; }));
  CHECK(haunted.spawner->poll().ok());
  CHECK(haunted.spawner->beat().code() == Code::spawner_lost);
}

TEST_CASE("every cell dies when the broker is silent", "[sandbox][cell][R16][alone]") {
  const Haunted haunted;
  REQUIRE(haunted.haunted());
  CHECK(haunted.gone(limits::kBrokerSilenceMs + 2000));
  bool lost = false;
  CHECK(drain(*haunted.spawner, lost).size() == 1);
  CHECK(lost);
}

TEST_CASE("every cell dies with the broker", "[sandbox][cell][R16]") {
  const std::string marker = "haunt-" + crypto::random_id<CallId>().hex();
  const std::string path = testing::built_program("hostile_forker");
  const pid_t broker = ::fork();
  if (broker == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto spawner = testing::launch_spawner();
    auto program = Program::load(path);
    authority::PermitFacts facts = testing::command_facts(*program, {path, marker, "100"});
    facts.deadline_boot_ms += 60'000;
    (void)spawner->run(testing::permit_for_tests(std::move(facts)), &*program);
    for (;;) {
      (void)spawner->beat();
      ::usleep(100'000);
    }
  }
  REQUIRE(broker > 0);
  const bool haunted = eventually(30'000, [&] { return processes_with(marker) >= kSeen; });
  ::kill(broker, SIGKILL);
  ::waitpid(broker, nullptr, 0);
  REQUIRE(haunted);
  CHECK(eventually(2000, [&] { return processes_with(marker) == 0; }));
}

TEST_CASE("closing the spawner ends its cells", "[sandbox][cell][R16][alone]") {
  Haunted haunted;
  REQUIRE(haunted.haunted());
  haunted.spawner.reset();
  CHECK(processes_with(haunted.marker) == 0);
}

TEST_CASE("killing one task leaves another alone", "[sandbox][cell][R16]") {
  const auto spawner = testing::launch_spawner();
  const auto program = Program::load(testing::built_program("hostile_inspect"));
  REQUIRE(program.ok());
  const auto sleeper = [&] {
    return testing::command_facts(*program, {testing::built_program("hostile_inspect"), "sleep"});
  };
  const auto first = sleeper();
  const auto second = sleeper();
  REQUIRE(spawner->run(testing::permit_for_tests(first), &*program).ok());
  REQUIRE(spawner->run(testing::permit_for_tests(second), &*program).ok());
  REQUIRE(spawner->kill_task(first.task).ok());
  const auto reports = testing::wait_reports(*spawner);
  CHECK(reports[0].task == first.task);
  CHECK(spawner->cells_alive(first.task) == 0);
  CHECK(spawner->cells_alive(second.task) == 1);
}

}  // namespace taper::sandbox
