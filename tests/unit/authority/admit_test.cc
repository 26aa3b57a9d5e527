#include <set>

#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::EndReason;
using capsules::Capsule;
using store::LeafType;

constexpr auto kReadPath = R"({"path":"/var/log/plant/a.log"})";

// What a refusal leaves behind: no task, nothing consumed, whatever was asked.
Code refused_without_trace(Node& node, const Bytes& file, const crypto::SigningKey& holder) {
  const auto before = node.store->disk().tables;
  const auto activation =
      node.authority->activate(node.request(file, holder), node.tools, node.clock.now());
  for (const auto table : {store::Table::tasks, store::Table::activations, store::Table::serials,
                           store::Table::capsules, store::Table::budgets}) {
    const auto index = static_cast<std::size_t>(table);
    CHECK(node.store->disk().tables[index] == before[index]);
  }
  return activation.code();
}

Code refused(Node& node, const Capsule& capsule) {
  return refused_without_trace(node, sign_capsule(node.fleet, capsule), node.fleet.holder_key);
}

TEST_CASE("a capsule of the fleet is activated once", "[authority][R1]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  const auto activation = node.activate(file);
  REQUIRE(activation.code() == Code::ok);
  CHECK_FALSE(activation->resumed);
  const authority::TaskView view = node.show(activation->task);
  CHECK(view.state == authority::TaskState::active);
  CHECK(view.requester == "user:alice@plant.example");
  CHECK(view.holder == node.fleet.holder_key.public_key());
  CHECK(view.ttl_ms == 900'000);
  CHECK(view.grants.size() == 2);
  CHECK(view.grants[0].left.calls == 5);

  const auto again = node.activate(file);
  REQUIRE(again.code() == Code::ok);
  CHECK(again->task == activation->task);
  CHECK(again->resumed);
  CHECK_FALSE(again->joined);
  CHECK(node.show(activation->task).activated_s == view.activated_s);
  REQUIRE(node.authority->begin_ending(again->task, EndReason::completion, node.clock.now()).ok());
  CHECK(refused_without_trace(node, file, node.fleet.holder_key) == Code::already_live);
  CHECK(node.end(activation->task, EndReason::completion) == authority::TaskState::completed);
  CHECK(refused_without_trace(node, file, node.fleet.holder_key) == Code::activations_spent);
}

// As a node that has made so many activations in all, or of the issuer's capsules.
void keep_activations(Node& node, const Hash& issuer, std::uint32_t count) {
  const Bytes key = ByteWriter().raw(as_bytes("kept")).raw(issuer.span()).bytes();
  REQUIRE(node.store
              ->write([&](store::WriteTxn& txn) {
                return txn.put(store::Table::activations, key, ByteWriter().u32(count).bytes());
              })
              .ok());
}

TEST_CASE("a node keeps so many activations and no more, and forgets none", "[authority][R10]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.activations = 3;
  const auto make = [&] { node.end(node.activated(capsule), EndReason::completion); };
  make();
  SECTION("of one issuer, so that none takes the room of others") {
    keep_activations(node, capsule.issuer, limits::kIssuerActivationsMax - 1);
  }
  SECTION("in all") { keep_activations(node, Hash{}, limits::kKeptActivationsMax - 1); }
  const TaskId last = node.activated(capsule);
  // Who goes on with a task, or joins it, makes none.
  CHECK(node.activate(sign_capsule(node.fleet, capsule)).code() == Code::ok);
  node.end(last, EndReason::completion);
  CHECK(refused(node, capsule) == Code::activations_kept);
}

TEST_CASE("another key's proof is refused with its own number", "[authority][R3][R9]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  CHECK(refused_without_trace(node, file, crypto::SigningKey::generate()) == Code::proof_wrong);

  SECTION("no signature") {
    auto request = node.request(file, node.fleet.holder_key);
    request.proof = {};
    CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
          Code::proof_wrong);
  }
  SECTION("a challenge serves once") {
    const auto request = node.request(file, node.fleet.holder_key);
    auto spoiled = request;
    spoiled.proof[0] ^= 1U;
    CHECK_FALSE(node.authority->activate(spoiled, node.tools, node.clock.now()).ok());
    CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
          Code::proof_wrong);
  }
  SECTION("also where its activation was refused before the proof was asked for") {
    const auto request = node.request(file, node.fleet.holder_key);
    node.clock.step_wall_s(-5 * 86'400);
    CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
          Code::time_behind);
    node.clock.step_wall_s(5 * 86'400);
    CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
          Code::proof_wrong);
  }
  SECTION("a challenge that was never given out") {
    auto request = node.request(file, node.fleet.holder_key);
    request.challenge = crypto::random_id<Nonce>();
    CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
          Code::proof_wrong);
  }
  SECTION("inputs other than those signed for") {
    auto request = node.request(file, node.fleet.holder_key);
    request.inputs["day"] = "monday";
    CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
          Code::proof_wrong);
  }
}

TEST_CASE("each question of admission has its own refusal", "[authority][R13][R57]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);

  SECTION("another node") {
    capsule.audience.node.bytes[0] ^= 1U;
    CHECK(refused(node, capsule) == Code::audience_other);
  }
  SECTION("another life of this node") {
    capsule.audience.incarnation.bytes[0] ^= 1U;
    CHECK(refused(node, capsule) == Code::audience_other);
  }
  SECTION("before the window") {
    capsule.not_before_s = kNowS + 1;
    CHECK(refused(node, capsule) == Code::window_not_open);
  }
  SECTION("after the window") {
    capsule.not_after_s = kNowS;
    CHECK(refused(node, capsule) == Code::window_closed);
  }
  SECTION("a time surer than this node can have") {
    capsule.time_assurance = capsules::TimeAssurance::anchored;
    CHECK(refused(node, capsule) == Code::time_assurance);
  }
  SECTION("a clock before the capsule was made") {
    node.clock.step_wall_s(kCapsuleIssuedS - limits::kClockStepToleranceS - 1 - kNowS);
    CHECK(refused(node, capsule) == Code::time_behind);
    capsule.time_assurance = capsules::TimeAssurance::behind;
    CHECK(node.activate(sign_capsule(node.fleet, capsule)).code() == Code::ok);
  }
  SECTION("news too old") {
    capsule.max_revocation_age_s = kNowS - kRootIssuedS - 1;
    CHECK(refused(node, capsule) == Code::revocation_stale);
  }
  SECTION("a stronger sandbox than this host's") {
    capsule.min_tier = capsules::Tier::t3;
    CHECK(refused(node, capsule) == Code::tier_unreachable);
  }
  SECTION("a tree that holds the state") {
    capsule.grants[0].args[0].all = {capsules::Under{"/var"}};
    CHECK(refused(node, capsule) == Code::tree_refused);
  }
  SECTION("a lease above its issuer's limit") {
    capsule.lease_ttl_ms = 3'600'001;
    CHECK(refused(node, capsule) == Code::issuer_limit);
  }
}

TEST_CASE("the questions of admission are asked in their order", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.audience.node.bytes[0] ^= 1U;
  capsule.not_after_s = kNowS;
  capsule.max_revocation_age_s = 1;
  capsule.min_tier = capsules::Tier::t3;
  const auto stranger = crypto::SigningKey::generate();
  const auto code = [&] {
    return refused_without_trace(node, sign_capsule(node.fleet, capsule), stranger);
  };
  CHECK(code() == Code::audience_other);
  capsule.audience.node = node.fleet.node;
  CHECK(code() == Code::window_closed);
  capsule.not_after_s = kNowS + 1000;
  CHECK(code() == Code::revocation_stale);
  capsule.max_revocation_age_s = 86'400;
  CHECK(code() == Code::tier_unreachable);
  capsule.min_tier = capsules::Tier::t2;
  CHECK(code() == Code::proof_wrong);
}

TEST_CASE("a node without a root admits nothing", "[authority]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  const auto request = node.request(file, node.fleet.holder_key);
  MapStore empty;
  auto fresh = authority::Authority::start(empty, node.facts(), node.clock.now());
  REQUIRE(fresh.ok());
  CHECK((*fresh)->activate(request, node.tools, node.clock.now()).code() == Code::no_trust_root);
}

TEST_CASE("a second payload under a known serial is refused and kept as evidence", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  node.end(node.activated(capsule), EndReason::completion);
  capsule.purpose = "Something else";
  CHECK(refused(node, capsule) == Code::serial_reused);
  CHECK(refused(node, capsule) == Code::serial_reused);
  CHECK(node.store->records(LeafType::evidence).size() == 1);
}

TEST_CASE("refusals before proof are counted, at most one record a minute", "[authority]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  const auto stranger = crypto::SigningKey::generate();
  for (int i = 0; i < 10; ++i) {
    CHECK(refused_without_trace(node, file, stranger) == Code::proof_wrong);
  }
  CHECK(node.store->records(LeafType::refusals).size() == 1);
  node.clock.advance_ms(limits::kRefusalLogMs);
  CHECK(refused_without_trace(node, Bytes{1, 2, 3}, stranger) == Code::envelope_malformed);
  const auto records = node.store->records(LeafType::refusals);
  REQUIRE(records.size() == 2);
  CHECK(member(records[0], "refused") == R"({"410":1})");
  CHECK(member(records[1], "refused") == R"({"201":1,"410":9})");
}

TEST_CASE("a plan's inputs are exactly those it names", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.plan.inputs = {"day"};
  const Bytes file = sign_capsule(node.fleet, capsule);
  const auto code = [&](std::map<std::string, std::string> inputs) {
    return node.authority
        ->activate(node.request(file, node.fleet.holder_key, std::move(inputs)), node.tools,
                   node.clock.now())
        .code();
  };
  CHECK(code({}) == Code::input_missing);
  CHECK(code({{"day", "x"}, {"night", "y"}}) == Code::input_unknown);
  CHECK(code({{"day", std::string(limits::kTextBytesMax + 1, 'x')}}) == Code::too_large);
  CHECK(code({{"day", "\xff"}}) == Code::too_large);
  // However often: counted, and in the log once in a while like every refused activation.
  CHECK(node.store->records(LeafType::activation).empty());
  CHECK(node.store->records(LeafType::evidence).size() <= 1);
  CHECK(code({{"day", "monday"}}) == Code::ok);

  SECTION("and the same again on resume") {
    node.restart();
    CHECK(code({{"day", "tuesday"}}) == Code::inputs_changed);
    CHECK(code({{"day", "monday"}}) == Code::ok);
  }
}

TEST_CASE("what stands in one input cannot move into another", "[authority][R36]") {
  // Every preimage is framed by lengths: no two sets of inputs give the same bytes to sign.
  const std::vector<std::map<std::string, std::string>> sets = {
      {},
      {{"", ""}},
      {{"a", ""}},
      {{"", "a"}},
      {{"a", "b"}},
      {{"ab", ""}},
      {{"a", "b"}, {"c", "d"}},
      {{"a", "bcd"}},
      {{"a", "b"}, {"cd", ""}},
      {{"a", "b|c=d"}},
      {{"a", std::string("b\0\0\0\1c", 6)}},
      {{"a", "b"}, {"", "cd"}}};
  std::set<Bytes> seen;
  for (const auto& inputs : sets)
    seen.insert(authority::activation_statement({}, {}, {}, {}, {}, inputs));
  CHECK(seen.size() == sets.size());
}

TEST_CASE("roots are imported in their order and pin the fleet", "[authority]") {
  Node node;
  const auto import = [&node](const Bytes& file, std::optional<Hash> fleet = std::nullopt) {
    return node.authority->import_root(file, fleet, node.clock.now()).code();
  };
  CHECK(import(node.fleet.root_file) == Code::ok);  // the current one again
  CHECK(import(node.fleet.root_file, Hash{}) == Code::fleet_pinned);
  CHECK(import(make_fleet().root_file) == Code::fleet_pinned);

  capsules::TrustRootData next = node.fleet.root_data;
  next.version = 2;
  next.fleet = node.fleet.fleet;
  next.previous = node.authority->root()->hash();
  next.issued_at_s += 86'400;
  const auto other_key = crypto::SigningKey::generate();

  SECTION("the next, by the same key") {
    const TaskId task = node.activated();
    CHECK(import(sign_root(next, {&node.fleet.root_key})) == Code::ok);
    CHECK(node.authority->root()->data().version == 2);
    CHECK(node.authority->check_time(task, node.clock.now()) != EndReason::revocation);
  }
  SECTION("one that skips a version") {
    next.version = 3;
    CHECK(import(sign_root(next, {&node.fleet.root_key})) == Code::root_version);
  }
  SECTION("one that follows another") {
    next.previous = Hash{};
    next.previous->bytes[0] = 1;
    CHECK(import(sign_root(next, {&node.fleet.root_key})) == Code::root_version);
  }
  SECTION("one that the version before did not sign") {
    next.root_keys = {other_key.public_key()};
    CHECK(import(sign_root(next, {&other_key})) == Code::too_few_signatures);
  }
  SECTION("one without the issuer ends what the issuer signed") {
    const TaskId task = node.activated();
    next.issuers[0].key = other_key.public_key();
    CHECK(import(sign_root(next, {&node.fleet.root_key})) == Code::ok);
    CHECK(node.refused(task, "file.read", kReadPath) == Code::task_not_live);
    CHECK(node.authority->check_time(task, node.clock.now()) == EndReason::revocation);
    CHECK(*node.authority->finish(task, node.clock.now()) == authority::TaskState::revoked);
  }
}

}  // namespace
}  // namespace taper::testing
