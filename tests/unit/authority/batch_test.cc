#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallRequest;
using authority::CallState;
using authority::Decision;
using authority::EndReason;
using capsules::Capsule;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";
constexpr auto kWrite = R"({"content":"x","path":"/srv/reports/today.md"})";
constexpr std::size_t kCallers = 64;

CallRequest request(const Node& node, const TaskId& task, const std::string& tool,
                    std::string_view arguments) {
  return {task,  node.caller(task), capsules::Verb::call, tool, to_bytes(as_bytes(arguments)),
          "step"};
}

// The number each decision has; ok where it is allowed, the error's where there is none.
std::vector<Code> codes(const std::vector<Result<Decision>>& decisions) {
  std::vector<Code> out;
  for (const Result<Decision>& decision : decisions) {
    const auto* denial = decision ? std::get_if<authority::Denial>(&*decision) : nullptr;
    out.push_back(!decision           ? decision.code()
                  : denial == nullptr ? Code::ok
                                      : denial->error.code());
  }
  return out;
}

std::vector<Code> batch(Node& node, const std::vector<CallRequest>& requests) {
  return codes(node.authority->authorise_batch(requests, node.tools, node.clock.now()));
}

TEST_CASE("queued callers share one commit and no more than the budget", "[authority][R38]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 1000;
  capsule.grants[0].budget.calls = 10;
  SECTION("calls") {}
  SECTION("a rate") {
    capsule.grants[0].budget = {};
    capsule.grants[0].budget.rate = capsules::Rate{10, 60'000};
  }
  SECTION("bytes") {
    capsule.grants[0].budget = {};
    capsule.grants[0].cell.output_bytes = 100;
    capsule.grants[0].budget.bytes = 1000;
  }
  SECTION("processor time") {
    capsule.grants[0].budget = {};
    capsule.grants[0].cell.cpu_s = 1;
    capsule.grants[0].budget.cpu_ms = 10'000;
  }
  const TaskId task = node.activated(capsule);
  const std::uint64_t commits = node.store->commits();
  const std::vector<CallRequest> queue(kCallers, request(node, task, "file.read", kRead));
  const auto decided = batch(node, queue);
  CHECK(node.store->commits() == commits + 1);
  CHECK(std::count(decided.begin(), decided.end(), Code::ok) == 10);
  CHECK(std::count(decided.begin(), decided.begin() + 10, Code::ok) == 10);
  CHECK(node.store->records(store::LeafType::decision).size() == kCallers);
  CHECK(node.show(task).calls.size() == 10);
  CHECK(batch(node, queue).front() != Code::ok);
}

TEST_CASE("a limit reached inside a batch holds for the rest of it", "[authority][R19][R37]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 2;
  capsule.grants[0].labels = {"seen"};
  capsule.grants[1].refuse_after = {"seen"};
  capsule.grants[1].budget.calls = 5;
  const TaskId task = node.activated(capsule);
  const CallRequest read = request(node, task, "file.read", kRead);
  const CallRequest write = request(node, task, "file.write", kWrite);
  const CallRequest other = request(node, TaskId{}, "file.read", kRead);
  CHECK(batch(node, {write, read, other, read}) == std::vector<Code>{Code::ok, Code::label_conflict,
                                                                     Code::unknown_task,
                                                                     Code::label_conflict});
  CHECK(batch(node, {write, read}) == std::vector<Code>(2, Code::task_not_live));
  CHECK(node.show(task).denials == 2);
  CHECK(node.show(task).labels.empty());
}

TEST_CASE("labels and ids taken early in a batch bind its rest", "[authority][R32][R37]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 1000;
  capsule.grants[0].labels = {"seen"};
  capsule.grants[0].idempotency = "path";
  capsule.grants[1].refuse_after = {"seen"};
  const TaskId task = node.activated(capsule);
  const CallRequest read = request(node, task, "file.read", kRead);
  const CallRequest write = request(node, task, "file.write", kWrite);
  CHECK(batch(node, {read, write, read}) ==
        std::vector<Code>{Code::ok, Code::label_refused, Code::idempotency_reused});
}

TEST_CASE("a batch that cannot be made durable leaves nothing behind", "[authority][R50]") {
  for (const auto failure : {MapStore::Failure::before, MapStore::Failure::after}) {
    Node node;
    Capsule capsule = sample_capsule(node.fleet);
    capsule.grants[0].labels = {"seen"};
    capsule.grants[0].idempotency = "path";
    const Bytes file = sign_capsule(node.fleet, capsule);
    const TaskId task = node.activate(file)->task;
    const auto due = node.authority->next_due(task, node.clock.now());
    node.store->fail_at(node.store->commits() + 1, failure);
    std::vector<CallRequest> queue(6, request(node, task, "file.read", kRead));
    queue.push_back(request(node, task, "file.read", R"({"path":"/var/log/plant/b"})"));
    for (const Code code : batch(node, queue)) {
      CHECK(code ==
            (failure == MapStore::Failure::before ? Code::store_full : Code::commit_unknown));
    }
    // In memory all is as it was: no call, no end by denials, and idleness counts on.
    CHECK(node.authority->past_calls(task).empty());
    const auto again = node.authority->next_due(task, node.clock.now());
    REQUIRE(again);
    CHECK(again->boot_ms == due->boot_ms);
    CHECK(again->reason == due->reason);
    // On the disk it is whole or not there.
    node.restart();
    if (failure == MapStore::Failure::before) {
      CHECK(node.show(task).calls.empty());
      CHECK(node.show(task).labels.empty());
      REQUIRE(node.activate(file).code() == Code::ok);
      CHECK(node.refused(task, "file.read", kRead) == Code::ok);
    } else {
      CHECK(node.show(task).calls.size() == 1);
      CHECK(node.show(task).denials == 3);
      CHECK(is_terminal(node.show(task).state));
    }
  }
}

TEST_CASE("a long queue is cut into several transactions", "[authority]") {
  Node node;
  Capsule capsule = sample_capsule(node.fleet);
  capsule.log_quota_bytes = 1'000'000'000;
  capsule.grants[0].budget.calls = 100'000;
  const TaskId task = node.activated(capsule);
  const std::uint64_t commits = node.store->commits();
  const std::vector<CallRequest> queue(limits::kBatchCallsMax + 1,
                                       request(node, task, "file.read", kRead));
  const auto decided = batch(node, queue);
  CHECK(decided == std::vector<Code>(queue.size(), Code::ok));
  CHECK(node.store->commits() == commits + 2);
  CHECK(batch(node, {}).empty());
  CHECK(node.store->commits() == commits + 2);
}

}  // namespace
}  // namespace taper::testing
