// The state machine of a run by itself, told what happens in an order of this test's own.
#include "runtime/broker/plan_run.h"

#include <poll.h>

#include "tests/unit/broker/broker_life.h"

namespace taper::broker {
namespace {

using authority::TaskState;

TEST_CASE("a task is not over before its cells are dead", "[broker][ends][R14]") {
  testing::NodeForTests node;
  node.write("in.txt", "x");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  capsule.plan.steps = {
      testing::plan_step("read", "file.read", R"({"path":")" + node.data() + "/in.txt\"}")};
  BrokerLife life(node, node.sign(capsule));
  const TaskId task = life.activation.task;
  store::ResultFiles results(node.state());
  TaskHost host({.authority = *life.owned.authority,
                 .spawner = *life.spawner,
                 .store = *life.owned.store,
                 .results = results,
                 .tools = life.shelf,
                 .clock = life.clock});
  const auto steps = GENERATE(Steps::kept, Steps::told);
  std::size_t told = 0;
  PlanRun run(host.life(task), life.activation, [&told](const StepReport&) { ++told; }, steps);
  const auto wait = [&] {
    pollfd news{life.spawner->wait_fd(), POLLIN, 0};
    REQUIRE(::poll(&news, 1, 10'000) == 1);
    host.spawner_reported();
  };
  const auto state = [&] {
    return must(authority::show_task(*life.owned.store, task, life.clock.now())).state;
  };
  run.advance();
  while (!run.ready()) wait();
  // The call is over, and its builtin's cell lives on for the next one.
  REQUIRE(life.spawner->cells_alive(task) == 1);
  run.advance();
  CHECK(life.spawner->cells_alive(task) == 1);
  CHECK_FALSE(run.over());
  CHECK(state() == TaskState::ending);
  while (!run.over()) wait();
  CHECK(life.spawner->cells_alive(task) == 0);
  CHECK(state() == TaskState::completed);
  CHECK(must(run.take_report()).steps.size() == (steps == Steps::kept ? 1 : 0));
  CHECK(told == 1);
}

TEST_CASE("an end that an earlier life began is brought to its end", "[broker][ends][R14]") {
  testing::NodeForTests node;
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "time.now", .paths = {}, .any = {}})};
  capsule.plan.steps = {testing::plan_step("now", "time.now", "{}")};
  BrokerLife life(node, node.sign(capsule));
  const TaskId task = life.activation.task;
  store::ResultFiles results(node.state());
  REQUIRE(
      life.owned.authority->begin_ending(task, authority::EndReason::cancelled, life.clock.now())
          .ok());
  TaskHost host({.authority = *life.owned.authority,
                 .spawner = *life.spawner,
                 .store = *life.owned.store,
                 .results = results,
                 .tools = life.shelf,
                 .clock = life.clock});
  const std::optional<std::int64_t> wake = host.wake_boot_ms();
  REQUIRE(wake);
  CHECK(*wake <= life.clock.now().boot_ms + 1);
  host.look_at_time();
  CHECK(must(authority::show_task(*life.owned.store, task, life.clock.now())).state ==
        TaskState::cancelled);
}

}  // namespace
}  // namespace taper::broker
