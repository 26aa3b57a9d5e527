// Calls with a handle: each verb about one is a decision of its own, and a handle is its maker's.
#include <array>
#include <set>

#include "tests/unit/authority/handles.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::CallView;
using authority::Denial;
using authority::EndReason;
using capsules::Block;
using capsules::Verb;

TEST_CASE("create, poll, result, update and cancel are decisions and events of their own",
          "[authority][R27][R28][R60]") {
  HandleNode node;
  const TaskId task = node.activated(node.capsule_with_all());
  const CallId call = node.made(task);
  CHECK(member(node.last_decision(), "verb") == "create");
  CHECK(member(node.last_decision(), "call") == call.hex());
  CHECK(member(node.last_decision(), "handle_ttl_ms") == std::to_string(kTtlMs));
  node.settle(call, CallState::waiting);
  std::set<std::string> verbs = {"create"};
  for (const Verb verb : HandleNode::kAccess) {
    const std::uint64_t commits = node.store->commits();
    const CallView view = node.seen(task, call, verb);
    CHECK(view.call == call);
    CHECK(view.tool == "file.read");
    CHECK(view.ttl_ms == kTtlMs);
    CHECK(node.store->commits() == commits + 1);
    const std::string record = node.last_decision();
    CHECK(member(record, "verdict") == "allow");
    CHECK(member(record, "call") == call.hex());
    CHECK(member(record, "grant") == "read-logs");
    CHECK(member(record, "holder") == node.fleet.holder_key.public_key().hex());
    CHECK(member(record, "reserved_bytes") == "(none)");
    verbs.insert(member(record, "verb"));
  }
  CHECK(verbs == std::set<std::string>{"create", "poll", "result", "update", "cancel"});
  node.made(task, std::nullopt);
  CHECK(member(node.last_decision(), "verb") == "call");
}

TEST_CASE("the path of an access is its own questions in their order", "[authority][R59]") {
  HandleNode node;
  const TaskId task = node.activated(node.capsule_with_all());
  const CallId call = node.made(task);
  const auto path = [&] {
    const auto id = DecisionId::from_hex(member(node.last_decision(), "decision"));
    const auto view = authority::explain_decision(*node.store, id.value());
    REQUIRE(view.ok());
    std::string names;
    for (const authority::Answer& answer : view->answers)
      names += (names.empty() ? "" : ", ") + answer.question + (answer.passed ? "" : "!");
    return names;
  };
  CHECK(path().find("handle") == std::string::npos);
  CHECK(path().find("task live, time, revocation, node policy, grant, tool digest") == 0);
  node.seen(task, call);
  CHECK(path() == "task live, time, revocation, node policy, handle, grant, log quota");
  CHECK(node.refused_access(task, CallId{}) == Code::handle_unknown);
  CHECK(path() == "task live, time, revocation, node policy, handle!");
}

TEST_CASE("a grant without a verb refuses that verb and no other", "[authority][R26][R27][R28]") {
  HandleNode node;
  const Verb without = GENERATE(Verb::poll, Verb::result, Verb::update, Verb::cancel);
  std::vector<Verb> verbs = {Verb::call};
  for (const Verb verb : HandleNode::kAccess) {
    if (verb != without) verbs.push_back(verb);
  }
  const Bytes file = sign_capsule(node.fleet, node.capsule_with(verbs));
  const TaskId task = node.activate(file).value().task;
  const CallId call = node.made(task);
  CHECK(node.refused_access(task, call, without) == Code::verb_not_granted);
  CHECK(member(node.last_decision(), "question") == "grant");
  CHECK(node.show(task).denials == 1);
  CHECK(node.seen(task, call, verbs[1]).state == CallState::authorised);
  // Nor after the connection it was made on is gone.
  node.settle(call, CallState::done);
  node.restart();
  REQUIRE(node.activate(file).code() == Code::ok);
  CHECK(node.refused_access(task, call, without) == Code::verb_not_granted);
  CHECK(node.seen(task, call, verbs[1]).state == CallState::done);
}

TEST_CASE("a call without the verb call makes no handle", "[authority][R27]") {
  HandleNode node;
  const TaskId task = node.activated(node.capsule_with({Verb::poll, Verb::result}));
  const authority::CallRequest request{
      task, node.caller(task), Verb::call, "file.read", to_bytes(as_bytes(kPump)), "", kTtlMs};
  const auto decision = node.authority->authorise(request, node.tools, node.clock.now());
  REQUIRE(decision.ok());
  CHECK(std::get<Denial>(*decision).error.code() == Code::verb_not_granted);
  CHECK(member(node.last_decision(), "verb") == "create");
}

// The maker's chain, one of another key of the same root payload, and what else there may be.
struct Strangers : HandleNode {
  TaskId task;
  Hash maker, stranger;
  crypto::SigningKey stranger_key = crypto::SigningKey::generate();
  Bytes file;

  Strangers() {
    file = sign_capsule(fleet, capsule_with_all());
    const auto activation = activate(file);
    REQUIRE(activation.ok());
    task = activation->task;
    maker = activation->chain;
    Block block;
    block.holder = stranger_key.public_key();
    block.grants = {{"read-logs", "read-logs", {}, {}}};
    stranger = activate(narrow_capsule(file, block, fleet.holder_key), stranger_key).value().chain;
    as = maker;
  }
  Denial refusal(const Hash& chain, const CallId& call, Verb verb = Verb::poll) {
    const auto answer = authority->access({task, chain, verb, call}, clock.now());
    REQUIRE(answer.ok());
    REQUIRE(std::holds_alternative<Denial>(*answer));
    return std::get<Denial>(*answer);
  }
};

TEST_CASE("another's handle, an unknown one, none and an old one answer the same",
          "[authority][R4][R8][R9][R48]") {
  Strangers node;
  const Verb verb = GENERATE(Verb::poll, Verb::result, Verb::update, Verb::cancel);
  const CallId old = node.made(node.task, 1000);
  const CallId plain = node.made(node.task, std::nullopt);
  node.clock.advance_ms(1000);
  const CallId call = node.made(node.task);
  const Denial same = node.refusal(node.stranger, crypto::random_id<CallId>(), verb);
  CHECK(same.error.code() == Code::handle_unknown);
  std::uint64_t denials = node.show(node.task).denials;
  const auto check_same = [&](const Hash& chain, const CallId& asked) {
    const Denial denial = node.refusal(chain, asked, verb);
    CHECK(to_line(denial.error) == to_line(same.error));
    CHECK(denial.ends_task == same.ends_task);
    const std::string record = node.last_decision();
    CHECK(member(record, "verdict") == "deny");
    CHECK(member(record, "question") == "handle");
    CHECK(member(record, "grant") == "(none)");
    CHECK(member(record, "tool").empty());
    CHECK(member(record, "call") == asked.hex());
    CHECK(node.show(node.task).denials == ++denials);
  };
  for (const CallId& asked : {call, old, plain, CallId{{1}}}) check_same(node.stranger, asked);
  for (const CallId& asked : {old, plain, crypto::random_id<CallId>()})
    check_same(node.maker, asked);
  if (verb == Verb::update) node.settle(call, CallState::waiting);
  for (const CallId& asked : {call}) check_same(node.stranger, asked);
  CHECK(node.seen(node.task, call, verb).call == call);
}

TEST_CASE("a handle's id tells nothing of another's", "[authority][R4][R9]") {
  constexpr std::size_t kCalls = 256;
  HandleNode node;
  capsules::Capsule capsule = node.capsule_with_all();
  for (capsules::Grant& grant : capsule.grants) grant.budget = {};
  const TaskId task = node.activated(capsule);
  std::set<CallId> seen;
  std::array<std::size_t, 8 * sizeof(CallId::bytes)> ones{};
  for (std::size_t i = 0; i < kCalls; ++i) {
    const CallId call = node.made(task);
    CHECK(seen.insert(call).second);
    for (std::size_t bit = 0; bit < ones.size(); ++bit)
      ones[bit] += call.bytes[bit / 8] >> (bit % 8) & 1U;
  }
  // Of so many, half bear each bit, but for eight times the spread.
  for (const std::size_t count : ones) CHECK((count > kCalls / 2 - 64 && count < kCalls / 2 + 64));
}

TEST_CASE("refused handles end the task as other refused calls do", "[authority][R4][R19]") {
  HandleNode node;
  capsules::Capsule capsule = node.capsule_with_all();
  capsule.end_on.denials = 2;
  const TaskId task = node.activated(capsule);
  CHECK(node.refused_access(task, CallId{}) == Code::handle_unknown);
  const auto last = std::get<Denial>(node.access(task, CallId{}, Verb::cancel));
  CHECK(last.ends_task == EndReason::denials);
  CHECK(node.refused_access(task, CallId{}) == Code::task_not_live);
}

TEST_CASE("a handle of one task is unknown in another, whoever's it is", "[authority][R4][R49]") {
  HandleNode node;
  const TaskId task = node.activated(node.capsule_with_all());
  const CallId call = node.made(task);
  capsules::Capsule theirs = node.capsule_with_all();
  theirs.tenant = "another tenant";
  const TaskId other = node.activated(theirs);
  const auto foreign = std::get<Denial>(node.access(other, call, Verb::result));
  const auto unknown =
      std::get<Denial>(node.access(other, crypto::random_id<CallId>(), Verb::result));
  CHECK(foreign.error.code() == Code::handle_unknown);
  CHECK(to_line(foreign.error) == to_line(unknown.error));
  // Nor does naming the other's task help: its chains are not this one's.
  const Hash chain = node.caller(other);
  const auto crossed =
      node.authority->access({task, chain, Verb::result, call}, node.clock.now()).value();
  CHECK(std::get<Denial>(crossed).error.code() == Code::task_not_live);
}

TEST_CASE("two agents on one task have neither each other's handles nor grants",
          "[authority][R48]") {
  Strangers node;
  const CallId mine = node.made(node.task);
  node.as = node.stranger;
  const CallId theirs = node.made(node.task);
  CHECK(node.refused_access(node.task, mine) == Code::handle_unknown);
  CHECK(node.seen(node.task, theirs).chain == node.stranger);
  CHECK(
      node.refused(node.task, "file.write", R"({"content":"x","path":"/srv/reports/today.md"})") ==
      Code::tool_not_granted);
  node.as = node.maker;
  CHECK(node.refused_access(node.task, theirs) == Code::handle_unknown);
  CHECK(node.seen(node.task, mine).chain == node.maker);
}

TEST_CASE("after the task is over or out of time no handle opens anything",
          "[authority][R4][R10][R14]") {
  HandleNode node;
  const TaskId task = node.activated(node.capsule_with_all());
  const CallId call = node.made(task, 1'000'000'000);
  const Hash chain = node.caller(task);
  SECTION("ended") {
    node.end(task, EndReason::completion);
    node.as = chain;
    CHECK(node.refused_access(task, call) == Code::task_not_live);
    CHECK(node.refused_access(task, CallId{}) == Code::task_not_live);
    CHECK(member(node.last_decision(), "verb") == "poll");
  }
  SECTION("the lease") {
    node.clock.advance_ms(900'000);
    CHECK(node.refused_access(task, call) == Code::lease_over);
  }
  SECTION("the window") {
    node.clock.step_wall_s(365 * 86'400);
    CHECK(node.refused_access(task, call) == Code::window_closed);
  }
  SECTION("a task that never was") {
    const auto answer = node.authority->access({TaskId{}, chain, Verb::poll, call}, {});
    CHECK(answer.code() == Code::unknown_task);
  }
}

TEST_CASE("a handle's time is cut by the lease and by what the node allows", "[authority][R9]") {
  HandleNode node;
  capsules::Capsule capsule = node.capsule_with_all();
  const std::int64_t asked = GENERATE(-5, 0, 1, 899'000, 900'000, 1'000'000, INT64_MAX);
  const TaskId task = node.activated(capsule);
  node.clock.advance_ms(1000);
  const CallId call = node.made(task, asked);
  const auto view = node.authority->handle_view(task, call);
  REQUIRE(view);
  CHECK(view->ttl_ms == std::clamp<std::int64_t>(asked, 0, 899'000));
}

TEST_CASE("once its issuer is taken away no verb is allowed any more", "[authority][R26][R28]") {
  HandleNode node;
  const Bytes file = sign_capsule(node.fleet, node.capsule_with_all());
  const TaskId task = node.activate(file).value().task;
  const CallId call = node.made(task);
  node.settle(call, CallState::waiting);
  for (const Verb verb : HandleNode::kAccess) node.seen(task, call, verb);
  node.as = node.caller(task);
  capsules::TrustRootData next = node.fleet.root_data;
  next.version = 2;
  next.fleet = node.fleet.fleet;
  next.previous = node.authority->root()->hash();
  next.issuers[0].key = crypto::SigningKey::generate().public_key();
  const Bytes root = sign_root(next, {&node.fleet.root_key});
  REQUIRE(node.authority->import_root(root, std::nullopt, node.clock.now()).ok());
  for (const Verb verb : HandleNode::kAccess) {
    CHECK(node.refused_access(task, call, verb) == Code::task_not_live);
    CHECK(member(node.last_decision(), "question") == "task live");
    CHECK(member(node.last_decision(), "verdict") == "deny");
  }
  for (const Verb verb : {Verb::call, Verb::retry})
    CHECK(node.refused(task, "file.read", kPump, verb) == Code::task_not_live);
  const auto found = node.authority->discover(task, *node.as, node.tools, node.clock.now());
  REQUIRE(found.ok());
  CHECK(std::get<Denial>(*found).error.code() == Code::task_not_live);
  CHECK_FALSE(node.activate(file).ok());  // nor is it resumed
}

// The maker hands a grant on: by a block that names verbs, or one that does not.
struct Delegation : HandleNode {
  TaskId task;
  Hash maker;
  Bytes file;
  CallId call;

  Delegation() {
    file = sign_capsule(fleet, capsule_with_all());
    const auto activation = activate(file);
    REQUIRE(activation.ok());
    task = activation->task;
    maker = activation->chain;
    call = made(task);
    settle(call, CallState::done);
  }
  // Attaches `base` narrowed by one kept grant, for a new key.
  struct Child {
    Bytes file;
    crypto::SigningKey key;
    Hash chain;
  };
  Child child(const Bytes& base, const crypto::SigningKey& signer, capsules::KeptGrant kept) {
    Child out{{}, crypto::SigningKey::generate(), {}};
    Block block;
    block.holder = out.key.public_key();
    block.grants = {std::move(kept)};
    out.file = narrow_capsule(base, block, signer);
    const auto activation = activate(out.file, out.key);
    REQUIRE(activation.code() == Code::ok);
    out.chain = activation->chain;
    as = out.chain;
    return out;
  }
  Child child(std::vector<Verb> verbs, std::vector<capsules::ArgRule> args = {}) {
    return child(file, fleet.holder_key, kept("read-logs", std::move(verbs), std::move(args)));
  }
  static capsules::KeptGrant kept(std::string parent, std::vector<Verb> verbs,
                                  std::vector<capsules::ArgRule> args = {}) {
    return {"mine", std::move(parent), std::move(args), {}, {}, {}, std::move(verbs)};
  }
};

TEST_CASE("one creates and another retrieves by a block that names the verb alone",
          "[authority][R4][R46]") {
  Delegation node;
  const auto delegate = node.child({Verb::result});
  const CallView view = node.seen(node.task, node.call, Verb::result);
  CHECK(view.state == CallState::done);
  CHECK(view.chain == node.maker);
  CHECK(member(node.last_decision(), "holder") == delegate.key.public_key().hex());
  CHECK(member(node.last_decision(), "kept_grant") == "mine");
  for (const Verb verb : {Verb::poll, Verb::update, Verb::cancel})
    CHECK(node.refused_access(node.task, node.call, verb) == Code::handle_unknown);
  CHECK(node.refused(node.task, "file.read", kPump) == Code::verb_not_granted);
  // Handed on once more: by what keeps the verb, named again or not.
  node.child(delegate.file, delegate.key, Delegation::kept("mine", {}));
  CHECK(node.seen(node.task, node.call, Verb::result).call == node.call);
}

TEST_CASE("no block hands a handle on by silence, with rules, or one that it has not",
          "[authority][R4][R46]") {
  Delegation node;
  const std::vector<capsules::ArgRule> below = {
      {"path", false, {capsules::Under{"/var/log/plant"}}}};
  SECTION("a block that names no verbs") { node.child({}); }
  SECTION("one that names others") { node.child({Verb::call, Verb::poll, Verb::cancel}); }
  SECTION("one that narrows the arguments too") { node.child({Verb::result}, below); }
  SECTION("a block after it narrows the arguments") {
    const auto first = node.child({Verb::result});
    node.child(first.file, first.key, Delegation::kept("mine", {}, below));
  }
  SECTION("a block after it takes the verb away") {
    const auto first = node.child({Verb::result, Verb::poll});
    node.child(first.file, first.key, Delegation::kept("mine", {Verb::poll}));
  }
  SECTION("a verb claimed that the block before took away") {
    const auto first = node.child({Verb::poll});
    node.child(first.file, first.key, Delegation::kept("mine", {Verb::result}));
  }
  SECTION("the grant of another tool") {
    node.child(node.file, node.fleet.holder_key, Delegation::kept("write-report", {Verb::result}));
  }
  CHECK(node.refused_access(node.task, node.call, Verb::result) == Code::handle_unknown);
}

TEST_CASE("a handle goes down from its own chain and line, never up or across",
          "[authority][R4][R46]") {
  Delegation node;
  const auto first = node.child({});
  const CallId theirs = node.made(node.task);
  const auto second = node.child(first.file, first.key, Delegation::kept("mine", {Verb::poll}));
  CHECK(node.seen(node.task, theirs).call == theirs);
  CHECK(node.refused_access(node.task, node.call) == Code::ok);  // the same block names it for that
  node.child({Verb::poll});  // of another branch: its `previous` is not the maker's
  CHECK(node.refused_access(node.task, theirs) == Code::handle_unknown);
  node.as = node.maker;
  CHECK(node.refused_access(node.task, theirs) == Code::handle_unknown);
  node.as = second.chain;
  CHECK(node.refused_access(node.task, theirs, Verb::cancel) == Code::handle_unknown);
}

TEST_CASE("a delegate of one kept grant has no handle of its sibling's", "[authority][R46]") {
  HandleNode node;
  const Bytes root = sign_capsule(node.fleet, node.capsule_with_all());
  const auto under = [](std::string id, const std::string& tree) {
    return capsules::KeptGrant{
        std::move(id), "read-logs", {{"path", false, {capsules::Under{tree}}}}, {}};
  };
  const crypto::SigningKey maker = crypto::SigningKey::generate();
  Block block;
  block.holder = maker.public_key();
  block.grants = {under("a", "/var/log/plant/a"), under("b", "/var/log/plant/b")};
  block.grants[0].verbs = {Verb::call};
  const Bytes file = narrow_capsule(root, block, node.fleet.holder_key);
  const TaskId task = node.activate(file, maker).value().task;
  const CallId of_a = node.made(task, kTtlMs, json("/var/log/plant/a/x"));
  const CallId of_b = node.made(task, kTtlMs, json("/var/log/plant/b/x"));
  CHECK(node.seen(task, of_b).grant == 1);
  CHECK(node.refused_access(task, of_a) == Code::verb_not_granted);  // b's verbs are not a's
  const crypto::SigningKey key = crypto::SigningKey::generate();
  block = {};
  block.holder = key.public_key();
  block.grants = {{"mine", "b", {}, {}, {}, {}, {Verb::poll}}};
  node.as = node.activate(narrow_capsule(file, block, maker), key).value().chain;
  CHECK(node.seen(task, of_b).grant == 0);
  CHECK(node.refused_access(task, of_a) == Code::handle_unknown);
}

TEST_CASE("the maker has his handle in each of his chains that has the verb", "[authority][R4]") {
  Delegation node;
  Block block;
  block.holder = node.fleet.holder_key.public_key();
  block.grants = {{"mine", "read-logs", {}, {}, {}, {}, {Verb::poll}}};
  const auto own =
      node.activate(narrow_capsule(node.file, block, node.fleet.holder_key), node.fleet.holder_key);
  REQUIRE(own.code() == Code::ok);
  node.as = own->chain;
  CHECK(node.seen(node.task, node.call).call == node.call);
  CHECK(node.refused_access(node.task, node.call, Verb::result) == Code::verb_not_granted);
}

}  // namespace
}  // namespace taper::testing
