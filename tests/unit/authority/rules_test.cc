#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::CallState;
using authority::EndReason;
using capsules::Capsule;
using capsules::Grant;
using Names = std::vector<std::string>;

constexpr auto kRead = R"({"path":"/var/log/plant/pump-07.log"})";
constexpr auto kSecret = R"({"path":"/srv/secret/plan"})";
constexpr auto kWrite = R"({"content":"x","path":"/srv/reports/today.md"})";

// file.read of logs, file.read of secrets, file.write of the report; bounded by nothing.
Capsule open_capsule(Node& node) {
  Capsule capsule = sample_capsule(node.fleet);
  capsule.end_on.denials = 1000;
  Grant secret = sample_grant("read-secret", "file.read", capsules::Effect::read,
                              {{"path", false, {capsules::Under{"/srv/secret"}}}});
  capsule.grants.insert(capsule.grants.begin() + 1, secret);
  for (Grant& grant : capsule.grants) grant.budget = {};
  return capsule;
}

TEST_CASE("after reading what is labelled nothing leaves", "[authority][R31][R37]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.activations = 2;
  capsule.grants[1].labels = {"plant-data", "internal"};
  capsule.grants[2].refuse_after = {"plant-data"};
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file)->task;
  // Writing and reading what bears no label are no harm, in any order.
  node.settle(node.allowed(task, "file.write", kWrite).call, CallState::done);
  node.settle(node.allowed(task, "file.read", kRead).call, CallState::done);
  node.settle(node.allowed(task, "file.write", kWrite).call, CallState::done);
  CHECK(node.show(task).labels.empty());

  const auto secret = node.allowed(task, "file.read", kSecret);
  SECTION("whatever the call's outcome") {
    node.settle(secret.call, CallState::failed, Code::tool_failed);
  }
  SECTION("from the permit on") {}
  const auto denial = node.denied(task, "file.write", kWrite);
  CHECK(denial.error.code() == Code::label_refused);
  const auto view = authority::explain_decision(*node.store, denial.decision);
  CHECK(view->answers.back().question == "labels");
  CHECK(node.show(task).labels == Names{"internal", "plant-data"});
  CHECK(node.show(task).grants[2].shut_by == "plant-data");
  CHECK(node.show(task).grants[0].shut_by.empty());
  CHECK(node.refused(task, "file.read", kSecret) == Code::ok);

  // Neither a restart nor another activation takes a label away.
  node.restart();
  REQUIRE(node.activate(file).code() == Code::ok);
  CHECK(node.refused(task, "file.write", kWrite) == Code::label_refused);
  node.end(task, EndReason::completion);
  const TaskId second = node.activate(file)->task;
  CHECK(second != task);
  CHECK(node.refused(second, "file.write", kWrite) == Code::label_refused);
}

TEST_CASE("a call that a label shuts never runs beside one that adds it", "[authority][R37]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.grants[1].labels = {"plant-data"};
  capsule.grants[2].refuse_after = {"plant-data"};
  const TaskId task = node.activated(capsule);
  const auto write = node.allowed(task, "file.write", kWrite);
  CHECK(node.refused(task, "file.read", kSecret) == Code::label_conflict);
  CHECK(node.show(task).labels.empty());
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  node.settle(write.call, CallState::done);
  node.allowed(task, "file.read", kSecret);
  CHECK(node.refused(task, "file.write", kWrite) == Code::label_refused);
}

TEST_CASE("a grant waits for the calls that must come first", "[authority][R31][R37]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.activations = 2;
  capsule.grants[2].after = {"read-logs", "read-secret"};
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file)->task;
  CHECK(node.refused(task, "file.write", kWrite) == Code::after_unmet);
  node.settle(node.allowed(task, "file.read", kRead).call, CallState::done);
  const auto secret = node.allowed(task, "file.read", kSecret);
  CHECK(node.refused(task, "file.write", kWrite) == Code::after_unmet);
  node.settle(secret.call, CallState::failed, Code::tool_failed);
  CHECK(node.refused(task, "file.write", kWrite) == Code::after_unmet);
  node.settle(node.allowed(task, "file.read", kSecret).call, CallState::done);
  node.restart();
  REQUIRE(node.activate(file).code() == Code::ok);
  CHECK(node.refused(task, "file.write", kWrite) == Code::ok);
  // Another task of the capsule begins anew.
  node.end(task, EndReason::completion);
  CHECK(node.refused(node.activate(file)->task, "file.write", kWrite) == Code::after_unmet);
}

TEST_CASE("a rate is a bucket that only known time fills", "[authority][R38]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.lease_idle_ms = capsule.lease_ttl_ms;
  capsule.grants[0].budget.rate = capsules::Rate{3, 60'000};
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file)->task;
  for (int i = 0; i < 3; ++i) CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
  node.clock.advance_ms(19'999);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
  node.clock.advance_ms(1);
  CHECK(node.show(task).grants[0].left.rate == 1);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);

  SECTION("a restart adds nothing to the time that passed") {
    node.clock.advance_ms(10'000);
    node.restart();
    REQUIRE(node.activate(file).code() == Code::ok);
    CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
    node.clock.advance_ms(10'000);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  }
  SECTION("the time of a reboot is not known") {
    node.clock.advance_ms(3'600'000);
    node.clock.reboot(Node::boot(2));
    node.restart();
    REQUIRE(node.activate(file).code() == Code::ok);
    CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
    node.clock.advance_ms(20'000);
    CHECK(node.refused(task, "file.read", kRead) == Code::ok);
    CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
  }
  SECTION("a wall clock that jumps fills nothing") {
    node.clock.step_wall_s(100);
    CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
  }
  SECTION("the bucket holds no more than its count") {
    node.clock.advance_ms(300'000);
    for (int i = 0; i < 3; ++i) CHECK(node.refused(task, "file.read", kRead) == Code::ok);
    CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
  }
}

authority::Outcome used_cpu(std::optional<std::uint64_t> ms, CallState state = CallState::done) {
  authority::Outcome outcome;
  outcome.state = state;
  outcome.cpu_ms = ms;
  return outcome;
}

TEST_CASE("processor time is reserved, then settled by what was used", "[authority][R38]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.grants[0].budget.cpu_ms = 10'000;
  capsule.grants[0].cell.cpu_s = 4;
  const TaskId task = node.activated(capsule);
  const auto first = node.allowed(task, "file.read", kRead);
  const auto second = node.allowed(task, "file.read", kRead);
  const auto third = node.allowed(task, "file.read", kRead);
  CHECK(first.permit.facts().caps.cpu_s == 4);
  CHECK(third.permit.facts().caps.cpu_s == 2);  // no more is left
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_cpu);
  const auto settle = [&node](const CallId& call, const authority::Outcome& outcome) {
    REQUIRE(node.authority->settle(call, outcome, node.clock.now()).code() == Code::ok);
  };
  settle(first.call, used_cpu(1'500));
  CHECK(node.show(task).grants[0].left.cpu_ms == 2'500);
  settle(second.call, used_cpu(std::nullopt));  // not known: all of it stays spent
  CHECK(node.show(task).grants[0].left.cpu_ms == 2'500);
  settle(third.call, used_cpu(100, CallState::interrupted));
  CHECK(node.show(task).grants[0].left.cpu_ms == 2'500);
  CHECK(node.allowed(task, "file.read", kRead).permit.facts().caps.cpu_s == 2);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_cpu);
}

TEST_CASE("a sum is exact, charged at once and never given back", "[authority][R38]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.grants[0].budget.sum = capsules::Sum{"max_bytes", 100};
  const TaskId task = node.activated(capsule);
  const auto call = [](std::string_view bytes) {
    return R"({"max_bytes":)" + std::string(bytes) + R"(,"path":"/var/log/plant/a"})";
  };
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_sum);  // not there
  CHECK(node.refused(task, "file.read", call("-1")) == Code::budget_sum);
  CHECK(node.refused(task, "file.read", call("101")) == Code::budget_sum);
  node.settle(node.allowed(task, "file.read", call("60")).call, CallState::failed,
              Code::tool_failed);
  CHECK(node.refused(task, "file.read", call("41")) == Code::budget_sum);
  CHECK(node.show(task).grants[0].left.sum == 40);
  CHECK(node.refused(task, "file.read", call("40")) == Code::ok);
  CHECK(node.refused(task, "file.read", call("0")) == Code::ok);
  CHECK(node.refused(task, "file.read", call("1")) == Code::budget_sum);
}

TEST_CASE("a call that never ran is given back, to every block's budget", "[authority][R38]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.grants[0].budget.calls = 1;
  capsule.grants[0].budget.sum = capsules::Sum{"max_bytes", 100};
  capsule.grants[0].budget.rate = capsules::Rate{3, 60'000};
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file)->task;
  constexpr auto kSixty = R"({"max_bytes":60,"path":"/var/log/plant/a"})";
  // No cell could be had for it, or none that holds.
  for (const Code code : {Code::sandbox_setup, Code::sandbox_layer}) {
    node.settle(node.allowed(task, "file.read", kSixty).call, CallState::failed, code, 0);
    CHECK(node.show(task).grants[0].left.calls == 1);
    CHECK(node.show(task).grants[0].left.sum == 100);
    node.restart();
    REQUIRE(node.activate(file).code() == Code::ok);
  }
  CHECK(node.show(task).grants[0].left.rate == 1);
  node.settle(node.allowed(task, "file.read", kSixty).call, CallState::failed, Code::tool_failed);
  CHECK(node.show(task).grants[0].left.calls == 0);
  CHECK(node.refused(task, "file.read", kSixty) == Code::budget_calls);
}

TEST_CASE("a sum at the end of its range does not wrap", "[authority][R38]") {
  Node node;
  constexpr std::int64_t kMost = INT64_MAX;
  Capsule capsule = open_capsule(node);
  capsule.grants[0].args = {{"path", false, {capsules::Under{"/var/log/plant"}}},
                            {"offset", false, {capsules::AnyValue{}}}};
  capsule.grants[0].budget.sum = capsules::Sum{"offset", kMost};
  const TaskId task = node.activated(capsule);
  const auto call = [](std::string_view offset) {
    return R"({"offset":)" + std::string(offset) + R"(,"path":"/var/log/plant/a"})";
  };
  CHECK(node.refused(task, "file.read", call("9223372036854775806")) == Code::ok);
  CHECK(node.refused(task, "file.read", call("2")) == Code::budget_sum);
  CHECK(node.refused(task, "file.read", call("9223372036854775807")) == Code::budget_sum);
  CHECK(node.refused(task, "file.read", call("1")) == Code::ok);
  CHECK(node.show(task).grants[0].left.sum == 0);
}

TEST_CASE("a call's id counts once, but for calls that were interrupted",
          "[authority][R32][R38][R52]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.activations = 2;
  capsule.grants[2].idempotency = "content";
  const Bytes file = sign_capsule(node.fleet, capsule);
  const TaskId task = node.activate(file)->task;
  const auto write = [](std::string_view id) {
    return R"({"content":")" + std::string(id) + R"(","path":"/srv/reports/today.md"})";
  };
  node.settle(node.allowed(task, "file.write", write("a")).call, CallState::done);
  CHECK(node.refused(task, "file.write", write("a")) == Code::idempotency_reused);
  // However the same text is spelled.
  CHECK(node.refused(task, "file.write", write(R"(\u0061)")) == Code::idempotency_reused);
  node.settle(node.allowed(task, "file.write", write("b")).call, CallState::failed,
              Code::tool_failed);
  CHECK(node.refused(task, "file.write", write("b")) == Code::idempotency_reused);
  node.allowed(task, "file.write", write("c"));
  CHECK(node.refused(task, "file.write", write("c")) == Code::idempotency_reused);  // under way

  node.restart();
  REQUIRE(node.activate(file).code() == Code::ok);
  const auto past = node.authority->past_calls(task);
  REQUIRE(past.size() == 3);
  CHECK(past[2].state == CallState::interrupted);
  CHECK(past[2].repeatable);
  CHECK(node.refused(task, "file.write", write("a")) == Code::idempotency_reused);
  const auto again = node.allowed(task, "file.write", write("c"));
  CHECK(node.refused(task, "file.write", write("c")) == Code::idempotency_reused);
  node.settle(again.call, CallState::done);

  // The ids are the capsule's: another task of it knows them.
  node.end(task, EndReason::completion);
  const TaskId second = node.activate(file)->task;
  for (const char* id : {"a", "b", "c"}) {
    CHECK(node.refused(second, "file.write", write(id)) == Code::idempotency_reused);
  }
  CHECK(node.refused(second, "file.write", write("d")) == Code::ok);
}

TEST_CASE("an id is what the tool is given, however it is written", "[authority][R38]") {
  Node node;
  Capsule capsule = open_capsule(node);
  Grant pay =
      sample_grant("pay", "pay", capsules::Effect::write, {{"id", false, {capsules::AnyValue{}}}});
  pay.budget = {};
  pay.idempotency = "id";
  authority::Tool tool;
  tool.name = "pay";
  tool.kind = authority::ToolKind::command;
  tool.effect = capsules::Effect::write;
  tool.inputs = {{"id", capsules::InputType::json, false}};
  tool.argv = {{"/usr/bin/true", "", false, {}}, {"--", "", false, {}}, {"", "id", false, {}}};
  authority::define_tool(tool);
  node.tools.insert_or_assign("pay", tool);
  pay.digest_kind = capsules::DigestKind::pinned;
  pay.digest = tool.digest;
  capsule.grants.push_back(pay);
  const TaskId task = node.activate(sign_capsule(node.fleet, capsule))->task;
  const auto pays = [&](std::string_view id) {
    return node.refused(task, "pay", R"({"id":)" + std::string(id) + "}");
  };
  CHECK(pays("7") == Code::ok);
  CHECK(pays(R"("7")") == Code::idempotency_reused);
  CHECK(pays(R"("07")") == Code::ok);
  CHECK(pays(R"("[7,\"x\"]")") == Code::ok);
  CHECK(pays(R"([7, "x"])") == Code::idempotency_reused);
  CHECK(pays("true") == Code::ok);
  CHECK(pays(R"("true")") == Code::idempotency_reused);
}

TEST_CASE("a failed call's id may be retried, a done one's never", "[authority][R38]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.grants[2].idempotency = "content";
  capsule.grants[2].verbs = {capsules::Verb::call, capsules::Verb::retry};
  const TaskId task = node.activate(sign_capsule(node.fleet, capsule))->task;
  const auto retried = [&](std::string_view id, CallState first) {
    const std::string arguments =
        R"({"content":")" + std::string(id) + R"(","path":"/srv/reports/today.md"})";
    const Code code = first == CallState::done ? Code::ok : Code::tool_failed;
    node.settle(node.allowed(task, "file.write", arguments).call, first, code);
    return node.refused(task, "file.write", arguments, capsules::Verb::retry);
  };
  CHECK(retried("a", CallState::done) == Code::idempotency_reused);
  CHECK(retried("b", CallState::failed) == Code::ok);
  CHECK(retried("c", CallState::killed) == Code::ok);
}

TEST_CASE("the capsule's cell bounds every grant's", "[authority]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.cell.memory_bytes = 1'000'000;
  capsule.cell.wall_ms = 5'000;
  capsule.cell.output_bytes = 700;
  capsule.grants[1].cell.memory_bytes = 2'000'000;
  capsule.grants[1].cell.output_bytes = 300;
  const TaskId task = node.activated(capsule);
  const auto plain = node.allowed(task, "file.read", kRead);
  CHECK(plain.permit.facts().caps.memory_bytes == 1'000'000);
  CHECK(plain.permit.facts().caps.output_bytes == 700);
  CHECK(plain.permit.facts().deadline_boot_ms == node.clock.now().boot_ms + 5'000);
  const auto own = node.allowed(task, "file.read", kSecret);
  CHECK(own.permit.facts().caps.memory_bytes == 1'000'000);  // a grant only lowers
  CHECK(own.permit.facts().caps.output_bytes == 300);
}

TEST_CASE("an argument kept out of the log leaves its digest alone", "[authority][R59]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.log_all_arguments = true;
  capsule.log_except = {"content"};
  capsule.grants[2].args[1].all = {capsules::Prefix{"ok-"}};
  const TaskId task = node.activated(capsule);
  const auto write = [](std::string_view text) {
    return R"({"content":")" + std::string(text) + R"(","path":"/srv/reports/today.md"})";
  };
  CHECK(node.refused(task, "file.write", write("ok-hidden-value")) == Code::ok);
  CHECK(node.refused(task, "file.write", write("hidden-value")) == Code::argument_refused);
  const auto records = node.store->records(store::LeafType::decision);
  REQUIRE(records.size() == 2);
  for (const std::string& record : records) {
    CHECK(record.find("hidden-value") == std::string::npos);
    CHECK(record.find("/srv/reports/today.md") != std::string::npos);
    CHECK(parsed(record).at_pointer("/arguments_except/content") != nullptr);
  }
}

TEST_CASE("so many refusals of any kind end the task", "[authority][R19]") {
  Node node;
  Capsule capsule = open_capsule(node);
  capsule.end_on.denials = 3;
  capsule.grants[0].budget.rate = capsules::Rate{1, 60'000};
  capsule.grants[2].after = {"read-logs"};
  const TaskId task = node.activated(capsule);
  CHECK(node.refused(task, "file.write", kWrite) == Code::after_unmet);
  CHECK(node.refused(task, "file.read", kRead) == Code::ok);
  CHECK(node.refused(task, "file.read", kRead) == Code::budget_rate);
  CHECK(node.denied(task, "file.read", kRead).ends_task == EndReason::denials);
  CHECK(node.refused(task, "file.read", kSecret) == Code::task_not_live);
  CHECK(node.end(task, EndReason::denials) == authority::TaskState::revoked);
}

}  // namespace
}  // namespace taper::testing
