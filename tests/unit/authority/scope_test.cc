// A task stays where, and what for, its issuer signed it.
#include "capsules/author/author.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::EndReason;
using capsules::Capsule;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

TEST_CASE("a capsule for one node is refused on another", "[authority][R30]") {
  // One fleet and one holder, so that nothing but the node differs.
  Node here;
  authority::NodeFacts facts = here.facts();
  facts.node = crypto::SigningKey::generate().public_key();
  MapStore store;
  auto started = authority::Authority::start(store, facts, here.clock.now());
  REQUIRE(started.ok());
  authority::Authority& there = **started;
  REQUIRE(there.import_root(here.fleet.root_file, std::nullopt, here.clock.now()).ok());
  const auto activate_there = [&](const Bytes& file) {
    authority::ActivationRequest request{file, there.challenge(), {}, {}};
    const auto opened = capsules::open(file, *there.root());
    REQUIRE(opened.ok());
    request.proof = here.fleet.holder_key.sign(
        crypto::statement::kActivation,
        authority::activation_statement(there.root()->fleet(), facts.node, facts.incarnation,
                                        opened->chain(), request.challenge, {}));
    return there.activate(request, here.tools, here.clock.now());
  };
  const Bytes file = sign_capsule(here.fleet, sample_capsule(here.fleet));
  const auto refused = activate_there(file);
  REQUIRE(refused.code() == Code::audience_other);
  CHECK(refused.error().detail().field == "node");
  CHECK(here.activate(file).ok());
  CHECK(activate_there(file).code() == Code::audience_other);

  Capsule moved = sample_capsule(here.fleet);
  moved.audience.node = facts.node;
  CHECK(here.activate(sign_capsule(here.fleet, moved)).code() == Code::audience_other);
  CHECK(activate_there(sign_capsule(here.fleet, moved)).ok());

  moved = sample_capsule(here.fleet);
  moved.audience.incarnation.bytes[3] ^= 1U;
  const auto other_life = here.activate(sign_capsule(here.fleet, moved));
  REQUIRE(other_life.code() == Code::audience_other);
  CHECK(other_life.error().detail().field == "incarnation");
}

TEST_CASE("no byte of the purpose can be changed", "[authority][R30][R36]") {
  Node node;
  const Capsule capsule = sample_capsule(node.fleet);
  const Bytes file = sign_capsule(node.fleet, capsule);
  const std::size_t at = as_text(file).find(capsule.purpose);
  REQUIRE(at != std::string_view::npos);
  for (std::size_t i = 0; i < capsule.purpose.size(); ++i) {
    Bytes changed = file;
    changed[at + i] ^= 0x20U;
    CHECK(node.activate(changed).code() == Code::signature_wrong);
  }
  // Signed by its holder, it is another payload by nobody who may issue one.
  Capsule other = capsule;
  other.purpose = "Delete the pump logs";
  const auto payload = capsules::encode_capsule(other);
  REQUIRE(payload.ok());
  const Bytes forged = capsules::write_envelope(
      *payload, {{crypto::key_id(node.fleet.holder_key.public_key()),
                  node.fleet.holder_key.sign(crypto::statement::kCapsule, *payload)}});
  CHECK(node.activate(forged).code() == Code::signer_unknown);
  // By its issuer, under the serial of one that is known here, it is evidence.
  REQUIRE(node.activate(file).ok());
  CHECK(node.activate(sign_capsule(node.fleet, other)).code() == Code::serial_reused);
}

TEST_CASE("a narrowed chain acts for the purpose of its root, and every record says it",
          "[authority][R30][R36][R45]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.max_depth = 2;
  Bytes file = sign_capsule(node.fleet, capsule);
  const auto helper = crypto::SigningKey::generate();
  capsules::Block block;
  block.holder = helper.public_key();
  capsules::KeptGrant kept;
  kept.id = "Another purpose";  // the only texts that a block has are ids, labels and rules
  kept.parent = "read-logs";
  block.grants = {kept};
  file = narrow_capsule(file, block, node.fleet.holder_key);
  const auto activation =
      node.authority->activate(node.request(file, helper), node.tools, node.clock.now());
  REQUIRE(activation.ok());
  const TaskId task = activation->task;
  CHECK(node.show(task).purpose == capsule.purpose);
  const auto call = node.allowed(task, "file.read", kRead);
  node.settle(call.call, authority::CallState::done);
  node.denied(task, "file.read", R"({"path":"/etc/shadow"})");
  node.restart();
  CHECK(node.show(task).purpose == capsule.purpose);
  node.end(task, EndReason::cancelled);
  std::size_t records = 0;
  for (const MapStore::Leaf& leaf : node.store->disk().log) {
    if (member(leaf.body, "task") != task.hex()) continue;
    ++records;
    INFO(leaf.body);
    CHECK(member(leaf.body, "purpose") == capsule.purpose);
    CHECK(member(leaf.body, "capsule") ==
          capsules::open(file, *node.authority->root())->id().hex());
  }
  CHECK(records >= 6);
}

}  // namespace
}  // namespace taper::testing
