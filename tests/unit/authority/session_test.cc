// A session's capsule: its holder opens it with an offer signed for this opening alone, takes its
// task up again with a new one, and reaches no other agent's.
#include "runtime/authority/handshake.h"
#include "runtime/base/limits.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::Activation;
using authority::ActivationRequest;
using authority::EndReason;
using capsules::Capsule;

const std::string kPump = json("/var/log/plant/pump");

struct SessionNode : Node {
  Capsule session(const crypto::SigningKey& holder) {
    Capsule capsule = sample_capsule(fleet);
    capsule.entry = capsules::EntryKind::session;
    capsule.plan = {};
    capsule.holder = holder.public_key();
    capsule.max_depth = 1;
    return capsule;
  }
  Capsule session() { return session(fleet.holder_key); }

  // What `holder` sends after a challenge, as a node takes it.
  ActivationRequest offer(const Bytes& file, const crypto::SigningKey& holder,
                          std::string_view type = crypto::statement::kSession) {
    const authority::Challenge asked{authority->root()->fleet(), fleet.node, fleet.incarnation,
                                     authority->challenge()};
    authority::HolderHandshake half(
        file, {asked.fleet, asked.node, asked.incarnation},
        [&](ByteSpan statement) { return holder.sign(type, statement); });
    auto open = half.open(asked);
    REQUIRE(open.ok());
    ActivationRequest out;
    out.capsule_file = open->capsule;
    out.challenge = asked.challenge;
    out.proof = open->signature;
    out.exchange = open->exchange;
    return out;
  }
  Result<Activation> take(const ActivationRequest& request) {
    return authority->activate(request, tools, clock.now());
  }
  Activation opened(const Bytes& file, const crypto::SigningKey& holder) {
    const auto activation = take(offer(file, holder));
    INFO((activation ? "" : to_line(activation.error())));
    REQUIRE(activation.code() == Code::ok);
    return *activation;
  }
  std::size_t tasks() const {
    const auto list = authority::list_tasks(*store, clock.now());
    REQUIRE(list.ok());
    return list->size();
  }
  Bytes spent() const {
    Bytes out;
    for (const auto& [key, value] : store->disk().tables[std::size_t(store::Table::activations)])
      out.insert(out.end(), value.begin(), value.end());
    return out;
  }
};

TEST_CASE("a session's capsule is activated by its holder's offer", "[authority][session][R3]") {
  SessionNode node;
  const Bytes file = sign_capsule(node.fleet, node.session());
  const Activation made = node.opened(file, node.fleet.holder_key);
  CHECK_FALSE(made.resumed);
  CHECK(node.refused(made.task, "file.read", kPump) == Code::ok);
  CHECK(node.refused(made.task, "file.read", json("/etc/passwd")) == Code::argument_refused);
  CHECK(node.take(node.offer(file, crypto::SigningKey::generate())).code() == Code::proof_wrong);
  ActivationRequest with_inputs = node.offer(file, node.fleet.holder_key);
  with_inputs.inputs = {{"site", "x"}};
  CHECK(node.take(with_inputs).code() == Code::input_unknown);
}

TEST_CASE("each entry takes its own kind of proof and no other", "[authority][session][R3]") {
  SessionNode node;
  const crypto::SigningKey& holder = node.fleet.holder_key;
  const Bytes session = sign_capsule(node.fleet, node.session());
  const Bytes plan = sign_capsule(node.fleet, sample_capsule(node.fleet));
  // A plan's proof for a session, whole or over the session's own statement.
  CHECK(node.activate(session, holder).code() == Code::proof_wrong);
  CHECK(node.take(node.offer(session, holder, crypto::statement::kActivation)).code() ==
        Code::proof_wrong);
  // A session's for a plan, whole or over the plan's own statement.
  CHECK(node.take(node.offer(plan, holder)).code() == Code::proof_wrong);
  ActivationRequest posed = node.request(plan, holder);
  posed.proof = holder.sign(crypto::statement::kSession,
                            authority::activation_statement(
                                node.authority->root()->fleet(), node.fleet.node,
                                node.fleet.incarnation, crypto::hash(plan), posed.challenge, {}));
  CHECK(node.take(posed).code() == Code::proof_wrong);
  CHECK(node.tasks() == 0);
  CHECK(node.spent().empty());
  CHECK(node.activate(plan, holder).code() == Code::ok);
  node.opened(session, holder);
}

TEST_CASE("an offer counts once, and only as it was signed", "[authority][session][R9]") {
  SessionNode node;
  const crypto::SigningKey& holder = node.fleet.holder_key;
  Capsule capsule = node.session();
  const Bytes file = sign_capsule(node.fleet, capsule);
  capsule.serial += 100;
  const Bytes other = sign_capsule(node.fleet, capsule);
  ActivationRequest offer = node.offer(file, holder);
  SECTION("with an exchange key put in place of the holder's") {
    offer.exchange = crypto::ExchangeKey::generate().public_key();
    CHECK(node.take(offer).code() == Code::proof_wrong);
  }
  SECTION("for another capsule of the holder") {
    offer.capsule_file = other;
    CHECK(node.take(offer).code() == Code::proof_wrong);
  }
  SECTION("to another challenge") {
    offer.challenge = node.authority->challenge();
    CHECK(node.take(offer).code() == Code::proof_wrong);
  }
  SECTION("to a challenge that was withdrawn") {
    node.authority->withdraw(offer.challenge);
    CHECK(node.take(offer).code() == Code::proof_wrong);
  }
  SECTION("twice") {
    CHECK(node.take(offer).code() == Code::ok);
    CHECK(node.take(offer).code() == Code::proof_wrong);
    CHECK(node.tasks() == 1);
    return;
  }
  CHECK(node.tasks() == 0);
}

TEST_CASE("another process of the holder takes the live task up", "[authority][session][R10]") {
  SessionNode node;
  const crypto::SigningKey& holder = node.fleet.holder_key;
  const Bytes file = sign_capsule(node.fleet, node.session());
  const Activation first = node.opened(file, holder);
  const Bytes spent = node.spent();
  SECTION("beside the first") {}
  SECTION("after a restart") { node.restart(); }
  const Activation again = node.opened(file, holder);
  CHECK(again.task == first.task);
  CHECK(again.resumed);
  CHECK_FALSE(again.joined);
  CHECK(node.spent() == spent);
  CHECK(member(node.store->records(store::LeafType::activation).back(), "verb") == "resume");
  CHECK(node.refused(again.task, "file.read", kPump) == Code::ok);
  node.end(first.task, EndReason::completion);
  CHECK(node.take(node.offer(file, holder)).code() == Code::activations_spent);
}

TEST_CASE("a narrowed chain's holder joins a live session's task", "[authority][session][R45]") {
  SessionNode node;
  const Bytes file = sign_capsule(node.fleet, node.session());
  const Activation first = node.opened(file, node.fleet.holder_key);
  const crypto::SigningKey helper = crypto::SigningKey::generate();
  capsules::Block block;
  block.holder = helper.public_key();
  block.grants = {{"mine", "read-logs", {}, {}}};
  const Bytes chain = narrow_capsule(file, block, node.fleet.holder_key);
  CHECK(node.take(node.offer(chain, node.fleet.holder_key)).code() == Code::proof_wrong);
  const Bytes spent = node.spent();
  const Activation joined = node.opened(chain, helper);
  CHECK(joined.task == first.task);
  CHECK(joined.resumed);
  CHECK(joined.joined);
  CHECK(node.spent() == spent);
  node.as = joined.chain;
  CHECK(node.refused(first.task, "file.read", kPump) == Code::ok);
  CHECK(
      node.refused(first.task, "file.write", R"({"content":"x","path":"/srv/reports/today.md"})") ==
      Code::tool_not_granted);
}

TEST_CASE("two agents' sessions never reach each other's task", "[authority][session][R8][R48]") {
  SessionNode node;
  const crypto::SigningKey one_key = crypto::SigningKey::generate();
  const crypto::SigningKey other_key = crypto::SigningKey::generate();
  Capsule writes = node.session(other_key);
  writes.grants.erase(writes.grants.begin());
  const Bytes one_file = sign_capsule(node.fleet, node.session(one_key));
  const Bytes other_file = sign_capsule(node.fleet, writes);
  const Activation one = node.opened(one_file, one_key);
  const Activation other = node.opened(other_file, other_key);
  CHECK(one.task != other.task);
  // Neither opens the other's capsule, live as it is.
  CHECK(node.take(node.offer(one_file, other_key)).code() == Code::proof_wrong);
  CHECK(node.take(node.offer(other_file, one_key)).code() == Code::proof_wrong);
  node.as = other.chain;
  const authority::Denial denial = node.denied(one.task, "file.read", kPump);
  CHECK(denial.error.code() == Code::task_not_live);
  CHECK(denial.ends_task == EndReason::none);
  // In its own, what the other may do counts for nothing.
  CHECK(node.refused(other.task, "file.read", kPump) == Code::tool_not_granted);
  node.as = one.chain;
  CHECK(node.refused(one.task, "file.read", kPump) == Code::ok);
  CHECK(node.show(one.task).denials == 0);
  node.end(other.task, EndReason::cancelled);
  CHECK(node.refused(one.task, "file.read", kPump) == Code::ok);
}

TEST_CASE("strangers' garbage is counted, not written one by one", "[authority][session]") {
  SessionNode node;
  const auto refusals = [&node] { return node.store->records(store::LeafType::refusals); };
  constexpr std::size_t kMessages = 10'000;  // in ten seconds
  const std::size_t before = node.store->commits();
  for (std::size_t i = 0; i < kMessages; ++i) {
    node.authority->count_refused(Code::message_malformed, node.clock.now());
    node.clock.advance_ms(1);
  }
  CHECK(refusals().size() == 1);
  CHECK(node.store->commits() - before == 1);
  node.clock.advance_ms(limits::kRefusalLogMs);
  node.activated();
  REQUIRE(refusals().size() == 2);
  const capsules::Value record = parsed(refusals().back());
  const capsules::Value* counts = record.find("refused");
  REQUIRE(counts != nullptr);
  CHECK(capsules::write_canonical(*counts) == R"({"216":9999})");
}

TEST_CASE("challenges given back make no room scarce", "[authority][session]") {
  SessionNode node;
  const Bytes file = sign_capsule(node.fleet, node.session());
  const ActivationRequest slow = node.offer(file, node.fleet.holder_key);
  for (std::size_t i = 0; i < 4 * limits::kChallengesMax; ++i)
    node.authority->withdraw(node.authority->challenge());
  CHECK(node.take(slow).code() == Code::ok);
}

}  // namespace
}  // namespace taper::testing
