// Each task has a life of its own: its end, and the end of what it came from, are two things.
#include "capsules/author/author.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using authority::TaskState;
using capsules::Capsule;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

Capsule twice(Node& node) {
  Capsule capsule = sample_capsule(node.fleet);
  capsule.activations = 2;
  return capsule;
}

TEST_CASE("cancelling a task touches no other of its holder and agent", "[authority][R11][R66]") {
  Node node;
  const Bytes other_file = sign_capsule(node.fleet, twice(node));
  const TaskId other = node.activate(other_file)->task;
  const auto under_way = node.allowed(other, "file.read", kRead);
  const TaskId task = node.activated(twice(node));
  CHECK(node.end(task, EndReason::cancelled) == TaskState::cancelled);

  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
  CHECK(node.settle(under_way.call, CallState::done) == EndReason::none);
  CHECK(node.refused(other, "file.read", kRead) == Code::ok);
  CHECK(node.show(other).state == TaskState::active);
  CHECK(node.show(other).denials == 0);
  // A restart does not mix them up.
  node.restart();
  CHECK(node.show(task).state == TaskState::cancelled);
  CHECK(node.activate(other_file)->resumed);
  CHECK(node.end(other, EndReason::completion) == TaskState::completed);
  // Neither the other's further activations nor new capsules of the same holder are spent.
  CHECK(node.activate(other_file).ok());
  CHECK(node.activate(sign_capsule(node.fleet, sample_capsule(node.fleet))).ok());
}

TEST_CASE("a task's cancel is its capsule's, its end by itself is not", "[authority][R11][R51]") {
  Node node;
  const Bytes file = sign_capsule(node.fleet, twice(node));
  const TaskId first = node.activate(file)->task;
  SECTION("the second activation lives on its own after the first one's end") {
    const EndReason reason = GENERATE(EndReason::completion, EndReason::failure, EndReason::ttl,
                                      EndReason::idle, EndReason::budget);
    node.end(first, reason);
    const auto second = node.activate(file);
    REQUIRE(second.ok());
    CHECK(second->task != first);
    CHECK_FALSE(second->resumed);
    CHECK(node.refused(second->task, "file.read", kRead) == Code::ok);
    CHECK(node.refused(first, "file.read", kRead) == Code::task_not_live);
    CHECK(node.end(second->task, EndReason::cancelled) == TaskState::cancelled);
    CHECK(node.show(first).reason == reason);  // what ended stays as it ended
  }
  SECTION("a cancelled one leaves none") {
    node.end(first, EndReason::cancelled);
    CHECK(node.activate(file).code() == Code::activations_spent);
    node.restart();
    CHECK(node.activate(file).code() == Code::activations_spent);
  }
}

TEST_CASE("a kept result outlives the cancel of a later task of its capsule",
          "[authority][R11][R39]") {
  Node node;
  const auto reader = crypto::SigningKey::generate();
  Capsule capsule = twice(node);
  capsule.result = {{Hash{crypto::key_id(reader.public_key()).bytes}}, 3'600'000, 1};
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId first = node.activate(file)->task;
  node.settle(node.allowed(first, "file.read", kRead).call, CallState::done);
  node.end(first, EndReason::completion);
  const TaskId second = node.activate(file)->task;
  node.settle(node.allowed(second, "file.read", kRead).call, CallState::done);
  node.end(second, EndReason::cancelled);
  authority::ResultRequest request{
      first, "step-1", reader.public_key(), node.authority->challenge(), {}};
  request.proof = reader.sign(crypto::statement::kResultRead,
                              authority::result_statement(node.fleet.fleet, node.fleet.node,
                                                          node.fleet.incarnation, request));
  CHECK(node.authority->read_result(request, node.clock.now()).ok());
}

TEST_CASE("what a root no longer lists ends alone", "[authority][R11]") {
  Node node;
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
  const TaskId theirs = node.activated();
  const TaskId ended = node.activated();
  node.end(ended, EndReason::completion);
  Capsule capsule = sample_capsule(node.fleet);
  capsule.issuer = Hash{crypto::key_id(second_key.public_key()).bytes};
  const auto payload = capsules::encode_capsule(capsule);
  REQUIRE(payload.ok());
  const Bytes file = capsules::write_envelope(
      *payload, {{crypto::key_id(second_key.public_key()),
                  second_key.sign(crypto::statement::kCapsule, *payload)}});
  const TaskId ours = node.activate(file)->task;

  data.issuers.erase(data.issuers.begin());
  REQUIRE(import_next().ok());
  CHECK(node.refused(theirs, "file.read", kRead) == Code::task_not_live);
  CHECK(node.show(theirs).reason == EndReason::revocation);
  CHECK(node.refused(ours, "file.read", kRead) == Code::ok);
  CHECK(node.show(ours).state == TaskState::active);
  CHECK(node.show(ended).state == TaskState::completed);
}

}  // namespace
}  // namespace taper::testing
