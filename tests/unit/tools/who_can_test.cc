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
  view.known_s = 1000;
  view.ttl_cap_ms = view.ttl_ms;
  view.idle_cap_ms = view.idle_ms;
  view.chains.push_back({.chain = {}, .holder = {}});
  TaskView::GrantView grant;
  grant.id = "read";
  grant.tool = "file.read";
  grant.verbs = {capsules::Verb::discover, capsules::Verb::call};
  grant.left.calls = 5;
  view.grants.push_back(grant);
  return view;
}

std::size_t holders(const TaskView& view) {
  const std::vector<TaskView> tasks{view};
  return who_can(tasks, {}, "file.read").size();
}

TEST_CASE("A live grant is found by its tool", "[tools][R64]") {
  const std::vector<TaskView> tasks{live_task()};
  const std::vector<Holding> found = who_can(tasks, {}, "file.read");
  REQUIRE(found.size() == 1);
  CHECK(found[0].may(capsules::Verb::call));
  CHECK(found[0].until_s == 1060);
  CHECK(who_can(tasks, {}, "file.write").empty());
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
  view.stopped = Code::lease_over;
  view.due = authority::EndReason::ttl;
  CHECK(holders(view) == 0);
  view = live_task();
  view.chains[0].ended = true;
  CHECK(holders(view) == 0);
}

TEST_CASE("Who is stopped, and may go on, is named and can do nothing now", "[tools][R64]") {
  TaskView view = live_task();
  view.stopped = Code::time_assurance;
  const std::vector<TaskView> tasks{view};
  const auto found = who_can(tasks, {}, "file.read");
  REQUIRE(found.size() == 1);
  CHECK(found[0].standing == "stopped");
}

TEST_CASE("What the node refuses by itself nobody can", "[tools][R64]") {
  const std::vector<TaskView> tasks{live_task()};
  OwnRules own;
  own.policy.denied_tools = {"file"};
  CHECK(who_can(tasks, own, "file.read").at(0).standing == "refused");
  own.policy = authority::nothing_at_all();
  CHECK(who_can(tasks, own, "file.read").at(0).standing == "refused");
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
  const auto found = who_can(tasks, {}, "file.read");
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
