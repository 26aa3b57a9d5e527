#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using capsules::Capsule;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";
constexpr auto kWrite = R"({"content":"x","path":"/srv/reports/today.md"})";

// A capsule, and the same one narrowed by its holder to a second key of his own, keeping all.
struct TwoChains {
  explicit TwoChains(const std::function<void(Capsule&)>& change) {
    Capsule capsule = sample_capsule(node.fleet);
    capsule.max_depth = 2;
    capsule.activations = 3;
    change(capsule);
    root = sign_capsule(node.fleet, capsule);
    capsules::Block block;
    block.holder = second.public_key();
    block.grants = {{"read-logs", "read-logs", {}, {}}, {"write-report", "write-report", {}, {}}};
    narrowed = narrow_capsule(root, block, node.fleet.holder_key);
  }
  Result<authority::Activation> activate_narrowed() {
    return node.authority->activate(node.request(narrowed, second), node.tools, node.clock.now());
  }

  Node node;
  crypto::SigningKey second = crypto::SigningKey::generate();
  Bytes root, narrowed;
};

TEST_CASE("a second chain gains no task, no time and no activation", "[authority][R45]") {
  TwoChains chains([](Capsule& capsule) { capsule.activations = 2; });
  Node& node = chains.node;
  const TaskId first = node.activate(chains.root)->task;
  CHECK(chains.activate_narrowed()->task == first);
  node.restart();
  CHECK(chains.activate_narrowed()->task == first);
  CHECK(node.activate(chains.root)->task == first);
  node.end(first, EndReason::completion);

  const auto second = chains.activate_narrowed();
  REQUIRE(second.code() == Code::ok);
  CHECK(second->task != first);
  CHECK(node.activate(chains.root)->task == second->task);
  node.end(second->task, EndReason::completion);
  CHECK(node.activate(chains.root).code() == Code::activations_spent);
  CHECK(chains.activate_narrowed().code() == Code::activations_spent);
}

TEST_CASE("what ends one chain's task for good ends every chain", "[authority][R19][R45]") {
  for (const EndReason reason :
       {EndReason::denials, EndReason::cancelled, EndReason::violation, EndReason::operator_kill}) {
    TwoChains chains([](Capsule&) {});
    chains.node.end(chains.node.activate(chains.root)->task, reason);
    CHECK(chains.activate_narrowed().code() == Code::activations_spent);
  }
}

TEST_CASE("budgets, labels and ids are one for all chains", "[authority][R32][R37][R38][R45]") {
  TwoChains chains([](Capsule& capsule) {
    capsule.end_on.denials = 100;
    capsule.grants[0].labels = {"seen"};
    capsule.grants[0].budget.calls = 3;
    capsule.grants[0].budget.rate = capsules::Rate{2, 60'000};
    capsule.grants[1].refuse_after = {"seen"};
    capsule.grants[1].idempotency = "content";
    capsule.grants[1].budget.calls = 5;
  });
  Node& node = chains.node;
  const TaskId first = node.activate(chains.root)->task;
  node.settle(node.allowed(first, "file.write", kWrite).call, CallState::done);
  CHECK(node.refused(first, "file.read", kRead) == Code::ok);
  CHECK(node.refused(first, "file.read", kRead) == Code::ok);
  CHECK(node.refused(first, "file.read", kRead) == Code::budget_rate);
  node.end(first, EndReason::completion);

  const TaskId second = chains.activate_narrowed()->task;
  CHECK(node.refused(second, "file.read", kRead) == Code::budget_rate);
  node.clock.advance_ms(60'000);
  CHECK(node.refused(second, "file.read", kRead) == Code::ok);
  CHECK(node.refused(second, "file.read", kRead) == Code::budget_calls);
  CHECK(node.refused(second, "file.write", kWrite) == Code::idempotency_reused);
  CHECK(node.refused(second, "file.write", R"({"content":"y","path":"/srv/reports/today.md"})") ==
        Code::label_refused);
  const auto view = node.show(second);
  REQUIRE(view.grants.size() == 4);  // of the root block, then of the block
  CHECK(view.grants[0].left.calls == 0);
  CHECK(view.grants[2].block == 1);
  CHECK(view.grants[2].id == "read-logs");
  CHECK(view.grants[2].tool == "file.read");
  CHECK(view.grants[3].shut_by == "seen");
}

TEST_CASE("a block adds labels, what shuts a grant, and budgets", "[authority][R37][R45]") {
  TwoChains chains([](Capsule& capsule) { capsule.end_on.denials = 100; });
  Node& node = chains.node;
  capsules::Block block;
  block.holder = chains.second.public_key();
  capsules::KeptGrant read{"mine", "read-logs", {}, {}};
  read.budget.calls = 2;
  read.labels = {"seen"};
  capsules::KeptGrant write{"theirs", "write-report", {}, {}};
  write.refuse_after = {"seen"};
  block.grants = {read, write};
  chains.narrowed = narrow_capsule(chains.root, block, node.fleet.holder_key);
  const TaskId task = chains.activate_narrowed()->task;
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  CHECK(node.show(task).labels == std::vector<std::string>{"seen"});
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_calls);
  CHECK(node.refused(task, "file.write", kWrite) == Code::label_refused);
}

}  // namespace
}  // namespace taper::testing
