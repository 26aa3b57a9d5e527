// What is shown of a task, on a node that has nobody to ask.
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using authority::TaskView;
using capsules::Capsule;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

Capsule staged(Node& node) {
  Capsule capsule = sample_capsule(node.fleet);
  capsule.max_depth = 1;
  capsule.grants[1].after = {"read-logs"};
  capsule.grants[0].labels = {"plant-data"};
  capsule.grants.push_back(capsule.grants[0]);
  capsule.grants[2].id = "list-logs";
  capsule.grants[2].tool = "file.list";
  capsule.grants[2].labels = {};
  capsule.grants[2].refuse_after = {"plant-data"};
  capsule.grants[2].args.resize(1);
  return capsule;
}

const TaskView::GrantView& grant(const TaskView& view, const std::string& id) {
  for (const auto& one : view.grants) {
    if (one.id == id) return one;
  }
  FAIL("no grant " + id);
  return view.grants.front();
}

TEST_CASE("a task shows whose it is and what it may do at each stage", "[authority][R2]") {
  Node node;
  const Capsule capsule = staged(node);
  const TaskId task = node.activated(capsule);
  TaskView view = node.show(task);
  CHECK(view.issuer == capsule.issuer);
  CHECK(view.serial == capsule.serial);
  CHECK(view.root_version == 1);
  CHECK(view.activations_spent == 1);
  REQUIRE(view.said);
  CHECK(view.said->root.purpose == capsule.purpose);
  CHECK(grant(view, "read-logs").waits_for.empty());
  CHECK(grant(view, "read-logs").effect == capsules::Effect::read);
  CHECK(grant(view, "read-logs").verbs == capsule.grants[0].verbs);
  CHECK(grant(view, "write-report").waits_for == std::vector<std::string>{"read-logs"});
  CHECK(grant(view, "list-logs").shut_by.empty());

  const auto call = node.allowed(task, "file.read", kRead);
  view = node.show(task);
  CHECK(view.call_runs);
  CHECK(grant(view, "write-report").waits_for.size() == 1);  // not done yet
  CHECK(grant(view, "list-logs").shut_by == "plant-data");   // at once
  node.settle(call.call, CallState::done);
  view = node.show(task);
  CHECK_FALSE(view.call_runs);
  CHECK(grant(view, "write-report").waits_for.empty());
  CHECK_FALSE(grant(view, "write-report").spent);
  node.allowed(task, "file.write", R"({"content":"x","path":"/srv/reports/today.md"})");
  CHECK(grant(node.show(task), "write-report").spent);
}

TEST_CASE("a kept grant is spent where the one it comes from is", "[authority][R2][R45]") {
  Node node;
  Capsule capsule = staged(node);
  capsule.grants[0].budget.calls = 1;
  const auto helper = crypto::SigningKey::generate();
  capsules::Block block;
  block.holder = helper.public_key();
  capsules::KeptGrant kept;
  kept.id = "mine";
  kept.parent = "read-logs";
  kept.budget.calls = 5;
  block.grants = {kept};
  const Bytes file =
      narrow_capsule(sign_capsule(node.fleet, capsule), block, node.fleet.holder_key);
  const auto activation =
      node.authority->activate(node.request(file, helper), node.tools, node.clock.now());
  REQUIRE(activation.ok());
  CHECK_FALSE(grant(node.show(activation->task), "mine").spent);
  node.allowed(activation->task, "file.read", kRead);
  const TaskView view = node.show(activation->task);
  CHECK(grant(view, "mine").left.calls == 4);
  CHECK(grant(view, "mine").spent);
  CHECK(grant(view, "mine").block == 1);
}

TEST_CASE("a chain whose own time is over is shown as ended", "[authority][R2][R45]") {
  Node node;
  const auto helper = crypto::SigningKey::generate();
  capsules::Block block;
  block.holder = helper.public_key();
  capsules::KeptGrant kept;
  kept.id = "mine";
  kept.parent = "read-logs";
  block.grants = {kept};
  const Capsule capsule = staged(node);
  std::int64_t over_ms = 5'000;
  SECTION("its lease") { block.lease_ttl_ms = over_ms; }
  SECTION("its idle time") { block.lease_idle_ms = over_ms; }
  SECTION("its window") {
    block.not_after_s = node.clock.now().wall_s + 5;
    over_ms = 6'000;
  }
  const Bytes file =
      narrow_capsule(sign_capsule(node.fleet, capsule), block, node.fleet.holder_key);
  const auto activation =
      node.authority->activate(node.request(file, helper), node.tools, node.clock.now());
  REQUIRE(activation.ok());
  TaskView view = node.show(activation->task);
  REQUIRE(view.chains.size() == 1);
  CHECK_FALSE(view.chains[0].ended);
  CHECK(view.chains[0].blocks == 1);
  node.clock.advance_ms(over_ms);
  view = node.show(activation->task);
  CHECK(view.chains[0].ended);
  CHECK_FALSE(authority::is_terminal(view.state));
}

TEST_CASE("a task shows each call that it was refused", "[authority][R2][R60]") {
  Node node;
  const TaskId task = node.activated(staged(node));
  CHECK(node.show(task).refused.empty());
  node.denied(task, "file.read", R"({"path":"/etc/shadow"})");
  node.clock.advance_ms(1'000);
  node.denied(task, "no.tool", kRead);
  node.allowed(task, "file.read", kRead);
  const TaskView view = node.show(task);
  REQUIRE(view.refused.size() == 2);
  CHECK(view.refused[0].name == "argument_refused");
  CHECK(view.refused[0].number == describe(Code::argument_refused).number);
  CHECK(view.refused[1].name == "tool_not_granted");
  CHECK(view.refused[1].tool == "no.tool");
}

TEST_CASE("a task shows what ends it, by the clocks of its node", "[authority][R2]") {
  Node node;
  const Capsule capsule = staged(node);
  const TaskId task = node.activated(capsule);
  node.denied(task, "file.read", R"({"path":"/etc/shadow"})");
  node.clock.advance_ms(30'000);
  TaskView view = node.show(task);
  CHECK(view.active_ms == 30'000);
  CHECK(view.idle_used_ms == 30'000);
  CHECK(view.denials == 1);
  CHECK(view.end_on.denials == capsule.end_on.denials);
  CHECK(view.not_after_s == capsule.not_after_s);
  CHECK(view.news_s == kRootIssuedS);
  CHECK(view.log_bytes > 0);
  node.allowed(task, "file.read", kRead);
  node.clock.advance_ms(10'000);
  CHECK(node.show(task).idle_used_ms == 0);  // a call runs
  CHECK(node.show(task).active_ms == 40'000);

  node.end(task, EndReason::cancelled);
  const Now ended = node.clock.now();
  node.clock.advance_ms(3'600'000);
  view = node.show(task);
  CHECK(view.reason == EndReason::cancelled);
  CHECK(view.seen.wall_s == ended.wall_s);
  CHECK(view.active_ms == 40'000);
  CHECK(view.calls.at(0).state == CallState::interrupted);
}

TEST_CASE("showing asks for no right clock and no trust", "[authority][R2]") {
  Node node;
  const TaskId task = node.activated(staged(node));
  authority::TaskState state = authority::TaskState::active;
  SECTION("a clock set back years") {
    node.clock.step_wall_s(-100'000'000);
    CHECK(node.refused(task, "file.read", kRead) == Code::time_behind);
    state = authority::TaskState::ending;
  }
  SECTION("a clock far ahead") { node.clock.step_wall_s(100'000'000); }
  SECTION("another boot") { node.clock.reboot(Node::boot(2)); }
  SECTION("a root that does not open, and a capsule that does not") {
    MapStore::Disk disk = node.store->disk();
    for (auto& [key, root] : disk.tables[static_cast<std::size_t>(store::Table::roots)])
      root.back() ^= 1U;
    for (auto& [key, file] : disk.tables[static_cast<std::size_t>(store::Table::capsules)])
      file.resize(10);
    const MapStore damaged(disk);
    const auto view = authority::show_task(damaged, task, node.clock.now());
    REQUIRE(view.ok());
    CHECK_FALSE(view->news_s);
    CHECK_FALSE(view->said);
    CHECK(view->grants.empty());
    CHECK(view->requester == "user:alice@plant.example");
    return;
  }
  const TaskView view = node.show(task);
  CHECK(view.state == state);
  CHECK(view.active_ms >= 0);
  CHECK(view.grants.size() == 3);
  const auto list = authority::list_tasks(*node.store, node.clock.now());
  REQUIRE(list.ok());
  CHECK(list->at(0).news_s == view.news_s);
}

}  // namespace
TEST_CASE("what stops a live task is shown as its owner will find it", "[authority][R64]") {
  Node node;
  Capsule capsule = staged(node);
  capsule.offline = capsules::OfflineCaps{20'000, 10'000};
  capsule.lease_idle_ms = 30'000;
  const TaskId task = node.activated(capsule);
  const auto seen = [&](const authority::NodePolicy* own = nullptr) {
    const TaskView view = authority::show_task(*node.store, task, node.clock.now(), own).value();
    // It is what the owner decides.
    if (own == nullptr) CHECK(view.due == node.authority->check_time(task, node.clock.now()));
    return view;
  };
  CHECK(seen().stopped == Code::ok);
  CHECK(seen().ttl_cap_ms == 20'000);
  CHECK(seen().idle_cap_ms == 10'000);
  CHECK(seen().known_s == node.clock.now().wall_s);
  SECTION("idle, by its caps while no signed time anchors the node's") {
    node.clock.advance_ms(10'000);
    CHECK(seen().due == EndReason::idle);
  }
  SECTION("its lease, by the same") {
    node.allowed(task, "file.read", kRead);
    node.clock.advance_ms(20'000);
    CHECK(seen().due == EndReason::ttl);
  }
  SECTION("a clock set back") {
    node.clock.step_wall_s(-86'400);
    CHECK(seen().due == EndReason::clock);
    CHECK(seen().stopped == Code::time_behind);
    CHECK_FALSE(seen().stopped_why.empty());
  }
  SECTION("its window") {
    node.clock.step_wall_s(capsule.not_after_s - node.clock.now().wall_s);
    CHECK(seen().due == EndReason::window);
  }
  SECTION("another policy of the node's own") {
    authority::NodePolicy own;
    own.hash = authority::policy_hash(as_bytes("[deny]"));
    CHECK(seen(&own).due == EndReason::drift);
    own.hash = {};
    CHECK(seen(&own).stopped == Code::ok);
  }
}

TEST_CASE("what stands in a text of a record is not what the record is about", "[authority][R63]") {
  const auto says = [](std::string_view body) {
    return authority::body_says(as_bytes(body), "decision", "0a0b");
  };
  CHECK(says(R"({"decision":"0a0b","verb":"call"})"));
  CHECK_FALSE(says(R"({"arguments":{"decision":"0a0b"},"decision":"0c0d"})"));
  CHECK_FALSE(says(R"({"decision":"0c0d","purpose":"\"decision\":\"0a0b\""})"));
  CHECK_FALSE(says(R"({"decision":["0a0b"]})"));
  CHECK_FALSE(says(R"({"decision":"0a0b")"));
}

}  // namespace taper::testing
