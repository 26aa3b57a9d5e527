// Leases above a day: only where capsule and root both say so, and every record then does too.
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::EndReason;
using capsules::Capsule;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";
constexpr std::int64_t kHourMs = 3'600'000;

// The node's root, in a second version that lets its issuer give long leases.
void allow_long_leases(Node& node) {
  capsules::TrustRootData data = node.fleet.root_data;
  data.version = 2;
  data.fleet = node.fleet.fleet;
  data.previous = node.authority->root()->hash();
  data.issuers[0].limits.max_ttl_ms = 96 * kHourMs;
  data.issuers[0].limits.long_leases = true;
  REQUIRE(node.authority
              ->import_root(sign_root(data, {&node.fleet.root_key}), std::nullopt, node.clock.now())
              .ok());
}

Capsule long_capsule(Node& node) {
  Capsule capsule = sample_capsule(node.fleet);
  capsule.not_after_s = kNowS + 4 * 86'400;
  capsule.lease_ttl_ms = capsule.lease_idle_ms = 72 * kHourMs;
  capsule.long_lease = true;
  return capsule;
}

std::vector<std::string> records_of(const Node& node, const TaskId& task) {
  std::vector<std::string> out;
  for (const MapStore::Leaf& leaf : node.store->disk().log) {
    if (leaf.type != store::LeafType::recovery && leaf.body.find(task.hex()) != std::string::npos)
      out.push_back(leaf.body);
  }
  return out;
}

TEST_CASE("a long lease needs the capsule's word and the root's", "[authority][R22]") {
  Node node;
  Capsule capsule = long_capsule(node);
  CHECK(node.activate(sign_capsule(node.fleet, capsule)).code() == Code::issuer_limit);
  allow_long_leases(node);
  capsule.long_lease = false;
  CHECK(node.activate(sign_capsule(node.fleet, capsule)).code() == Code::long_lease);
  capsule.long_lease = true;
  capsule.lease_ttl_ms = capsule.lease_idle_ms = limits::kLongLeaseMs;
  CHECK(node.activate(sign_capsule(node.fleet, capsule)).code() == Code::long_lease);
  CHECK(node.activate(sign_capsule(node.fleet, long_capsule(node))).ok());
}

TEST_CASE("every record of a task with a long lease says so", "[authority][audit][R22]") {
  Node node;
  allow_long_leases(node);
  const TaskId task = node.activated(long_capsule(node));
  CHECK(node.show(task).long_lease);
  const auto call = node.allowed(task, "file.read", kRead);
  node.settle(call.call, authority::CallState::done);
  node.denied(task, "file.read", R"({"path":"/etc/shadow"})");
  node.restart();
  node.end(task, EndReason::operator_kill);
  const auto records = records_of(node, task);
  REQUIRE(records.size() == 6);  // activation, call, outcome, refusal, ending, end
  for (const std::string& record : records) {
    INFO(record);
    CHECK(member(record, "long_lease") == "true");
  }
}

TEST_CASE("no record of another task does", "[authority][audit][R22]") {
  Node node;
  const TaskId task = node.activated();
  node.denied(task, "file.read", R"({"path":"/etc/shadow"})");
  node.end(task, EndReason::operator_kill);
  CHECK_FALSE(node.show(task).long_lease);
  const auto records = records_of(node, task);
  REQUIRE(records.size() == 4);
  for (const std::string& record : records) CHECK(member(record, "long_lease") == "(none)");
}

}  // namespace
}  // namespace taper::testing
