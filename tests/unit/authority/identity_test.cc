// On whose behalf, and by which agent with which key: in every record about a task.
#include <set>

#include "capsules/author/author.h"
#include "tests/unit/authority/handles.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using capsules::Block;
using capsules::Verb;
using store::LeafType;

constexpr std::array kAbout = {LeafType::activation, LeafType::decision, LeafType::outcome,
                               LeafType::ending, LeafType::terminal};

struct Identified : HandleNode {
  // Every kind of decision, allowed and denied, by the chain that asks now.
  void decide_everything(const TaskId& task) {
    const CallId call = made(task);
    for (const Verb verb : {Verb::poll, Verb::result, Verb::cancel}) seen(task, call, verb);
    const CallId asks = made(task);
    settle(asks, CallState::waiting);
    seen(task, asks, Verb::update);
    for (const Verb verb : kAccess)
      CHECK(refused_access(task, crypto::random_id<CallId>(), verb) == Code::handle_unknown);
    CHECK(authority->discover(task, caller(task), tools, clock.now()).ok());
    const auto plain = allowed(task, "file.read", kPump);
    settle(plain.call, CallState::done);
    CHECK(refused(task, "no.such", "{}") == Code::tool_not_granted);
    CHECK(refused(task, "file.read", json("/etc/shadow")) == Code::argument_refused);
    CHECK(refused(task, "file.read", kPump, Verb::retry) != Code::ok);
    settle(call, CallState::failed, Code::tool_failed);
  }
  // Records of that type that lack one of the three, or name another; and the verbs of all.
  std::size_t count(LeafType type, const PublicKey& holder, std::set<std::string>& verbs) {
    std::size_t found = 0;
    for (const std::string& record : store->records(type)) {
      if (member(record, "holder") != holder.hex()) continue;
      INFO(record);
      CHECK(member(record, "requester") == "user:alice@plant.example");
      CHECK(member(record, "agent") == "log-triage");
      verbs.insert(member(record, "verb") + " " + member(record, "verdict"));
      ++found;
    }
    return found;
  }
};

TEST_CASE("requester, agent and holder stand in every record of a task", "[authority][R6][R62]") {
  Identified node;
  capsules::Capsule capsule = node.capsule_with_all();
  REQUIRE(capsule.requester == "user:alice@plant.example");
  REQUIRE(capsule.agent == "log-triage");
  capsule.grants[0].budget.calls = 100;
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file).value().task;
  node.decide_everything(task);
  std::set<std::string> verbs;
  const PublicKey maker = node.fleet.holder_key.public_key();
  const std::size_t decisions = node.store->records(LeafType::decision).size();
  CHECK(node.count(LeafType::decision, maker, verbs) == decisions);
  CHECK(verbs == std::set<std::string>{"create allow", "poll allow", "result allow", "update allow",
                                       "cancel allow", "poll deny", "result deny", "update deny",
                                       "cancel deny", "discover allow", "call allow", "call deny",
                                       "retry deny"});
  // Whoever it was handed to acts for the same requester, under his own key.
  const crypto::SigningKey other = crypto::SigningKey::generate();
  Block block;
  block.holder = other.public_key();
  block.grants = {{"read-logs", "read-logs", {}, {}}};
  node.as = node.activate(narrow_capsule(file, block, node.fleet.holder_key), other).value().chain;
  node.decide_everything(task);
  CHECK(node.count(LeafType::decision, other.public_key(), verbs) == decisions);
  CHECK(node.store->records(LeafType::decision).size() == 2 * decisions);
  node.as.reset();
  node.end(task, EndReason::cancelled);
  for (const LeafType type : kAbout) {
    const std::size_t all = node.store->records(type).size();
    CHECK(all > 0);
    CHECK(node.count(type, maker, verbs) + node.count(type, other.public_key(), verbs) == all);
  }
}

TEST_CASE("no task is made without requester, agent or holder", "[authority][R1][R6]") {
  Node node;
  const auto refused = [&](auto change) {
    capsules::Capsule capsule = sample_capsule(node.fleet);
    change(capsule);
    const auto payload = capsules::encode_capsule(capsule);
    if (!payload.ok()) return payload.code();
    return node.activate(sign_capsule(node.fleet, capsule)).code();
  };
  CHECK(refused([](capsules::Capsule&) {}) == Code::ok);
  CHECK(refused([](capsules::Capsule& c) { c.requester.clear(); }) != Code::ok);
  CHECK(refused([](capsules::Capsule& c) { c.agent.clear(); }) != Code::ok);
  CHECK(refused([](capsules::Capsule& c) { c.holder = PublicKey{}; }) != Code::ok);
}

}  // namespace
}  // namespace taper::testing
