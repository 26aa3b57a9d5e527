#include <random>

#include "capsules/author/lineage.h"
#include "capsules/builtins.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using capsules::Block;
using capsules::Capsule;
using capsules::KeptGrant;

// A capsule of the sample's fleet that is handed on from key to key.
struct Chain {
  explicit Chain(Node& its_node, std::uint8_t max_depth = 8) : node(its_node) {
    capsule = sample_capsule(node.fleet);
    capsule.max_depth = max_depth;
    capsule.end_on.denials = 1'000'000;
    capsule.grants[0].budget.calls.reset();
  }
  void sign() { file = sign_capsule(node.fleet, capsule); }
  const crypto::SigningKey& last() const {
    return keys.empty() ? node.fleet.holder_key : keys.back();
  }
  void narrow(Block block) {
    crypto::SigningKey next = crypto::SigningKey::generate();
    block.holder = next.public_key();
    file = narrow_capsule(file, std::move(block), last());
    keys.push_back(std::move(next));
  }
  Result<authority::Activation> activate() {
    return node.authority->activate(node.request(file, last()), node.tools, node.clock.now());
  }
  TaskId activated() {
    const auto activation = activate();
    REQUIRE(activation.code() == Code::ok);
    return activation->task;
  }

  Node& node;
  Capsule capsule;
  Bytes file;
  std::vector<crypto::SigningKey> keys;
};

KeptGrant kept(std::string id, std::string parent, const std::string& tree = "") {
  KeptGrant out;
  out.id = std::move(id);
  out.parent = std::move(parent);
  if (!tree.empty()) out.args = {{"path", false, {capsules::Under{tree}}}};
  return out;
}

Block keeping(std::vector<KeptGrant> grants) {
  Block out;
  out.grants = std::move(grants);
  return out;
}

TEST_CASE("each of eight blocks is enforced", "[authority][R45][R47]") {
  Node node;
  Chain chain(node);
  chain.sign();
  std::string tree = "/var/log/plant";
  std::vector<std::string> trees = {tree};
  for (int depth = 0; depth < 8; ++depth) {
    tree += "/" + std::to_string(depth);
    trees.push_back(tree);
    const std::string parent = depth == 0 ? "read-logs" : "k" + std::to_string(depth - 1);
    Block block = keeping({kept("k" + std::to_string(depth), parent, tree)});
    block.grants[0].budget.calls = 20 - depth;
    chain.narrow(block);
  }
  const TaskId task = chain.activated();
  for (const std::string& outside : trees) {
    if (outside == trees.back()) continue;
    CHECK(node.refused(task, "file.read", json(outside + "/x")) == Code::argument_refused);
  }
  CHECK(node.refused(task, "file.write", R"({"path":"/srv/reports/today.md","content":"x"})") ==
        Code::tool_not_granted);
  for (int call = 0; call < 13; ++call) {
    const auto allowed = node.allowed(task, "file.read", json(trees.back() + "/x"));
    REQUIRE(allowed.permit.facts().trees.size() == 1);
    CHECK(allowed.permit.facts().trees[0].path == trees.back());
    node.settle(allowed.call, authority::CallState::done);
  }
  CHECK(node.refused(task, "file.read", json(trees.back() + "/x")) == Code::budget_calls);
}

TEST_CASE("kept grants of one grant do not share their trees", "[authority][R29][R45]") {
  Node node;
  Chain chain(node);
  chain.sign();
  chain.narrow(keeping(
      {kept("a", "read-logs", "/var/log/plant/a"), kept("b", "read-logs", "/var/log/plant/b")}));
  chain.narrow(keeping(
      {kept("b-only", "b", "/var/log/plant/b/x"), kept("a-again", "a"), kept("b-whole", "b")}));
  const TaskId task = chain.activated();
  std::vector<std::uint32_t> cells;
  for (const std::string tree : {"/var/log/plant/a", "/var/log/plant/b/x", "/var/log/plant/b"}) {
    INFO(tree);
    const auto allowed = node.allowed(task, "file.read", json(tree + "/1"));
    const authority::PermitFacts& facts = allowed.permit.facts();
    REQUIRE(facts.trees.size() == 1);
    CHECK(facts.trees[0].path == tree);
    CHECK(std::ranges::find(cells, facts.grant) == cells.end());  // nor a resident cell
    cells.push_back(facts.grant);
    node.settle(allowed.call, authority::CallState::done);
  }
  // No kept grant takes the call; the tool is there all the same.
  CHECK(node.refused(task, "file.read", json("/var/log/plant/c")) == Code::argument_refused);
}

TEST_CASE("the last holder must prove itself, no earlier one", "[authority][R3][R45]") {
  Node node;
  Chain chain(node);
  chain.sign();
  const Bytes whole = chain.file;
  chain.narrow(keeping({kept("a", "read-logs")}));
  const Bytes one = chain.file;
  chain.narrow(keeping({kept("b", "a")}));
  const auto activate = [&](const Bytes& file, const crypto::SigningKey& key) {
    return node.authority->activate(node.request(file, key), node.tools, node.clock.now()).code();
  };
  CHECK(activate(chain.file, node.fleet.holder_key) == Code::proof_wrong);
  CHECK(activate(chain.file, chain.keys[0]) == Code::proof_wrong);
  CHECK(activate(chain.file, node.fleet.issuer_key) == Code::proof_wrong);
  // Blocks cut off give the earlier holder's capsule, which is that holder's to run.
  CHECK(activate(one, chain.keys[1]) == Code::proof_wrong);
  CHECK(activate(whole, chain.keys[0]) == Code::proof_wrong);
  CHECK(activate(whole, chain.keys[1]) == Code::proof_wrong);
  CHECK(activate(chain.file, chain.keys[1]) == Code::ok);
  // To join takes the same proof, by each chain's own last holder.
  CHECK(activate(one, chain.keys[1]) == Code::proof_wrong);
  CHECK(activate(whole, chain.keys[0]) == Code::proof_wrong);
  CHECK(activate(one, node.fleet.holder_key) == Code::proof_wrong);
  CHECK(activate(one, chain.keys[0]) == Code::ok);
  CHECK(activate(whole, node.fleet.holder_key) == Code::ok);
}

TEST_CASE("a block shortens times and never lengthens them", "[authority][R45]") {
  Node node;
  Chain chain(node);
  chain.sign();
  Block block = keeping({kept("a", "read-logs")});
  block.lease_ttl_ms = 30'000;
  block.lease_idle_ms = 3'600'000;
  block.not_after_s = node.clock.now().wall_s + 86'400 * 30;
  chain.narrow(block);
  block.grants = {kept("b", "a")};
  block.lease_ttl_ms = 3'600'000;
  chain.narrow(block);
  const TaskId task = chain.activated();
  const authority::TaskView view = node.show(task);
  CHECK(view.ttl_ms == chain.capsule.lease_ttl_ms);  // the task's; the block's is its chain's
  const auto call = node.allowed(task, "file.read", json("/var/log/plant/a"));
  CHECK(call.permit.facts().deadline_boot_ms == node.clock.now().boot_ms + 30'000);
  node.settle(call.call, authority::CallState::done);
  node.clock.advance_ms(30'000);
  const auto late = node.denied(task, "file.read", json("/var/log/plant/a"));
  CHECK(late.error.code() == Code::lease_over);
  CHECK(late.ends_task == authority::EndReason::none);
  CHECK(view.idle_ms == chain.capsule.lease_idle_ms);
  CHECK(view.not_after_s == chain.capsule.not_after_s);

  Node other;
  Chain shut(other);
  shut.sign();
  block = keeping({kept("a", "read-logs")});
  block.not_after_s = other.clock.now().wall_s;
  shut.narrow(block);
  CHECK(shut.activate().code() == Code::window_closed);
  shut.keys.clear();
  shut.sign();
  block.not_after_s.reset();
  block.not_before_s = other.clock.now().wall_s + 10;
  shut.narrow(block);
  CHECK(shut.activate().code() == Code::window_not_open);
}

TEST_CASE("a holder who narrows to its own second key gains nothing", "[authority][R45]") {
  Node node;
  Chain chain(node);
  chain.capsule.activations = 2;
  chain.capsule.grants[0].budget.calls = 2;
  chain.sign();
  const Bytes root = chain.file;
  chain.narrow(keeping({kept("a", "read-logs")}));
  const TaskId first = chain.activated();
  const auto call = node.allowed(first, "file.read", json("/var/log/plant/a"));
  node.settle(call.call, authority::CallState::done);
  node.end(first, authority::EndReason::completion);
  // Another chain of the same root payload: the call that is spent stays spent.
  chain.keys.clear();
  chain.file = root;
  chain.narrow(keeping({kept("other", "read-logs"), kept("more", "read-logs")}));
  const TaskId second = chain.activated();
  const auto last = node.allowed(second, "file.read", json("/var/log/plant/a"));
  node.settle(last.call, authority::CallState::done);
  CHECK(node.refused(second, "file.read", json("/var/log/plant/a")) == Code::budget_calls);
  node.end(second, authority::EndReason::completion);
  // And there is no third activation, by any chain.
  chain.keys.clear();
  chain.file = root;
  CHECK(chain.activate().code() == Code::activations_spent);
  chain.narrow(keeping({kept("third", "read-logs")}));
  CHECK(chain.activate().code() == Code::activations_spent);
}

TEST_CASE("a branch's budget is kept by its block and holder", "[authority][R45]") {
  Node node;
  Chain chain(node);
  chain.capsule.activations = 3;
  chain.sign();
  Block block = keeping({kept("a", "read-logs")});
  block.grants[0].budget.calls = 1;
  chain.narrow(block);
  const Bytes one = chain.file;
  const auto spend = [&](Code wanted) {
    const TaskId task = chain.activated();
    CHECK(node.refused(task, "file.read", json("/var/log/plant/a")) == wanted);
    node.end(task, authority::EndReason::completion);
  };
  spend(Code::ok);
  spend(Code::budget_calls);
  // Handed on, the same branch is charged.
  chain.narrow(keeping({kept("b", "a")}));
  spend(Code::budget_calls);
}

TEST_CASE("records name the chain and the kept grant", "[authority][R45]") {
  Node node;
  Chain chain(node);
  chain.sign();
  chain.narrow(keeping({kept("kept-one", "read-logs")}));
  const Hash hash = capsules::open(chain.file, *node.authority->root())->chain();
  const TaskId task = chain.activated();
  const auto allowed = node.allowed(task, "file.read", json("/var/log/plant/a"));
  const auto view = authority::explain_decision(*node.store, allowed.decision);
  REQUIRE(view.ok());
  CHECK(member(view->record, "grant") == "read-logs");
  CHECK(member(view->record, "kept_grant") == "kept-one");
  CHECK(member(view->record, "chain") == hash.hex());
}

// Chains made at random: the authority answers as the walk for people does, and no chain allows
// what a shorter one of it refuses.
struct Random {
  std::mt19937 engine{45};
  std::size_t below(std::size_t n) { return engine() % n; }
  std::string tree() {
    static const char* const kTrees[] = {"/var/log/plant", "/var/log/plant/a", "/var/log/plant/a/b",
                                         "/var/log/plant/c", "/var/log"};
    return kTrees[below(std::size(kTrees))];
  }
  std::vector<capsules::ArgRule> rules() {
    std::vector<capsules::ArgRule> out;
    if (below(3) != 0) out.push_back({"path", below(2) == 0, {capsules::Under{tree()}}});
    if (below(3) == 0) {
      const auto most = static_cast<std::int64_t>(below(4));
      out.push_back({"max_bytes", below(2) == 0, {capsules::AtMost{most}}});
    }
    return out;
  }
  std::string path() { return tree() + (below(2) == 0 ? "/x" : ""); }
};

TEST_CASE("no random chain allows what its root or any block refuses", "[authority][R45]") {
  Random random;
  std::size_t allowed = 0, refused = 0;
  for (int round = 0; round < 60; ++round) {
    Node node;
    Chain chain(node);
    capsules::Grant second = chain.capsule.grants[0];
    second.id = "second";
    second.args[0].all = {capsules::Under{"/var/log"}};
    chain.capsule.grants.push_back(second);
    chain.sign();
    std::vector<std::string> parents = {"read-logs", "write-report", "second"};
    std::vector<Bytes> files = {chain.file};
    for (std::size_t depth = random.below(4); depth > 0; --depth) {
      Block block;
      for (std::size_t i = 0; i <= random.below(3); ++i) {
        KeptGrant one = kept("k" + std::to_string(i), parents[random.below(parents.size())]);
        if (random.below(3) != 0) one.args = random.rules();
        block.grants.push_back(one);
      }
      parents.clear();
      for (const KeptGrant& one : block.grants) parents.push_back(one.id);
      chain.narrow(block);
      files.push_back(chain.file);
    }
    const auto activation = chain.activate();
    if (activation.code() == Code::tree_refused) continue;  // narrowed to a tree outside
    REQUIRE(activation.code() == Code::ok);
    for (int call = 0; call < 60; ++call) {
      capsules::Object arguments{{"path", random.path()}};
      if (random.below(2) == 0)
        arguments.emplace_back("max_bytes", static_cast<std::int64_t>(random.below(5)));
      const Code answer =
          node.refused(activation->task, "file.read", capsules::write_canonical(arguments));
      (answer == Code::ok ? allowed : refused) += 1;
      bool shorter = true;
      for (const Bytes& file : files) {
        const auto read = capsules::read_untrusted(file, {});
        REQUIRE(read.ok());
        const auto route =
            capsules::find_route(read->root, capsules::lineage_of(read->root, read->blocks),
                                 {capsules::Verb::call, "file.read", arguments},
                                 capsules::find_builtin("file.read")->inputs);
        if (!shorter) CHECK_FALSE(route.status.ok());
        shorter = route.status.ok();
      }
      CHECK((answer == Code::ok) == shorter);
    }
  }
  CHECK(allowed > 100);
  CHECK(refused > 100);
}

TEST_CASE("a block takes verbs away, along the whole line", "[authority][R45][R46]") {
  Node node;
  Chain chain(node);
  using capsules::Verb;
  chain.capsule.grants[0].verbs = {Verb::call, Verb::poll, Verb::retry};
  chain.sign();
  Block block = keeping({kept("fetch", "read-logs"), kept("go", "read-logs")});
  block.grants[0].verbs = {Verb::poll, Verb::call};
  block.grants[1].verbs = {Verb::poll};
  chain.narrow(block);
  const std::string path = json("/var/log/plant/a");
  TaskId task = chain.activated();
  CHECK(node.refused(task, "file.read", path, Verb::call) == Code::ok);
  CHECK(node.refused(task, "file.read", path, Verb::retry) == Code::verb_not_granted);
  // Claiming what is gone brings it not back.
  block = keeping({kept("a", "fetch"), kept("b", "go")});
  block.grants[0].verbs = {Verb::poll, Verb::retry};
  block.grants[1].verbs = {Verb::call, Verb::retry};
  chain.narrow(block);
  node.as = chain.activate()->chain;
  CHECK(node.refused(task, "file.read", path, Verb::call) == Code::verb_not_granted);
  CHECK(node.refused(task, "file.read", path, Verb::retry) == Code::verb_not_granted);
}

TEST_CASE("the line ends in one kept grant: the other's verbs are not added to it",
          "[authority][R45][R46]") {
  Node node;
  Chain chain(node);
  using capsules::Verb;
  chain.capsule.grants[0].verbs = {Verb::call, Verb::poll, Verb::retry};
  chain.sign();
  Block block = keeping({kept("fetch", "read-logs"), kept("go", "read-logs")});
  block.grants[0].verbs = {Verb::call};
  block.grants[1].verbs = {Verb::retry};
  chain.narrow(block);
  const std::string path = json("/var/log/plant/a");
  TaskId task = chain.activated();
  CHECK(node.refused(task, "file.read", path, Verb::call) == Code::ok);
  CHECK(node.refused(task, "file.read", path, Verb::retry) == Code::ok);
  block = keeping({kept("a", "fetch")});
  block.grants[0].verbs = {Verb::call, Verb::retry};
  chain.narrow(block);
  node.as = chain.activate()->chain;
  CHECK(node.refused(task, "file.read", path, Verb::call) == Code::ok);
  CHECK(node.refused(task, "file.read", path, Verb::retry) == Code::tool_not_granted);
}

TEST_CASE("no verb but call and retry gives a permit", "[authority][R26][R27]") {
  Node node;
  Chain chain(node);
  using capsules::Verb;
  chain.capsule.grants[0].verbs = {Verb::discover, Verb::call,   Verb::poll,  Verb::result,
                                   Verb::update,   Verb::cancel, Verb::retry, Verb::resume};
  chain.sign();
  const TaskId task = chain.activated();
  const std::string path = json("/var/log/plant/a");
  for (const Verb verb : {Verb::discover, Verb::poll, Verb::result, Verb::update, Verb::cancel,
                          Verb::resume, Verb::unset})
    CHECK(node.refused(task, "file.read", path, verb) == Code::verb_not_granted);
  for (const Verb verb : {Verb::call, Verb::retry})
    CHECK(node.refused(task, "file.read", path, verb) == Code::ok);
}

}  // namespace
}  // namespace taper::testing
