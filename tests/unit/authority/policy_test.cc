// The node's own policy can only deny, and a task ends when it changes under it.
#include "tests/unit/authority/handles.h"

namespace taper::testing {
namespace {

using authority::EndReason;
using authority::NodePolicy;
using capsules::Effect;

NodePolicy policy(std::uint8_t number) {
  NodePolicy made;
  made.hash.bytes[0] = number;
  return made;
}

struct PolicyNode : HandleNode {
  TaskId under(NodePolicy policy, capsules::Capsule capsule) {
    authority->follow(std::move(policy));
    return activated(capsule);
  }
  TaskId under(NodePolicy policy) { return under(std::move(policy), capsule_with_all()); }
  void starts_again_under(NodePolicy policy) {
    authority.reset();
    store = std::make_unique<MapStore>(store->disk());
    authority::NodeFacts mine = facts();
    mine.policy = std::move(policy);
    auto started = authority::Authority::start(*store, std::move(mine), clock.now());
    REQUIRE(started.code() == Code::ok);
    authority = std::move(started).value();
  }
};

TEST_CASE("a node's policy refuses what a capsule grants", "[authority][R67]") {
  PolicyNode node;
  NodePolicy strict = policy(1);
  const TaskId task = node.under(strict);
  CHECK(node.refused(task, "file.read", kPump) == Code::ok);
  strict = policy(2);
  strict.denied_tools = {"file.read"};
  const TaskId other = node.under(strict);
  const auto denial = node.denied(other, "file.read", kPump);
  CHECK(denial.error.code() == Code::node_policy);
  CHECK(member(node.last_decision(), "question") == "node policy");
  CHECK(denial.ends_task == EndReason::none);
}

TEST_CASE("a denied server is all of its tools, and no other's", "[authority]") {
  NodePolicy strict;
  strict.denied_tools = {"meters"};
  authority::Tool tool;
  tool.effect = Effect::read;
  const auto refused = [&](const std::string& name) {
    tool.name = name;
    return check_policy(strict, tool).code();
  };
  CHECK(refused("meters") == Code::node_policy);
  CHECK(refused("meters.read") == Code::node_policy);
  CHECK(refused("meters-2.read") == Code::ok);
  CHECK(refused("meter") == Code::ok);
}

TEST_CASE("a policy bounds effects and leases", "[authority][R13][R65]") {
  NodePolicy strict;
  strict.most_effect = Effect::read;
  strict.most_ttl_ms = 60'000;
  authority::Tool tool;
  tool.name = "w";
  tool.effect = Effect::write;
  CHECK(check_policy(strict, tool).code() == Code::node_policy);
  tool.effect = Effect::read;
  CHECK(check_policy(strict, tool).ok());
  CHECK(check_policy(strict, 60'000).ok());
  CHECK(check_policy(strict, 60'001).code() == Code::node_policy);
  PolicyNode node;
  capsules::Capsule capsule = node.capsule_with_all();
  capsule.lease_ttl_ms = capsule.lease_idle_ms = 60'001;
  node.authority->follow(strict);
  const Bytes file = sign_capsule(node.fleet, capsule);
  CHECK(node.activate(file).code() == Code::node_policy);
  node.authority->follow({});
  CHECK(node.activate(file).code() == Code::ok);  // nothing was spent
}

TEST_CASE("a node whose policy cannot be read runs nothing, and ends all", "[authority]") {
  PolicyNode node;
  // It is the policy of no file, not even of an empty one.
  CHECK(authority::nothing_at_all().hash != authority::policy_hash({}));
  const TaskId task = node.activated(node.capsule_with_all());
  node.authority->follow(authority::nothing_at_all());
  CHECK(node.activate(sign_capsule(node.fleet, node.capsule_with_all())).code() ==
        Code::node_policy);
  CHECK(node.refused(task, "file.read", kPump) == Code::node_policy);
  CHECK(node.show(task).state == authority::TaskState::ending);  // in the refusal's own commit
  CHECK(*node.authority->finish(task, node.clock.now()) ==
        authority::terminal_state(EndReason::drift));
}

TEST_CASE("another policy ends the tasks that say so", "[authority][R18]") {
  PolicyNode node;
  capsules::Capsule stays = node.capsule_with_all();
  stays.end_on.policy_drift = false;
  const TaskId task = node.under(policy(1));
  const TaskId other = node.under(policy(1), stays);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::none);
  node.authority->follow(policy(2));
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::drift);
  CHECK(node.authority->check_time(other, node.clock.now()) == EndReason::none);
  const auto denial = node.denied(task, "file.read", kPump);
  CHECK(denial.error.code() == Code::node_policy);
  CHECK(denial.ends_task == EndReason::drift);
  CHECK(node.refused(other, "file.read", kPump) == Code::ok);
}

TEST_CASE("a policy that changed while the node was down ends its tasks", "[authority][R18][R50]") {
  PolicyNode node;
  const TaskId task = node.under(policy(1));
  node.starts_again_under(policy(1));
  CHECK(node.show(task).state == authority::TaskState::active);
  node.starts_again_under(policy(2));
  CHECK(node.show(task).reason == EndReason::drift);
  CHECK(authority::is_terminal(node.show(task).state));
}

TEST_CASE("what a policy denies is not discovered", "[authority][R29]") {
  PolicyNode node;
  const TaskId task = node.activated(node.capsule_with_all());
  const auto found = [&] {
    const auto told =
        node.authority->discover(task, node.caller(task), node.tools, node.clock.now());
    REQUIRE(told.code() == Code::ok);
    std::size_t there = 0;
    for (const auto& grant : std::get<std::vector<authority::DiscoveredGrant>>(*told))
      there += grant.tool->name == "file.read" ? 1 : 0;
    return there;
  };
  CHECK(found() != 0);
  NodePolicy strict;
  strict.denied_tools = {"file.read"};
  node.authority->follow(strict);
  CHECK(found() == 0);
}

}  // namespace
}  // namespace taper::testing
