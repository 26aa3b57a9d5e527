// What the host of all tasks does by itself.
#include "runtime/broker/task_host.h"

#include "runtime/authority/time_report.h"
#include "tests/unit/broker/broker_life.h"

namespace taper::broker {
namespace {

TEST_CASE("a host without tasks journals its time every ten minutes", "[broker][R13]") {
  const testing::NodeForTests node;
  ManualClock clock(SystemClock().now());
  const OwnedState owned = must(own_state(node.state(), "", clock.now()));
  const auto spawner = must(sandbox::Spawner::launch(must(sibling_program("taper-spawnd"))));
  store::ResultFiles results(node.state());
  ToolShelf shelf(tool_directories(node.state()));
  TaskHost tasks({.authority = *owned.authority,
                  .spawner = *spawner,
                  .store = *owned.store,
                  .results = results,
                  .tools = shelf,
                  .clock = clock});
  // The lower bound that the next boot begins with, should the power go now.
  const auto after_power_cut = [&] {
    Now next = clock.now();
    next.boot_id.bytes[0] ^= 1;
    next.wall_s = 0;
    return must(authority::time_report(*owned.store, next)).estimate.least_s;
  };
  const std::int64_t first = after_power_cut();
  for (int round = 1; round <= 3; ++round) {
    REQUIRE(tasks.wake_boot_ms() == clock.now().boot_ms + limits::kIdlePersistMs);
    const std::int64_t before = after_power_cut();
    clock.advance_ms(limits::kIdlePersistMs - 1);
    tasks.look_at_time();
    CHECK(after_power_cut() == before);
    CHECK(tasks.wake_boot_ms() == clock.now().boot_ms + 1);
    clock.advance_ms(1);
    tasks.look_at_time();
    CHECK(after_power_cut() - first >= round * (limits::kIdlePersistMs / 1000 - 2));
  }
}

}  // namespace
}  // namespace taper::broker
