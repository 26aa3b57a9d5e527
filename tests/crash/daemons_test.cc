// What this does to the host: starts a tool that ignores every signal it can and leaves dozens of
// daemons that start more, then takes away one process after the other: the lease's end, the owner,
// the spawner. Each time all of it must go. How fast is the benchmarks' business: a test on a busy
// machine waits for what it expects, not for a time.
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
  bool is_grown() const { return testing::processes_with(marker) > kDaemons / 2; }
  // Whether the swarm has grown while `owner` lives.
  bool grown(ChildProcess& owner) const {
    while (!is_grown()) {
      if (!owner.running()) return false;
      testing::pause_ms(10);
    }
    return true;
  }
};

TEST_CASE("a swarm of daemons is gone when the lease ends", "[broker][crash][R16][R66]") {
  // The longer the lease, the slower a machine may be and still show that the swarm was there.
  bool seen = false;
  for (std::int64_t ttl_ms = 3000; !seen && ttl_ms <= 48'000; ttl_ms *= 2) {
    const Swarm swarm(ttl_ms);
    ChildProcess owner([&] {
      const Result<RunReport> report = run(swarm.node.options(swarm.file));
      return report.ok() && report->state == TaskState::expired ? 0 : 1;
    });
    seen = swarm.grown(owner);
    CHECK(owner.wait() == 0);
    CHECK(testing::processes_with(swarm.marker) == 0);
  }
  CHECK(seen);
}

TEST_CASE("a swarm of daemons is gone after kill -9 of its owner",
          "[broker][crash][R16][R53][R66]") {
  Swarm swarm(60'000);
  ChildProcess owner([&] { return run(swarm.node.options(swarm.file)).ok() ? 0 : 1; });
  REQUIRE(swarm.grown(owner));
  owner.kill_now();
  CHECK(owner.wait() == 128 + SIGKILL);
  CHECK(testing::wait_until_fewer(swarm.marker, 0) == 0);
}

TEST_CASE("a swarm of daemons is gone after kill -9 of the spawner",
          "[broker][crash][R16][R53][R66]") {
  Swarm swarm(60'000);
  ChildProcess owner([&] {
    const Result<RunReport> report = run(swarm.node.options(swarm.file));
    return report.code() == Code::spawner_lost ? 0 : 1;
  });
  REQUIRE(swarm.grown(owner));
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
