// Results after the end of their task: who reads them, how long, how often.
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";
constexpr std::int64_t kHourMs = 3'600'000;

struct Kept : Node {
  crypto::SigningKey reader = crypto::SigningKey::generate();
  TaskId task;
  CallId call;

  explicit Kept(std::uint32_t reads = 2, std::int64_t retention_ms = kHourMs) {
    capsules::Capsule capsule = sample_capsule(fleet);
    capsule.result = {{Hash{crypto::key_id(reader.public_key()).bytes}}, retention_ms, reads};
    task = activated(capsule);
    call = allowed(task, "file.read", kRead).call;
    settle(call, CallState::done);
    const auto failed = allowed(task, "file.read", kRead).call;
    settle(failed, CallState::failed, Code::tool_failed);
  }

  authority::ResultRequest asked(const crypto::SigningKey& key, const TaskId& of,
                                 const std::string& step = "step-1") {
    authority::ResultRequest request{of, step, key.public_key(), authority->challenge(), {}};
    request.proof =
        key.sign(crypto::statement::kResultRead,
                 authority::result_statement(fleet.fleet, fleet.node, fleet.incarnation, request));
    return request;
  }
  Result<authority::ReadableResult> read(const crypto::SigningKey& key, const TaskId& of,
                                         const std::string& step = "step-1") {
    return authority->read_result(asked(key, of, step), clock.now());
  }
  Result<authority::ReadableResult> read() { return read(reader, task); }
  std::size_t readings() const { return store->records(store::LeafType::reading).size(); }
};

TEST_CASE("a reader reads an ended task's result as often as the capsule says",
          "[authority][R39][R61]") {
  Kept node;
  CHECK(node.read().code() == Code::result_refused);  // still live
  node.end(node.task, EndReason::completion);
  CHECK(node.authority->kept_results(node.clock.now()).value() == std::vector<TaskId>{node.task});
  const auto first = node.read();
  REQUIRE(first.code() == Code::ok);
  CHECK(first->call == node.call);
  CHECK(first->reads_left == 1);
  node.restart();  // the count is on the disk
  CHECK(node.read(node.reader, node.task, "")->reads_left == 0);
  CHECK(node.read().code() == Code::result_refused);
  node.restart();
  CHECK(node.read().code() == Code::result_refused);
  const auto records = node.store->records(store::LeafType::reading);
  REQUIRE(records.size() == 4);
  CHECK(member(records[0], "verdict") == "allow");
  CHECK(member(records[0], "verb") == "result");
  CHECK(member(records[0], "call") == node.call.hex());
  CHECK(member(records[0], "reader") == crypto::key_id(node.reader.public_key()).hex());
  CHECK(member(records[0], "requester") == "user:alice@plant.example");
  CHECK(member(records[3], "verdict") == "deny");
}

TEST_CASE("every refusal of a result is the same", "[authority][R4][R8][R9]") {
  Kept node;
  node.end(node.task, EndReason::completion);
  const Error same = node.read(node.reader, node.task, "no such step").error();
  CHECK(same.code() == Code::result_refused);
  const auto check_same = [&](const Result<authority::ReadableResult>& result) {
    REQUIRE_FALSE(result.ok());
    CHECK(to_line(result.error()) == to_line(same));
  };
  const std::size_t logged = node.readings();
  check_same(node.read(crypto::SigningKey::generate(), node.task));
  check_same(node.read(node.fleet.holder_key, node.task));  // the holder is no reader by itself
  check_same(node.read(node.reader, crypto::random_id<TaskId>()));
  const TaskId other = node.activated();  // its capsule keeps nothing
  node.end(other, EndReason::completion);
  check_same(node.read(node.reader, other));
  // Before proof: counted, never logged one by one.
  CHECK(node.readings() == logged);
  authority::ResultRequest request = node.asked(node.reader, node.task);
  SECTION("another signature") { request.proof[0] ^= 1U; }
  SECTION("another step") { request.step = "x"; }
  SECTION("another reader") { request.reader = node.fleet.holder_key.public_key(); }
  SECTION("another challenge") { request.challenge = crypto::random_id<Nonce>(); }
  SECTION("a replay") { REQUIRE(node.authority->read_result(request, node.clock.now()).ok()); }
  check_same(node.authority->read_result(request, node.clock.now()));
  CHECK(node.read()->reads_left <= 1);  // nothing was spent by what was refused
}

TEST_CASE("a proof for one statement is none for another", "[authority][R3]") {
  Kept node;
  node.end(node.task, EndReason::completion);
  authority::ResultRequest request = node.asked(node.reader, node.task);
  request.proof = node.reader.sign(crypto::statement::kActivation,
                                   authority::result_statement(node.fleet.fleet, node.fleet.node,
                                                               node.fleet.incarnation, request));
  CHECK(node.authority->read_result(request, node.clock.now()).code() == Code::result_refused);
}

TEST_CASE("the retention ends by either clock, and with it what was kept",
          "[authority][R10][R39]") {
  Kept node(100);
  node.end(node.task, EndReason::completion);
  const auto over = [&] {
    CHECK(node.read().code() == Code::result_refused);
    CHECK(node.authority->kept_results(node.clock.now())->empty());
    CHECK(member(node.store->records(store::LeafType::reading).back(), "verb") == "erase");
    CHECK(node.authority->kept_results(node.clock.now())->empty());
    CHECK(node.read().code() == Code::result_refused);
    for (const auto& [key, value] :
         node.store->disk().tables[static_cast<std::size_t>(store::Table::replay)])
      CHECK_FALSE(as_text(key).starts_with("reads"));
  };
  REQUIRE(node.read().ok());
  SECTION("the boot clock") {
    node.clock.advance_ms(kHourMs - 1);
    REQUIRE(node.read().ok());
    node.clock.step_wall_s(-60);
    node.clock.advance_ms(1);
    over();
  }
  SECTION("the wall clock alone") {
    node.clock.step_wall_s(3599);
    REQUIRE(node.read().ok());
    node.clock.step_wall_s(1);
    over();
  }
  SECTION("a root that takes back what was known of the time") {
    capsules::TrustRootData next = node.fleet.root_data;
    next.version = 2;
    next.fleet = node.fleet.fleet;
    next.previous = node.authority->root()->hash();
    next.issued_at_s -= 10;
    next.time_reset = true;
    const Bytes root = sign_root(next, {&node.fleet.root_key});
    REQUIRE(node.authority->import_root(root, std::nullopt, node.clock.now()).ok());
    over();
  }
  SECTION("over a reboot") {
    node.clock.reboot(Node::boot(2));
    node.restart();
    REQUIRE(node.read().ok());
    node.clock.step_wall_s(3600);
    over();
  }
  SECTION("over reboots that each set the clock back") {
    // Every commit takes the lower bound of the time with it; no clock takes it back.
    // Each boot is too short for its wall clock to count.
    constexpr std::int64_t kStepMs = kHourMs / 12;
    static_assert(kStepMs < limits::kWallSettledMs);
    for (std::uint8_t boot = 2; boot < 14; ++boot) {
      node.clock.advance_ms(kStepMs);
      REQUIRE(node.read().ok());
      node.clock.reboot(Node::boot(boot));
      node.clock.step_wall_s(-kStepMs / 1000);
      node.restart();
    }
    node.clock.advance_ms(kHourMs / 100);  // what the boot clock may have gained
    over();
  }
  SECTION("a clock set back reads nothing") {
    node.clock.reboot(Node::boot(2));
    node.clock.step_wall_s(-600);
    node.restart();
    CHECK(node.read().code() == Code::result_refused);
  }
}

TEST_CASE("a clock before a time that is known reads nothing", "[authority][R10][R39]") {
  Kept node(100, 10 * kHourMs);
  node.end(node.task, EndReason::completion);
  node.clock.advance_ms(3 * kHourMs);  // what it shows now is a bound from the next boot on
  REQUIRE(node.read().ok());
  node.clock.reboot(Node::boot(2));
  node.clock.step_wall_s(-3 * kHourMs / 1000);  // no earlier than the end of the task
  node.restart();
  CHECK(node.read().code() == Code::result_refused);
  CHECK(node.authority->kept_results(node.clock.now())->size() == 1);
  node.clock.step_wall_s(3 * kHourMs / 1000);
  CHECK(node.read().ok());
}

TEST_CASE("no result is read on a count that is not durable", "[authority][R50]") {
  Kept node(1);
  node.end(node.task, EndReason::completion);
  node.store->fail_at(node.store->commits() + 1, MapStore::Failure::after);
  CHECK(node.read().code() == Code::commit_unknown);
  node.restart();
  CHECK(node.read().code() == Code::result_refused);  // the read that nobody had is spent
}

TEST_CASE("what a revoked issuer signed is not read any more", "[authority][R26]") {
  Kept node;
  node.end(node.task, EndReason::completion);
  REQUIRE(node.read().ok());
  capsules::TrustRootData next = node.fleet.root_data;
  next.version = 2;
  next.fleet = node.fleet.fleet;
  next.previous = node.authority->root()->hash();
  next.issuers[0].key = crypto::SigningKey::generate().public_key();
  REQUIRE(node.authority
              ->import_root(sign_root(next, {&node.fleet.root_key}), std::nullopt, node.clock.now())
              .ok());
  CHECK(node.read().code() == Code::result_refused);
}

TEST_CASE("activation, decision, outcome, cancel and output access are events of their own",
          "[authority][R27][R60]") {
  Kept node;
  node.end(node.task, EndReason::cancelled);
  REQUIRE(node.read().ok());
  using store::LeafType;
  const auto verb = [&](LeafType type) { return member(node.store->records(type).back(), "verb"); };
  CHECK(verb(LeafType::activation) == "activate");
  CHECK(verb(LeafType::decision) == "call");
  CHECK(verb(LeafType::outcome) == "outcome");
  CHECK(verb(LeafType::ending) == "cancel");
  CHECK(verb(LeafType::reading) == "result");
}

TEST_CASE("a task that a restart ends keeps its results too", "[authority][R39][R50]") {
  Kept node;
  node.clock.advance_ms(900'000);  // beyond the lease
  node.restart();
  CHECK(is_terminal(node.show(node.task).state));
  CHECK(node.read().ok());
}

TEST_CASE("other inputs than a task was begun with are named as such", "[authority][R36]") {
  Node node;
  capsules::Capsule capsule = sample_capsule(node.fleet);
  capsule.plan.inputs = {"site"};
  const Bytes file = sign_capsule(node.fleet, capsule);
  const auto with = [&](const char* site) {
    return node.authority->activate(node.request(file, node.fleet.holder_key, {{"site", site}}),
                                    node.tools, node.clock.now());
  };
  REQUIRE(with("plant-7").ok());
  node.restart();
  CHECK(with("plant-8").code() == Code::inputs_changed);
  CHECK(with("plant-7")->resumed);
}

}  // namespace
}  // namespace taper::testing
