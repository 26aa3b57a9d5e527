// What this does to the host: starts a tool that ignores every signal it can and leaves dozens of
// daemons that start more, then takes away one process after the other: the lease's end, the owner,
// the spawner. Each time all of it must be gone within five seconds.
#include <unistd.h>

#include <csignal>

#include <catch2/catch.hpp>

#include "runtime/broker/embedded.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::TaskState;
using testing::ChildProcess;
using testing::NodeForTests;
using testing::plan_step;

constexpr int kDaemons = 100;

// Each daemon ignores what can be ignored and is soon another process: it forks and leaves.
std::string swarm_tool(const std::string& marker) {
  return "kind = \"command\"\neffect = \"read\"\noutput = \"text\"\n"
         "argv = [\"/usr/bin/perl\", \"-e\", '''# " +
         marker + R"(
$SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT);
for (1..)" +
         std::to_string(kDaemons) +
         R"() {
  my $daemon = fork;
  next if !defined $daemon || $daemon;
  while (1) { select(undef, undef, undef, 0.05); my $next = fork; exit 0 if $next; }
}
sleep 1 while 1;
''']
)";
}

struct Swarm {
  NodeForTests node;
  std::string marker = "swarm-" + std::to_string(::getpid()) + "-" + std::to_string(++count());
  capsules::Capsule capsule;
  std::string file;
  explicit Swarm(std::int64_t ttl_ms) {
    node.put_tool("swarm", swarm_tool(marker));
    capsule = node.capsule();
    capsule.lease_ttl_ms = capsule.lease_idle_ms = ttl_ms;
    capsule.grants = {node.grant({.tool = "swarm", .paths = {}, .any = {}})};
    capsule.plan.steps = {plan_step("swarm", "swarm", "{}")};
    file = node.sign(capsule);
  }
  static int& count() {
    static int value = 0;
    return value;
  }
  // Whether the swarm has grown, within five seconds.
  bool grown() const {
    for (int i = 0; i < 500; ++i, testing::pause_ms(10))
      if (testing::processes_with(marker) > kDaemons / 2) return true;
    return false;
  }
};

TEST_CASE("a swarm of daemons is gone when the lease ends", "[broker][crash][R16]") {
  Swarm swarm(4000);
  bool seen = false;
  ChildProcess watcher([&] { return swarm.grown() ? 0 : 1; });
  const Result<RunReport> report = run(swarm.node.options(swarm.file));
  seen = watcher.wait() == 0;
  CHECK(seen);
  REQUIRE(report.ok());
  CHECK(testing::processes_with(swarm.marker) == 0);
  CHECK(report->state == TaskState::expired);
}

TEST_CASE("a swarm of daemons is gone after kill -9 of its owner", "[broker][crash][R53]") {
  Swarm swarm(60'000);
  ChildProcess owner([&] { return run(swarm.node.options(swarm.file)).ok() ? 0 : 1; });
  CHECK(swarm.grown());
  owner.kill_now();
  CHECK(owner.wait() == 128 + SIGKILL);
  CHECK(testing::wait_until_fewer(swarm.marker, 0) == 0);
}

TEST_CASE("a swarm of daemons is gone after kill -9 of the spawner", "[broker][crash][R53]") {
  Swarm swarm(60'000);
  ChildProcess owner([&] {
    const Result<RunReport> report = run(swarm.node.options(swarm.file));
    return report.code() == Code::spawner_lost ? 0 : 1;
  });
  CHECK(swarm.grown());
  const std::vector<pid_t> spawners = testing::children_of(owner.pid());
  REQUIRE(spawners.size() == 1);
  REQUIRE(::kill(spawners[0], SIGKILL) == 0);
  CHECK(testing::wait_until_fewer(swarm.marker, 0) == 0);
  CHECK(owner.wait() == 0);
  const auto tasks = task_list(swarm.node.state());
  REQUIRE(tasks.ok());
  REQUIRE(tasks->size() == 1);
  CHECK(tasks->front().state == TaskState::active);
}

}  // namespace
}  // namespace taper::broker
