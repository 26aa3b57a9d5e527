// What a chain may discover, and what it is told it has left.
#include "tests/unit/authority/handles.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::DiscoveredGrant;
using authority::EndReason;
using capsules::Block;
using capsules::Capsule;
using capsules::Verb;

constexpr auto kWrite = R"({"content":"x","path":"/srv/reports/today.md"})";

struct Discoverer : HandleNode {
  std::vector<DiscoveredGrant> found(const TaskId& task) {
    const auto discovery = authority->discover(task, caller(task), tools, clock.now());
    REQUIRE(discovery.code() == Code::ok);
    REQUIRE(std::holds_alternative<std::vector<DiscoveredGrant>>(*discovery));
    return std::get<std::vector<DiscoveredGrant>>(*discovery);
  }
  std::string names(const TaskId& task) {
    std::string out;
    for (const DiscoveredGrant& grant : found(task)) out += (out.empty() ? "" : " ") + grant.id;
    return out;
  }
  Code refused_discovery(const TaskId& task, const Hash& chain) {
    const auto discovery = authority->discover(task, chain, tools, clock.now());
    if (!discovery) return discovery.code();
    const auto* denial = std::get_if<authority::Denial>(&*discovery);
    return denial == nullptr ? Code::ok : denial->error.code();
  }
};

TEST_CASE("a grant for discovery alone is listed and cannot be called", "[authority][R34]") {
  Discoverer node;
  Capsule capsule = node.capsule_with({Verb::discover});
  capsule.grants[1].verbs = {Verb::call};
  const TaskId task = node.activated(capsule);
  const std::uint64_t commits = node.store->commits();
  const auto found = node.found(task);
  CHECK(node.store->commits() == commits + 1);
  REQUIRE(found.size() == 1);
  CHECK(found[0].id == "read-logs");
  CHECK(found[0].grant == 0);
  CHECK(found[0].tool == &node.tools.find("file.read")->second);
  CHECK(found[0].verbs == std::vector{Verb::discover});
  CHECK(found[0].left.calls == 5);
  CHECK(member(node.last_decision(), "verb") == "discover");
  CHECK(member(node.last_decision(), "verdict") == "allow");
  CHECK(member(node.last_decision(), "grants") == R"(["read-logs"])");
  CHECK(node.refused(task, "file.read", kPump) == Code::verb_not_granted);
  CHECK(member(node.last_decision(), "verb") == "call");
  CHECK(node.refused(task, "file.write", kWrite) == Code::ok);
}

TEST_CASE("nothing to discover is told as such and logged", "[authority][R34]") {
  Discoverer node;
  const TaskId task = node.activated(node.capsule_with({Verb::call}));
  CHECK(node.found(task).empty());
  CHECK(member(node.last_decision(), "grants") == "[]");
  CHECK(node.show(task).denials == 0);
}

TEST_CASE("a chain discovers what every block leaves it", "[authority][R34][R45][R48]") {
  Discoverer node;
  const Bytes root = sign_capsule(node.fleet, node.capsule_with_all());
  const TaskId task = node.activate(root).value().task;
  CHECK(node.names(task) == "read-logs write-report");
  const crypto::SigningKey key = crypto::SigningKey::generate();
  Block block;
  block.holder = key.public_key();
  block.grants = {
      {"site", "read-logs", {{"path", false, {capsules::Under{"/var/log/plant/site"}}}}, {}},
      {"blind", "read-logs", {}, {}, {}, {}, {Verb::call}}};
  block.grants[0].budget.calls = 2;
  node.as = node.activate(narrow_capsule(root, block, node.fleet.holder_key), key).value().chain;
  const auto found = node.found(task);
  REQUIRE(found.size() == 1);
  CHECK(found[0].id == "site");
  CHECK(found[0].left.calls == 2);  // the least of its line
  std::size_t rules = 0;
  for (const capsules::ArgRule& rule : found[0].args) {
    if (rule.name == "path") rules = rule.all.size();
  }
  CHECK(rules == 2);  // the root's and the block's
}

TEST_CASE("a tool that is gone or not the one that was granted is not discovered",
          "[authority][R18][R34]") {
  Discoverer node;
  Capsule capsule = node.capsule_with_all();
  authority::Tool& read = node.tools.find("file.read")->second;
  capsule.grants[0].digest_kind = capsules::DigestKind::pinned;
  capsule.grants[0].digest = read.digest;
  const TaskId task = node.activated(capsule);
  CHECK(node.names(task) == "read-logs write-report");
  SECTION("gone") { node.tools.erase("file.read"); }
  SECTION("another") { read.digest = Hash{}; }
  SECTION("with a larger effect") { read.effect = capsules::Effect::write; }
  CHECK(node.names(task) == "write-report");
  CHECK(node.refused(task, "file.write", kWrite) == Code::ok);  // looking ends nothing
}

TEST_CASE("what can never be allowed again is not listed; what may be is",
          "[authority][R34][R37][R38]") {
  Discoverer node;
  Capsule capsule = node.capsule_with_all();
  capsule.grants[0].budget = {};
  SECTION("spent calls") {
    capsule.grants[0].budget.calls = 1;
    const TaskId task = node.activated(capsule);
    node.allowed(task, "file.read", kPump);
    CHECK(node.names(task) == "write-report");
  }
  SECTION("bytes that a call under way may give back") {
    capsule.grants[0].budget.bytes = 1000;
    const TaskId task = node.activated(capsule);
    const CallId call = node.allowed(task, "file.read", kPump).call;
    CHECK(node.names(task) == "read-logs write-report");
    std::uint64_t used = 0;
    SECTION("and does") { used = 10; }
    SECTION("and does not") { used = 1000; }
    node.settle(call, CallState::done, Code::ok, used);
    CHECK(node.names(task) == (used == 10 ? "read-logs write-report" : "write-report"));
  }
  SECTION("a label") {
    capsule.grants[0].labels = {"seen"};
    capsule.grants[1].refuse_after = {"seen"};
    const TaskId task = node.activated(capsule);
    CHECK(node.names(task) == "read-logs write-report");
    node.allowed(task, "file.read", kPump);
    CHECK(node.names(task) == "read-logs");
  }
  SECTION("a rate, and a call that must come first") {
    capsule.grants[0].budget.rate = capsules::Rate{1, 60'000};
    capsule.grants[1].after = {"read-logs"};
    const TaskId task = node.activated(capsule);
    node.allowed(task, "file.read", kPump);
    CHECK(node.refused(task, "file.read", kPump) == Code::budget_rate);
    CHECK(node.names(task) == "read-logs write-report");
  }
}

TEST_CASE("nobody discovers for a task that is over or out of time", "[authority][R14][R34]") {
  Discoverer node;
  const TaskId task = node.activated(node.capsule_with_all());
  const Hash chain = node.caller(task);
  SECTION("ended") {
    node.end(task, EndReason::completion);
    CHECK(node.refused_discovery(task, chain) == Code::task_not_live);
    CHECK(member(node.last_decision(), "verb") == "discover");
    CHECK(member(node.last_decision(), "verdict") == "deny");
  }
  SECTION("out of time") {
    node.clock.advance_ms(900'000);
    CHECK(node.refused_discovery(task, chain) == Code::lease_over);
  }
  SECTION("by a chain that is not attached") {
    CHECK(node.refused_discovery(task, Hash{}) == Code::task_not_live);
  }
  SECTION("unknown") { CHECK(node.refused_discovery(TaskId{}, chain) == Code::unknown_task); }
}

TEST_CASE("a chain is told what it has left, and asking writes nothing", "[authority]") {
  Discoverer node;
  Capsule capsule = node.capsule_with_all();
  capsule.grants[0].budget.bytes = 10'000'000;
  const Bytes root = sign_capsule(node.fleet, capsule);
  const auto first = node.activate(root).value();
  const crypto::SigningKey key = crypto::SigningKey::generate();
  Block block;
  block.holder = key.public_key();
  block.grants = {{"mine", "read-logs", {}, {}}};
  block.grants[0].budget.calls = 1;
  block.lease_ttl_ms = 100'000;
  const Hash child =
      node.activate(narrow_capsule(root, block, node.fleet.holder_key), key).value().chain;
  node.settle(node.allowed(first.task, "file.read", kPump).call, CallState::done);
  node.clock.advance_ms(10'000);
  const std::uint64_t commits = node.store->commits();
  const auto left = [&](const Hash& chain, std::optional<std::size_t> grant) {
    return node.authority->remaining(first.task, chain, grant, node.clock.now());
  };
  const auto mine = left(first.chain, 0);
  REQUIRE(mine);
  CHECK(mine->lease_ms == 890'000);
  CHECK(mine->idle_ms == 110'000);
  CHECK(mine->not_after_s == capsule.not_after_s);
  CHECK(mine->budget.calls == 4);
  CHECK(mine->budget.bytes == 10'000'000 - 10);
  CHECK_FALSE(mine->budget.sum);
  const auto theirs = left(child, 0);
  REQUIRE(theirs);
  CHECK(theirs->lease_ms == 90'000);
  CHECK(theirs->budget.calls == 1);
  CHECK(theirs->budget.bytes == mine->budget.bytes);
  CHECK_FALSE(left(child, {})->budget.calls);
  CHECK_FALSE(left(child, 7)->budget.calls);
  CHECK_FALSE(left(Hash{}, 0));
  CHECK(node.store->commits() == commits);
  node.end(first.task, EndReason::completion);
  CHECK_FALSE(left(first.chain, 0));
}

}  // namespace
}  // namespace taper::testing
