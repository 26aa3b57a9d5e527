#include "tests/unit/authority/harness.h"

#include "runtime/authority/records.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using authority::TaskState;
using capsules::Capsule;
using store::Table;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";

TEST_CASE("a live task is taken up again by its holder, with what it had left",
          "[authority][R50][R52]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.grants[0].budget.bytes = 10'000'000;
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file)->task;
  node.settle(node.allowed(task, "file.read", kRead).call, CallState::done, Code::ok, 1000);
  node.allowed(task, "file.read", kRead);  // under way when the process dies
  node.restart();
  CHECK(node.show(task).calls.at(1).state == CallState::interrupted);
  CHECK(node.store->records(store::LeafType::recovery).size() == 1);

  CHECK(node.authority
            ->activate(node.request(file, crypto::SigningKey::generate()), node.tools,
                       node.clock.now())
            .code() == Code::proof_wrong);
  const auto again = node.activate(file);
  REQUIRE(again.code() == Code::ok);
  CHECK(again->resumed);
  CHECK(again->task == task);
  CHECK(node.show(task).grants[0].left.calls == 3);
  // The interrupted call keeps its whole reservation.
  CHECK(node.show(task).grants[0].left.bytes ==
        10'000'000 - 1000 - static_cast<std::int64_t>(limits::kCellOutputBytes));
  const auto past = node.authority->past_calls(task);
  REQUIRE(past.size() == 2);
  CHECK(past[0].state == CallState::done);
  CHECK(past[1].repeatable);
  for (int i = 0; i < 3; ++i) {
    node.settle(node.allowed(task, "file.read", kRead).call, CallState::done);
  }
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_calls);
}

TEST_CASE("budgets belong to the capsule, not to its activation", "[authority][R38]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.activations = 2;
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId first = node.activate(file)->task;
  for (int i = 0; i < 4; ++i) node.allowed(first, "file.read", kRead);
  SECTION("a second activation has what is left") {
    node.end(first, EndReason::completion);
    const auto second = node.activate(file);
    REQUIRE(second.code() == Code::ok);
    CHECK(second->task != first);
    CHECK(node.refused(second->task, "file.read", kRead) == Code::ok);
    CHECK(node.refused(second->task, "file.read", kRead) == Code::budget_calls);
    node.end(second->task, EndReason::completion);
    CHECK(node.activate(file).code() == Code::activations_spent);
  }
  SECTION("a cancelled one spends all that remain") {
    node.end(first, EndReason::cancelled);
    CHECK(node.activate(file).code() == Code::activations_spent);
  }
}

TEST_CASE("the lease counts active time across restarts and reboots", "[authority][R13][R50]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.lease_idle_ms = 900'000;
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file)->task;
  node.clock.advance_ms(500'000);
  REQUIRE(node.authority->persist_time(node.clock.now()).ok());
  SECTION("a crash costs one interval") {
    node.restart();
    CHECK(node.show(task).active_ms == 500'000 + limits::kPersistIntervalMs);
  }
  SECTION("a reboot too, and the time the power was off is free") {
    node.clock.advance_ms(3'600'000);
    node.clock.reboot(Node::boot(2));
    node.restart();
    CHECK(node.show(task).active_ms == 500'000 + limits::kPersistIntervalMs);
    CHECK(node.activate(file).code() == Code::ok);
  }
  SECTION("time that this boot saw pass counts whole") {
    node.clock.advance_ms(300'000);
    node.restart();
    CHECK(node.show(task).active_ms == 800'000);
  }
  SECTION("a lease that ran out meanwhile is over") {
    node.clock.advance_ms(400'000);
    node.restart();
    CHECK(node.show(task).state == TaskState::expired);
    CHECK(node.activate(file).code() == Code::activations_spent);
  }
}

TEST_CASE("a restart completes every ending", "[authority][R50][R51]") {
  Node node;
  const TaskId task = node.activated();
  node.allowed(task, "file.read", kRead);
  REQUIRE(node.authority->begin_ending(task, EndReason::cancelled, node.clock.now()).ok());
  node.restart();
  CHECK(node.show(task).state == TaskState::cancelled);
  CHECK(node.show(task).calls.at(0).state == CallState::interrupted);
}

TEST_CASE("a task whose issuer went ends at the restart, its time charged", "[authority][R13]") {
  Node node;
  const TaskId task = node.activated();
  capsules::TrustRootData next = node.fleet.root_data;
  next.version = 2;
  next.fleet = node.fleet.fleet;
  next.previous = node.authority->root()->hash();
  next.issuers[0].key = crypto::SigningKey::generate().public_key();
  // The root is durable, what follows from it for the task is not.
  node.store->fail_at(node.store->commits() + 2, MapStore::Failure::before);
  const Bytes file = sign_root(next, {&node.fleet.root_key});
  CHECK(node.authority->import_root(file, std::nullopt, node.clock.now()).code() ==
        Code::store_full);
  node.restart();
  CHECK(node.authority->root()->data().version == 2);
  CHECK(node.show(task).reason == EndReason::revocation);
  CHECK(node.show(task).state == TaskState::revoked);
  CHECK(node.show(task).active_ms == limits::kPersistIntervalMs);
}

// The history that is cut at every commit: activation, three calls, a denial, an end, a second try.
void live(Node& node, const Bytes& file) {
  const auto activation = node.activate(file);
  if (!activation) return;
  const TaskId task = activation->task;
  for (int i = 0; i < 3; ++i) {
    const authority::CallRequest request{
        task,        node.caller(task),         capsules::Verb::call,
        "file.read", to_bytes(as_bytes(kRead)), "step"};
    auto decision = node.authority->authorise(request, node.tools, node.clock.now());
    if (!decision) return;
    const auto* allowed = std::get_if<authority::Allowed>(&*decision);
    if (allowed == nullptr) continue;
    authority::Outcome outcome;
    outcome.state = CallState::done;
    outcome.result_bytes = 10;
    if (!node.authority->settle(allowed->call, outcome, node.clock.now())) return;
  }
  if (!node.authority->begin_ending(task, EndReason::completion, node.clock.now())) return;
  static_cast<void>(node.authority->finish(task, node.clock.now()).ok());
}

struct Totals {
  std::uint64_t allowed = 0;  // permits that may have been given out
  std::uint32_t activations = 0;
};

Totals totals(const MapStore& store) {
  Totals totals;
  for (const std::string& record : store.records(store::LeafType::decision)) {
    if (member(record, "verdict") == "allow") ++totals.allowed;
  }
  for (const std::string& record : store.records(store::LeafType::activation)) {
    if (member(record, "verb") == "activate" && member(record, "verdict") == "allow")
      ++totals.activations;
  }
  return totals;
}

TEST_CASE("cut at any commit, no budget is exceeded and no authority grows",
          "[authority][R1][R50]") {
  for (const auto failure : {MapStore::Failure::before, MapStore::Failure::after}) {
    for (std::uint64_t cut = 1; cut <= 12; ++cut) {
      Node node;
      Capsule capsule = sample_capsule(node.fleet);
      capsule.grants[0].budget.calls = 2;
      const Bytes file = sign_capsule(node.fleet, capsule);
      node.store->fail_at(node.store->commits() + cut, failure);
      live(node, file);
      const bool was_cut = node.store->failed();
      INFO("cut at commit " << cut << (failure == MapStore::Failure::after ? " after" : " before"));
      for (int again = 0; again < 3; ++again) {
        node.restart();
        const auto before = node.store->disk().tables;
        live(node, file);
        // What was spent stays spent.
        const auto& spent = before[static_cast<std::size_t>(Table::budgets)];
        for (const auto& [key, bytes] : spent) {
          const auto now = authority::decode_spent(
              node.store->disk().tables[static_cast<std::size_t>(Table::budgets)].at(key));
          CHECK(now->calls >= authority::decode_spent(bytes)->calls);
        }
      }
      const Totals sum = totals(*node.store);
      CHECK(sum.allowed <= 2);
      CHECK(sum.activations == 1);
      CHECK(node.activate(file).code() == Code::activations_spent);
      const auto tasks = authority::list_tasks(*node.store, node.clock.now());
      REQUIRE(tasks.code() == Code::ok);
      REQUIRE(tasks->size() == 1);
      CHECK(is_terminal(tasks->front().state));
      for (const authority::PastCall& call : tasks->front().calls) {
        CHECK(call.state != CallState::authorised);
      }
      if (!was_cut) break;
    }
  }
}

TEST_CASE("a task that lacks a part of its identity is not made", "[authority][R1]") {
  Node node;
  const TaskId task = node.activated();
  std::optional<authority::TaskRecord> whole;
  REQUIRE(node.store
              ->read([&](const store::ReadTxn& txn) -> Status {
                TAPER_TRY(whole, authority::read_task(txn, task));
                return success();
              })
              .ok());
  REQUIRE(whole);
  const Result<Bytes> bytes = authority::encode_task(*whole);
  REQUIRE(bytes.code() == Code::ok);
  REQUIRE(authority::decode_task(*bytes).code() == Code::ok);

  using Record = authority::TaskRecord;
  const std::vector<std::pair<const char*, void (*)(Record&)>> parts = {
      {"capsule", [](Record& r) { r.capsule = {}; }},
      {"holder", [](Record& r) { r.holder = {}; }},
      {"issuer", [](Record& r) { r.issuer = {}; }},
      {"root version", [](Record& r) { r.root_version = 0; }},
      {"purpose", [](Record& r) { r.purpose.clear(); }},
      {"requester", [](Record& r) { r.requester.clear(); }},
      {"agent", [](Record& r) { r.agent.clear(); }},
      {"tenant", [](Record& r) { r.tenant.clear(); }},
      {"lease ttl", [](Record& r) { r.ttl_ms = 0; }},
      {"lease idle", [](Record& r) { r.idle_ms = 0; }},
      {"not_after", [](Record& r) { r.not_after_s = 0; }},
      {"end_on", [](Record& r) { r.end_on.denials = 0; }},
      {"state", [](Record& r) { r.state = TaskState::unset; }}};
  for (const auto& [name, drop] : parts) {
    Record record = *whole;
    drop(record);
    const Result<Bytes> refused = authority::encode_task(record);
    REQUIRE(refused.code() == Code::field_missing);
    CHECK(refused.error().detail().field == name);
  }
  for (std::size_t size = 0; size < bytes->size(); ++size) {
    CHECK(authority::decode_task(ByteSpan(*bytes).first(size)).code() == Code::store_corrupt);
  }
}

}  // namespace
}  // namespace taper::testing
