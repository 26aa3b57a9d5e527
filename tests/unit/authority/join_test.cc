// Several chains of one root payload on one task: each call has the rights of its own chain, and
// all that is counted is counted once.
#include <set>

#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::Activation;
using authority::CallState;
using authority::EndReason;
using capsules::Block;
using capsules::Capsule;

const std::string kPump = json("/var/log/plant/pump");
const std::string kSite = json("/var/log/plant/site/a");
constexpr auto kWrite = R"({"content":"x","path":"/srv/reports/today.md"})";

// The whole capsule; a child that may read below site only; a sibling that may write only.
struct Family {
  explicit Family(const std::function<void(Capsule&)>& change = {},
                  const std::function<void(Block&)>& shorten = {}) {
    Capsule capsule = sample_capsule(node.fleet);
    capsule.max_depth = 3;
    capsule.end_on.denials = 10;
    if (change) change(capsule);
    root = sign_capsule(node.fleet, capsule);
    Block block;
    block.holder = child_key.public_key();
    block.grants = {
        {"mine", "read-logs", {{"path", false, {capsules::Under{"/var/log/plant/site"}}}}, {}}};
    if (shorten) shorten(block);
    child = narrow_capsule(root, block, node.fleet.holder_key);
    block = {};
    block.holder = sibling_key.public_key();
    block.grants = {{"write-report", "write-report", {}, {}}};
    sibling = narrow_capsule(root, block, node.fleet.holder_key);
  }
  Activation as_root() { return attached(root, node.fleet.holder_key); }
  Activation as_child() { return attached(child, child_key); }
  Activation as_sibling() { return attached(sibling, sibling_key); }
  Activation attached(const Bytes& file, const crypto::SigningKey& key) {
    const auto activation = node.activate(file, key);
    INFO((activation ? "" : to_line(activation.error())));
    REQUIRE(activation.code() == Code::ok);
    node.as = activation->chain;
    return *activation;
  }

  Node node;
  crypto::SigningKey child_key = crypto::SigningKey::generate();
  crypto::SigningKey sibling_key = crypto::SigningKey::generate();
  Bytes root, child, sibling;
};

TEST_CASE("a chain of a live root joins its task", "[authority][R45]") {
  Family family;
  Node& node = family.node;
  const Activation first = family.as_root();
  CHECK_FALSE(first.resumed);
  const auto spent = node.store->disk().tables[std::size_t(store::Table::activations)];
  const Activation joined = family.as_child();
  CHECK(joined.task == first.task);
  CHECK(joined.resumed);
  CHECK(joined.joined);
  CHECK(node.store->disk().tables[std::size_t(store::Table::activations)] == spent);
  const Activation again = family.as_child();
  CHECK(again.task == first.task);
  CHECK(again.resumed);
  CHECK_FALSE(again.joined);

  const auto records = node.store->records(store::LeafType::activation);
  REQUIRE(records.size() == 3);
  CHECK(member(records[0], "verb") == "activate");
  CHECK(member(records[1], "verb") == "join");
  CHECK(member(records[1], "task") == first.task.hex());
  CHECK(member(records[1], "chain") == joined.chain.hex());
  CHECK(member(records[1], "holder") == family.child_key.public_key().hex());
  CHECK(member(records[1], "blocks") == "1");
  CHECK(member(records[2], "verb") == "resume");
  CHECK(member(records[2], "chain") == joined.chain.hex());
  const auto view = node.show(first.task);
  CHECK(view.holder == node.fleet.holder_key.public_key());
  CHECK(view.chains.size() == 2);
  REQUIRE(view.grants.size() == 3);
  CHECK(view.grants[2].chain == joined.chain);
}

TEST_CASE("a call has its own chain's rights and no other's", "[authority][R45]") {
  Family family;
  Node& node = family.node;
  const Activation root = family.as_root();
  const TaskId task = root.task;
  const Activation child = family.as_child();
  const Activation sibling = family.as_sibling();
  std::vector<std::uint32_t> cells;
  const auto ask = [&](const Activation& who, const char* tool, std::string_view arguments) {
    node.as = who.chain;
    auto decision = node.call(task, tool, arguments);
    const auto* allowed = std::get_if<authority::Allowed>(&decision);
    if (allowed == nullptr) return std::get<authority::Denial>(decision).error.code();
    cells.push_back(allowed->permit.facts().grant);
    const auto view = authority::explain_decision(*node.store, allowed->decision);
    CHECK(member(view->record, "chain") == who.chain.hex());
    CHECK(member(view->record, "holder") == who.holder.hex());
    node.settle(allowed->call, CallState::done);
    CHECK(member(node.store->records(store::LeafType::outcome).back(), "chain") == who.chain.hex());
    return Code::ok;
  };
  CHECK(ask(child, "file.read", kSite) == Code::ok);
  CHECK(ask(child, "file.read", kPump) == Code::argument_refused);
  CHECK(ask(child, "file.write", kWrite) == Code::tool_not_granted);
  CHECK(ask(sibling, "file.read", kSite) == Code::tool_not_granted);
  CHECK(ask(sibling, "file.write", kWrite) == Code::ok);
  CHECK(ask(root, "file.read", kPump) == Code::ok);
  // Nor do they share a cell, whose trees are one chain's.
  CHECK(cells.size() == 3);
  CHECK(std::set(cells.begin(), cells.end()).size() == 3);
  node.as = Hash{};
  CHECK(node.refused(task, "file.read", kSite) == Code::task_not_live);
  const auto past = node.authority->past_calls(task);
  CHECK(past.at(0).holder == child.holder);
  CHECK(past.at(2).holder == root.holder);
}

TEST_CASE("what is counted is counted once for all chains", "[authority][R32][R37][R45]") {
  Family family([](Capsule& capsule) {
    capsule.end_on.denials = 3;
    capsule.grants[0].labels = {"seen"};
    capsule.grants[0].budget.calls = 2;
    capsule.grants[1].refuse_after = {"seen"};
  });
  Node& node = family.node;
  const TaskId task = family.as_root().task;
  node.settle(node.allowed(task, "file.read", kPump).call, CallState::done);
  CHECK(node.refused(task, "file.read", json("/etc/passwd")) == Code::argument_refused);
  family.as_sibling();
  CHECK(node.refused(task, "file.write", kWrite) == Code::label_refused);
  const Activation child = family.as_child();
  CHECK(node.show(task).denials == 2);
  node.settle(node.allowed(task, "file.read", kSite).call, CallState::done);
  const auto last = node.denied(task, "file.read", kSite);
  CHECK(last.error.code() == Code::budget_calls);
  CHECK(last.ends_task == EndReason::denials);
  family.node.end(task, EndReason::denials);
  // It ended for every chain, and for good.
  for (const auto& [file, key] : {std::pair{&family.root, &node.fleet.holder_key},
                                  std::pair{&family.child, &family.child_key}}) {
    CHECK(node.activate(*file, *key).code() == Code::activations_spent);
  }
  CHECK(node.refused(task, "file.read", kSite) == Code::task_not_live);
  CHECK(member(node.store->records(store::LeafType::decision).back(), "holder") ==
        child.holder.hex());
}

TEST_CASE("joining gives no time back", "[authority][R11][R45]") {
  Family family([](Capsule& capsule) { capsule.lease_ttl_ms = 200'000; });
  Node& node = family.node;
  const TaskId task = family.as_root().task;
  node.clock.advance_ms(100'000);
  family.as_child();
  CHECK(node.show(task).active_ms == 100'000);
  node.clock.advance_ms(19'999);
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::none);
  node.clock.advance_ms(1);  // idle for two minutes since the activation
  CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::idle);
  const auto late = node.activate(family.sibling, family.sibling_key);
  CHECK(late.code() == Code::lease_over);
  CHECK(node.refused(task, "file.read", kSite) == Code::lease_over);
}

TEST_CASE("a block's lease ends its own chain", "[authority][R45]") {
  Family family([](Capsule& capsule) { capsule.end_on.failure = true; },
                [](Block& block) { block.lease_ttl_ms = 30'000; });
  Node& node = family.node;
  const Activation root = family.as_root();
  const Activation child = family.as_child();
  const TaskId task = root.task;
  CHECK(node.show(task).ttl_ms == 900'000);
  CHECK(node.authority->chain_due(task, child.chain, node.clock.now()) ==
        node.clock.now().boot_ms + 30'000);
  const auto call = node.allowed(task, "file.read", kSite);
  CHECK(call.permit.facts().deadline_boot_ms == node.clock.now().boot_ms + 30'000);
  node.clock.advance_ms(30'000);
  CHECK(node.authority->chain_due(task, child.chain, node.clock.now()) == node.clock.now().boot_ms);
  // Killed at its chain's end: no failure of the task's.
  CHECK(node.settle(call.call, CallState::killed, Code::tool_killed) == EndReason::none);
  const auto late = node.denied(task, "file.read", kSite);
  CHECK(late.error.code() == Code::lease_over);
  CHECK(late.ends_task == EndReason::none);
  CHECK(node.activate(family.child, family.child_key).code() == Code::lease_over);
  node.as = root.chain;
  node.settle(node.allowed(task, "file.read", kPump).call, CallState::done);
  node.restart();
  CHECK(node.activate(family.child, family.child_key).code() == Code::lease_over);
  family.as_root();
  const auto failing = node.allowed(task, "file.read", kPump);
  CHECK(node.settle(failing.call, CallState::killed, Code::tool_killed) == EndReason::failure);
}

TEST_CASE("a chain that was idle for too long stays ended", "[authority][R45]") {
  // Longer than what a restart charges: the store alone can know of it afterwards.
  static constexpr std::int64_t kIdleMs = 2 * limits::kPersistIntervalMs;
  Family family({}, [](Block& block) { block.lease_idle_ms = kIdleMs; });
  Node& node = family.node;
  const Activation root = family.as_root();
  const Activation child = family.as_child();
  const TaskId task = root.task;
  node.clock.advance_ms(kIdleMs);
  CHECK(node.refused(task, "file.read", kSite) == Code::lease_over);
  node.as = root.chain;
  SECTION("another chain's call does not mend it") {
    node.settle(node.allowed(task, "file.read", kPump).call, CallState::done);
  }
  SECTION("nor one that the store refused before") {
    node.store->fail_at(node.store->commits() + 1, MapStore::Failure::before);
    const authority::CallRequest request{
        task, root.chain, capsules::Verb::call, "file.read", to_bytes(as_bytes(kPump)), ""};
    CHECK(node.authority->authorise(request, node.tools, node.clock.now()).code() ==
          Code::store_full);
    node.restart();
    family.as_root();
    node.settle(node.allowed(task, "file.read", kPump).call, CallState::done);
  }
  CHECK(node.activate(family.child, family.child_key).code() == Code::lease_over);
  node.as = child.chain;
  CHECK(node.refused(task, "file.read", kSite) != Code::ok);
  node.restart();
  CHECK(node.activate(family.child, family.child_key).code() == Code::lease_over);
  CHECK(node.show(task).chains.size() == 2);
}

TEST_CASE("a block's window ends its own chain", "[authority][R45]") {
  const std::int64_t at_s = kNowS + 60;
  Family family({}, [&](Block& block) { block.not_after_s = at_s; });
  Node& node = family.node;
  const Activation root = family.as_root();
  family.as_child();
  CHECK(node.refused(root.task, "file.read", kSite) == Code::ok);
  node.clock.advance_ms(61'000);
  CHECK(node.refused(root.task, "file.read", kSite) == Code::window_closed);
  CHECK(node.activate(family.child, family.child_key).code() == Code::window_closed);
  node.as = root.chain;
  CHECK(node.refused(root.task, "file.read", kPump) == Code::ok);
}

TEST_CASE("joining takes a proof of its own", "[authority][R3][R45]") {
  Family family;
  Node& node = family.node;
  const TaskId task = family.as_root().task;
  const auto refused = [&](const Bytes& file, const crypto::SigningKey& key) {
    const auto before = node.store->disk().tables[std::size_t(store::Table::tasks)];
    const Code code = node.activate(file, key).code();
    CHECK(node.store->disk().tables[std::size_t(store::Table::tasks)] == before);
    return code;
  };
  CHECK(refused(family.child, node.fleet.holder_key) == Code::proof_wrong);
  CHECK(refused(family.child, family.sibling_key) == Code::proof_wrong);
  CHECK(refused(family.root, family.child_key) == Code::proof_wrong);
  const auto request = node.request(family.child, family.child_key);
  auto other = request;  // another chain under this one's proof
  other.capsule_file = family.sibling;
  CHECK(node.authority->activate(other, node.tools, node.clock.now()).code() == Code::proof_wrong);
  // The challenge is gone with the first try, and so is a proof that was taken once.
  CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
        Code::proof_wrong);
  const auto good = node.request(family.child, family.child_key);
  REQUIRE(node.authority->activate(good, node.tools, node.clock.now()).code() == Code::ok);
  CHECK(node.authority->activate(good, node.tools, node.clock.now()).code() == Code::proof_wrong);
  CHECK(node.show(task).denials == 0);
  // At another node, the same fleet's.
  Node elsewhere;
  CHECK(elsewhere.activate(family.child, family.child_key).code() != Code::ok);
  node.authority.reset();
  authority::NodeFacts facts = node.facts();
  facts.node = crypto::SigningKey::generate().public_key();
  MapStore store;
  auto started = authority::Authority::start(store, facts, node.clock.now());
  REQUIRE(started.code() == Code::ok);
  node.authority = std::move(started).value();
  REQUIRE(node.authority->import_root(node.fleet.root_file, std::nullopt, node.clock.now()).ok());
  CHECK(node.activate(family.child, family.child_key).code() == Code::audience_other);
}

TEST_CASE("a task that has ended is joined by nobody", "[authority][R51][R45]") {
  Family family([](Capsule& capsule) { capsule.activations = 2; });
  Node& node = family.node;
  const TaskId first = family.as_root().task;
  REQUIRE(node.authority->begin_ending(first, EndReason::completion, node.clock.now()).ok());
  CHECK(node.activate(family.child, family.child_key).code() == Code::already_live);
  REQUIRE(node.authority->finish(first, node.clock.now()).code() == Code::ok);
  const Activation next = family.as_child();
  CHECK(next.task != first);
  CHECK_FALSE(next.resumed);
  // Activated by a narrowed chain, it is the whole capsule's task all the same.
  CHECK(family.as_root().task == next.task);
  CHECK(node.refused(next.task, "file.read", kPump) == Code::ok);
}

TEST_CASE("chains prove themselves again after a restart", "[authority][R45]") {
  Family family;
  Node& node = family.node;
  const Activation root = family.as_root();
  const Activation child = family.as_child();
  const TaskId task = root.task;
  node.allowed(task, "file.read", kSite);  // under way
  node.restart();
  const auto interrupted = node.store->records(store::LeafType::outcome).back();
  CHECK(member(interrupted, "chain") == child.chain.hex());
  CHECK(member(interrupted, "holder") == child.holder.hex());
  for (const Activation& one : {root, child}) {
    node.as = one.chain;
    CHECK(node.refused(task, "file.read", kSite) == Code::task_not_live);
  }
  family.as_child();
  CHECK(node.refused(task, "file.read", kSite) == Code::ok);
  node.as = root.chain;  // another chain's proof does not serve
  CHECK(node.refused(task, "file.read", kPump) == Code::task_not_live);
  CHECK_FALSE(family.as_root().joined);
  CHECK(node.refused(task, "file.read", kPump) == Code::ok);
}

TEST_CASE("a chain that no longer opens under a newer root ends alone", "[authority][R11][R45]") {
  Family family;
  Node& node = family.node;
  const auto second_key = crypto::SigningKey::generate();
  capsules::TrustRootData data = node.fleet.root_data;
  const auto import_next = [&] {
    ++data.version;
    data.fleet = node.fleet.fleet;
    data.previous = node.authority->root()->hash();
    return node.authority->import_root(sign_root(data, {&node.fleet.root_key}), std::nullopt,
                                       node.clock.now());
  };
  data.issuers.push_back(data.issuers[0]);
  data.issuers[1].key = second_key.public_key();
  REQUIRE(import_next().ok());
  // The same root payload under a second issuer's signature too, and narrowed from there.
  const auto envelope = capsules::read_envelope(family.root);
  REQUIRE(envelope.ok());
  std::vector<capsules::RootSignature> signatures;
  for (const crypto::SigningKey* key : {&std::as_const(node.fleet.issuer_key), &second_key})
    signatures.push_back({crypto::key_id(key->public_key()),
                          key->sign(crypto::statement::kCapsule, envelope->payload)});
  Block block;
  block.holder = family.child_key.public_key();
  block.grants = {{"mine", "read-logs", {}, {}}};
  const Bytes both = capsules::write_envelope(envelope->payload, signatures);
  const Bytes file = narrow_capsule(both, block, node.fleet.holder_key);
  const Activation root = family.as_root();
  const Activation joined = family.attached(file, family.child_key);
  CHECK(joined.task == root.task);
  CHECK(node.refused(root.task, "file.read", kPump) == Code::ok);

  data.issuers.pop_back();
  REQUIRE(import_next().ok());
  CHECK(node.refused(root.task, "file.read", kPump) == Code::lease_over);
  const authority::TaskView view = node.show(root.task);
  CHECK(view.state == authority::TaskState::active);
  CHECK(node.activate(file, family.child_key).code() == Code::signer_unknown);
  node.as = root.chain;
  CHECK(node.refused(root.task, "file.read", kPump) == Code::ok);
  node.restart();
  CHECK(node.activate(file, family.child_key).code() == Code::signer_unknown);
  family.as_root();
  CHECK(node.refused(root.task, "file.read", kPump) == Code::ok);
}

TEST_CASE("joining is bounded", "[authority][R45]") {
  Family family([](Capsule& capsule) { capsule.log_quota_bytes = 1'000'000; });
  Node& node = family.node;
  const TaskId task = family.as_root().task;
  const auto narrowed = [&](const crypto::SigningKey& key) {
    Block block;
    block.holder = key.public_key();
    block.grants = {{"mine", "read-logs", {}, {}}};
    return node.activate(narrow_capsule(family.root, block, node.fleet.holder_key), key).code();
  };
  // Whom it is handed to leave some to its holder, who narrows it for itself.
  const std::size_t theirs = limits::kChainsMax - limits::kChainsForHolder;
  for (std::size_t i = 0; i < theirs; ++i) {
    REQUIRE(narrowed(crypto::SigningKey::generate()) == Code::ok);
  }
  CHECK(narrowed(crypto::SigningKey::generate()) == Code::too_large);
  const auto own = [&](std::size_t number) {
    Block block;
    block.holder = node.fleet.holder_key.public_key();
    block.grants = {{"own" + std::to_string(number), "read-logs", {}, {}}};
    return node
        .activate(narrow_capsule(family.root, block, node.fleet.holder_key), node.fleet.holder_key)
        .code();
  };
  for (std::size_t i = theirs + 1; i < limits::kChainsMax; ++i) REQUIRE(own(i) == Code::ok);
  CHECK(own(limits::kChainsMax) == Code::too_large);
  CHECK(own(limits::kChainsMax - 1) == Code::ok);
  family.as_root();  // one that is known may come again
  CHECK(node.refused(task, "file.read", kPump) == Code::ok);

  Family quick([](Capsule& capsule) { capsule.log_quota_bytes = 1000; });
  quick.as_root();
  quick.as_child();
  CHECK(quick.node.activate(quick.sibling, quick.sibling_key).code() == Code::log_quota);
}

TEST_CASE("one whom a capsule was handed to leaves chains to the others", "[authority][R45][R47]") {
  Family family([](Capsule& capsule) { capsule.log_quota_bytes = 1'000'000; });
  Node& node = family.node;
  const TaskId task = family.as_root().task;
  // Handed on by the child to keys that are its own, too.
  std::size_t number = 0;
  const auto child_joins = [&] {
    Block block;
    const crypto::SigningKey key = crypto::SigningKey::generate();
    block.holder = key.public_key();
    block.grants = {{"deeper" + std::to_string(++number), "mine", {}, {}}};
    return node.activate(narrow_capsule(family.child, block, family.child_key), key).code();
  };
  for (std::size_t i = 0; i < limits::kChainsPerBranchMax; ++i) REQUIRE(child_joins() == Code::ok);
  CHECK(child_joins() == Code::too_large);
  node.restart();  // nothing of them is in memory
  family.as_root();
  CHECK(child_joins() == Code::too_large);
  CHECK(node.activate(family.sibling, family.sibling_key).ok());
  CHECK(node.refused(task, "file.read", kPump) == Code::ok);
}

TEST_CASE("a holder's own narrowing makes no first holder of whom it is handed to",
          "[authority][R45][R47]") {
  Family family([](Capsule& capsule) { capsule.log_quota_bytes = 1'000'000; });
  Node& node = family.node;
  family.as_root();
  Block block;
  block.holder = node.fleet.holder_key.public_key();
  block.grants = {{"own", "read-logs", {}, {}}};
  const Bytes own = narrow_capsule(family.root, block, node.fleet.holder_key);
  std::size_t number = 0;
  const auto child_joins = [&] {
    block.holder = family.child_key.public_key();
    block.grants = {{"his" + std::to_string(++number), "own", {}, {}}};
    return node.activate(narrow_capsule(own, block, node.fleet.holder_key), family.child_key)
        .code();
  };
  for (std::size_t i = 0; i < limits::kChainsPerBranchMax; ++i) REQUIRE(child_joins() == Code::ok);
  CHECK(child_joins() == Code::too_large);
}

TEST_CASE("a chain whose join was not written is not attached", "[authority][R50][R45]") {
  for (const auto failure : {MapStore::Failure::before, MapStore::Failure::after}) {
    Family family;
    Node& node = family.node;
    const Activation root = family.as_root();
    node.store->fail_at(node.store->commits() + 1, failure);
    CHECK_FALSE(node.activate(family.child, family.child_key).ok());
    node.as = crypto::hash(family.child);
    const authority::CallRequest request{
        root.task, *node.as, capsules::Verb::call, "file.read", to_bytes(as_bytes(kSite)), ""};
    CHECK_FALSE(node.authority->authorise(request, node.tools, node.clock.now()).ok());
    node.restart();
    CHECK(node.refused(root.task, "file.read", kSite) == Code::task_not_live);
    CHECK(family.as_child().joined == (failure == MapStore::Failure::before));
    CHECK(node.refused(root.task, "file.read", kSite) == Code::ok);
  }
}

TEST_CASE("blocks to one holder with other rates do not fill each other's", "[authority][R45]") {
  Family family([](Capsule& capsule) { capsule.grants[0].budget = {}; });
  Node& node = family.node;
  const auto with_rate = [&](std::int64_t count, std::int64_t per_ms) {
    Block block;
    block.holder = family.child_key.public_key();
    block.grants = {{"mine", "read-logs", {}, {}}};
    block.grants[0].budget.rate = capsules::Rate{count, per_ms};
    return narrow_capsule(family.root, block, node.fleet.holder_key);
  };
  const Activation slow = family.attached(with_rate(1, 60'000), family.child_key);
  const Activation fast = family.attached(with_rate(1000, 1000), family.child_key);
  const TaskId task = slow.task;
  node.as = slow.chain;
  CHECK(node.refused(task, "file.read", kPump) == Code::ok);
  node.clock.advance_ms(1000);
  node.as = fast.chain;
  CHECK(node.refused(task, "file.read", kPump) == Code::ok);
  // Long enough for the fast one's debt, were it the slow one's too.
  node.clock.advance_ms(2000);
  node.as = slow.chain;
  CHECK(node.refused(task, "file.read", kPump) == Code::budget_rate);
}

}  // namespace
}  // namespace taper::testing
