// Ends from outside: an operator's, on the node, and a revoker's, from the centre.
#include "capsules/order.h"
#include "runtime/authority/time_report.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndedBy;
using authority::EndReason;
using authority::TaskState;
using store::LeafType;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

// A node whose root, of version 2, lists a revoker.
struct OrderedNode : Node {
  OrderedNode() {
    capsules::TrustRootData next = fleet.root_data;
    next.version = 2;
    next.fleet = fleet.fleet;
    next.previous = authority->root()->hash();
    next.revokers = {revoker.public_key()};
    REQUIRE(authority->import_root(sign_root(next, {&fleet.root_key}), {}, clock.now()).ok());
  }

  Bytes order_by(const crypto::SigningKey& key, const TaskId& task) const {
    const Bytes payload =
        capsules::encode_order({.task = task, .why = "stolen", .issued_at_s = 17, .signer = {}})
            .value();
    return capsules::frame_order(
        payload, {crypto::key_id(key.public_key()), key.sign(crypto::statement::kOrder, payload)});
  }
  capsules::Order order(const TaskId& task) const {
    return authority->open_order(order_by(revoker, task)).value();
  }
  Status kill(const TaskId& task, const EndedBy& by) {
    return authority->begin_ending(task, EndReason::operator_kill, clock.now(), by);
  }
  std::size_t records() const { return store->records(LeafType::order).size(); }

  crypto::SigningKey revoker = crypto::SigningKey::generate();
};

TEST_CASE("an order ends its task, and the log says by whom and why", "[authority][R11][R66]") {
  OrderedNode node;
  const Bytes file = sign_capsule(node.fleet, sample_capsule(node.fleet));
  const TaskId task = node.activate(file)->task;
  const auto call = node.allowed(task, "file.read", kRead);
  const std::uint64_t before = node.store->commits();
  REQUIRE(node.kill(task, {.uid = 1234, .order = node.order(task)}).ok());
  CHECK(node.store->commits() == before + 1);  // with the ending, and nothing in between
  REQUIRE(node.records() == 1);
  const std::string record = node.store->records(LeafType::order).front();
  CHECK(member(record, "verb") == "order");
  CHECK(member(record, "task") == task.hex());
  CHECK(member(record, "signer") == crypto::key_id(node.revoker.public_key()).hex());
  CHECK(member(record, "why") == "stolen");
  CHECK(member(record, "issued_at") == format_utc_s(17));
  const std::string ending = node.store->records(LeafType::ending).back();
  CHECK(member(ending, "verb") == "kill");
  CHECK(member(ending, "reason") == "operator_kill");
  CHECK(member(ending, "uid") == "1234");
  CHECK(node.refused(task, "file.read", kRead) == Code::task_not_live);
  node.settle(call.call, CallState::killed, Code::tool_killed);
  CHECK(*node.authority->finish(task, node.clock.now()) == TaskState::revoked);
  CHECK(node.activate(file).code() == Code::activations_spent);
  // Brought again it changes nothing, also in another life.
  for (int life = 0; life < 2; ++life) {
    CHECK(node.kill(task, {.order = node.order(task)}).code() == Code::task_terminal);
    CHECK(node.records() == 1);
    node.restart();
  }
}

TEST_CASE("an order ends no other task", "[authority][R11]") {
  OrderedNode node;
  const TaskId task = node.activated();
  capsules::Capsule other = sample_capsule(node.fleet);
  other.serial += 1;
  const TaskId beside = node.activated(other);
  REQUIRE(node.kill(task, {.order = node.order(task)}).ok());
  CHECK(node.refused(beside, "file.read", kRead) == Code::ok);
  TaskId unknown = task;
  unknown.bytes[0] ^= 1;
  CHECK(node.kill(unknown, {.order = node.order(unknown)}).code() == Code::unknown_task);
  CHECK(node.records() == 1);
}

TEST_CASE("an order counts by a revoker of the node's root alone", "[authority][R66]") {
  OrderedNode node;
  const TaskId task = node.activated();
  const crypto::SigningKey stranger = crypto::SigningKey::generate();
  for (const crypto::SigningKey* key : std::initializer_list<const crypto::SigningKey*>{
           &node.fleet.root_key, &node.fleet.issuer_key, &stranger})
    CHECK(node.authority->open_order(node.order_by(*key, task)).code() == Code::order_signer);
  Bytes changed = node.order_by(node.revoker, task);
  changed.back() ^= 1;
  CHECK(node.authority->open_order(changed).code() == Code::signature_wrong);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  // By a root that no longer lists the key.
  capsules::TrustRootData next = node.fleet.root_data;
  next.version = 3;
  next.fleet = node.fleet.fleet;
  next.previous = node.authority->root()->hash();
  const Bytes file = sign_root(next, {&node.fleet.root_key});
  REQUIRE(node.authority->import_root(file, {}, node.clock.now()).ok());
  CHECK(node.authority->open_order(node.order_by(node.revoker, task)).code() == Code::order_signer);
}

TEST_CASE("an order asks no clock and brings no time", "[authority][R66]") {
  OrderedNode node;
  const TaskId task = node.activated();
  const auto least_s = [&node] {
    return authority::time_report(*node.store, node.clock.now()).value().estimate.least_s;
  };
  const std::int64_t before = least_s();
  node.clock.step_wall_s(-node.clock.now().wall_s);
  const Bytes payload =
      capsules::encode_order(
          {.task = task, .why = "stolen", .issued_at_s = limits::kTimeMaxS, .signer = {}})
          .value();
  const auto order = node.authority->open_order(
      capsules::frame_order(payload, {crypto::key_id(node.revoker.public_key()),
                                      node.revoker.sign(crypto::statement::kOrder, payload)}));
  REQUIRE(order.ok());
  REQUIRE(node.kill(task, {.order = *order}).ok());
  CHECK(node.show(task).reason == EndReason::operator_kill);
  CHECK(least_s() == before);
}

TEST_CASE("an order that could not be written is written with the end", "[authority][R66]") {
  OrderedNode node;
  const TaskId task = node.activated();
  node.store->fail_at(node.store->commits() + 1, MapStore::Failure::before);
  CHECK(node.kill(task, {.uid = 7, .order = node.order(task)}).code() == Code::store_full);
  CHECK(node.records() == 0);
  node.store->fail_at(0, MapStore::Failure::none);
  // It acts no more, and whoever looks at it next does not know of the order.
  REQUIRE(node.authority->check_time(task, node.clock.now()) == EndReason::operator_kill);
  REQUIRE(node.kill(task, {}).ok());
  CHECK(node.records() == 1);
  CHECK(member(node.store->records(LeafType::ending).back(), "uid") == "7");
}

TEST_CASE("who cancelled stands in the log", "[authority][R11]") {
  OrderedNode node;
  const TaskId task = node.activated();
  REQUIRE(
      node.authority->begin_ending(task, EndReason::cancelled, node.clock.now(), {.uid = 5}).ok());
  const std::string ending = node.store->records(LeafType::ending).back();
  CHECK(member(ending, "verb") == "cancel");
  CHECK(member(ending, "uid") == "5");
  CHECK(node.records() == 0);
}

}  // namespace
}  // namespace taper::testing
