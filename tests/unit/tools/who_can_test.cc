#include "tools/taper/answers/holdings.h"

#include <catch2/catch.hpp>

namespace taper::tools {
namespace {

using authority::TaskState;
using authority::TaskView;

// A live task of one chain with one grant of file.read.
TaskView live_task() {
  TaskView view;
  view.state = TaskState::active;
  view.ttl_ms = 60'000;
  view.idle_ms = 60'000;
  view.not_after_s = 10'000;
  view.chains.push_back({.chain = {}, .holder = {}});
  TaskView::GrantView grant;
  grant.id = "read";
  grant.tool = "file.read";
  grant.verbs = {capsules::Verb::discover, capsules::Verb::call};
  grant.left.calls = 5;
  view.grants.push_back(grant);
  return view;
}

std::size_t holders(const TaskView& view, std::int64_t wall_s = 1000) {
  const std::vector<TaskView> tasks{view};
  return who_can(tasks, {}, "file.read", Now{.boot_ms = 0, .wall_s = wall_s, .boot_id = {}}).size();
}

TEST_CASE("A live grant is found by its tool", "[tools][R64]") {
  const std::vector<TaskView> tasks{live_task()};
  const Now now{.boot_ms = 0, .wall_s = 1000, .boot_id = {}};
  const std::vector<Holding> found = who_can(tasks, {}, "file.read", now);
  REQUIRE(found.size() == 1);
  CHECK(found[0].may(capsules::Verb::call));
  CHECK(found[0].until_s == 1060);
  CHECK(who_can(tasks, {}, "file.write", now).empty());
}

TEST_CASE("Whoever ended can do nothing", "[tools][R64]") {
  TaskView view = live_task();
  CHECK(holders(view) == 1);
  for (const TaskState state : {TaskState::ending, TaskState::completed, TaskState::cancelled,
                                TaskState::expired, TaskState::revoked}) {
    view.state = state;
    CHECK(holders(view) == 0);
  }
  // Over by the clocks, and nobody there to end it.
  view = live_task();
  view.active_ms = view.ttl_ms;
  CHECK(holders(view) == 0);
  view = live_task();
  view.idle_used_ms = view.idle_ms;
  CHECK(holders(view) == 0);
  CHECK(holders(live_task(), 10'000) == 0);
  view = live_task();
  view.chains[0].ended = true;
  CHECK(holders(view) == 0);
}

TEST_CASE("A narrowed chain has the least along its line, and its own time", "[tools][R64]") {
  TaskView view = live_task();
  TaskView::ChainView helper;
  helper.chain.bytes[0] = 1;
  helper.blocks = 1;
  helper.ttl_ms = 30'000;
  helper.idle_ms = 60'000;
  helper.not_after_s = 10'000;
  view.chains.push_back(helper);
  TaskView::GrantView kept = view.grants[0];
  kept.block = 1;
  kept.chain = helper.chain;
  kept.id = "one";
  kept.parent = "read";
  kept.left.calls = 9;
  view.grants.push_back(kept);
  const std::vector<TaskView> tasks{view};
  const auto found =
      who_can(tasks, {}, "file.read", Now{.boot_ms = 0, .wall_s = 1000, .boot_id = {}});
  REQUIRE(found.size() == 2);
  CHECK(found[0].grant == "read");
  CHECK(found[0].chain->blocks == 0);
  CHECK(found[1].grant == "one");
  CHECK(found[1].root_grant == "read");
  CHECK(found[1].left.calls == 5);
  CHECK(found[1].lease_left_ms == 30'000);
}

}  // namespace
}  // namespace taper::tools
