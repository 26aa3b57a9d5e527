// Whole runs on a real store with real cells: what is allowed, denied, and how plans go on.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "runtime/base/file.h"
#include "runtime/broker/embedded.h"
#include "store/audit_verify.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::EndReason;
using authority::TaskState;
using capsules::OnError;
using testing::NodeForTests;
using testing::plan_step;

constexpr const char* kCat = R"(
kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/cat", "--", {arg = "path"}]
[input]
path = {type = "path"}
)";

capsules::Effect write_effect() { return capsules::Effect::write; }

std::string path_args(const NodeForTests& node, const std::string& name) {
  return "{\"path\":\"" + node.data() + "/" + name + "\"}";
}

std::string append_args(const NodeForTests& node, const std::string& name,
                        const std::string& content) {
  return "{\"content\":\"" + content + "\",\"path\":\"" + node.data() + "/" + name + "\"}";
}

void check_log(const NodeForTests& node) {
  const Result<Bytes> log = audit_export(node.state(), std::nullopt);
  REQUIRE(log.ok());
  const store::LogTrust trust{.node = node.record().sign,
                              .incarnation = node.record().incarnation,
                              .log_key_0 = node.record().log_key_0,
                              .nonce = std::nullopt};
  const auto verified = store::verify_log(*log, trust);
  INFO((verified.ok() ? "" : to_line(verified.error())));
  CHECK(verified.ok());
}

RunReport run_whole(const RunOptions& options) {
  Result<RunReport> report = run(options);
  INFO((report.ok() ? "" : to_line(report.error())));
  REQUIRE(report.ok());
  for (const StepReport& step : report->steps)
    if (step.code != Code::ok) UNSCOPED_INFO(step.id << ": " << to_line(step.error));
  return std::move(report).value();
}

TEST_CASE("a plan reads, refers and writes, then is over for good", "[broker][run][R14][R35]") {
  NodeForTests node;
  node.write("in.txt", "hello\n");
  node.put_tool("cat", kCat);
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}}),
                    node.grant({.tool = "cat", .paths = {"path"}, .any = {}}),
                    node.grant({.tool = "file.write",
                                .paths = {"path"},
                                .any = {"content"},
                                .calls = 1,
                                .effect = write_effect()})};
  capsule.plan.steps = {
      plan_step("read", "file.read", path_args(node, "in.txt")),
      plan_step("cat", "cat", path_args(node, "in.txt")),
      plan_step("write", "file.write",
                R"({"content":{"$step":"cat","at":"/text"},"path":")" + node.data() + "/out.txt\"}",
                {"cat"})};
  const std::string file = node.sign(capsule);
  std::vector<std::string> seen;
  RunOptions options = node.options(file);
  options.on_step = [&](const StepReport& step) { seen.push_back(step.id); };
  const RunReport report = run_whole(options);
  CHECK(report.state == TaskState::completed);
  CHECK(report.reason == EndReason::completion);
  CHECK(report.code == Code::ok);
  CHECK_FALSE(report.resumed);
  REQUIRE(report.steps.size() == 3);
  CHECK(seen == std::vector<std::string>{"read", "cat", "write"});
  for (const StepReport& step : report.steps) {
    CHECK(step.verdict == "allow");
    CHECK(step.outcome == "done");
  }
  CHECK(report.steps[0].result.find("\"text\":\"hello\\n\"") != std::string::npos);
  CHECK(node.read("out.txt") == "hello\n");
  CHECK(run(options).code() == Code::activations_spent);
  const auto shown = task_show(node.state(), report.task);
  REQUIRE(shown.ok());
  CHECK(shown->state == TaskState::completed);
  CHECK(why(node.state(), report.steps[0].decision).ok());
  check_log(node);
}

TEST_CASE("a refused step ends the plan with 613", "[broker][run][R25][R29]") {
  NodeForTests node;
  node.write("in.txt", "x");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  SECTION("a tool that is not granted") {
    capsule.plan.steps = {plan_step("a", "file.list", path_args(node, "."))};
    capsule.plan.steps[0].args = "{\"path\":\"" + node.data() + "\"}";
  }
  SECTION("a path outside") {
    capsule.plan.steps = {plan_step("a", "file.read", R"({"path":"/etc/passwd"})")};
  }
  SECTION("an argument nobody named") {
    capsule.plan.steps = {plan_step("a", "file.read", path_args(node, "in.txt"))};
    capsule.plan.steps[0].args.insert(1, "\"offset\":1,");
  }
  capsule.plan.steps.push_back(plan_step("b", "file.read", path_args(node, "in.txt")));
  const RunReport report = run_whole(node.options(node.sign(capsule)));
  CHECK(report.state == TaskState::failed);
  CHECK(report.reason == EndReason::step_denied);
  CHECK(report.code == Code::step_denied);
  REQUIRE(report.steps.size() == 2);
  CHECK(report.steps[0].verdict == "deny");
  CHECK(describe(report.steps[0].code).kind == Kind::deny);
  CHECK(report.steps[1].verdict == "skipped");
  check_log(node);
}

TEST_CASE("a builtin's result never exceeds the bytes that were left", "[broker][run]") {
  NodeForTests node;
  node.write("in.txt", "123456");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  capsule.grants[0].budget.bytes = 8;
  capsule.plan.steps = {
      plan_step("first", "file.read", path_args(node, "in.txt")),
      plan_step("second", "file.read", path_args(node, "in.txt"), {}, OnError::carry_on)};
  const RunReport report = run_whole(node.options(node.sign(capsule)));
  REQUIRE(report.steps.size() == 2);
  CHECK(report.steps[0].outcome == "done");
  CHECK(report.steps[1].verdict == "allow");
  CHECK(report.steps[1].outcome != "done");
  CHECK(report.steps[1].code == Code::output_cap);
  CHECK(report.steps[1].result.empty());
  check_log(node);
}

TEST_CASE("a plan carries on where its steps say so", "[broker][run]") {
  NodeForTests node;
  node.write("in.txt", "x");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  capsule.plan.steps = {
      plan_step("gone", "file.read", path_args(node, "gone.txt"), {}, OnError::carry_on),
      plan_step("needy", "file.read", path_args(node, "in.txt"), {"gone"}),
      plan_step("bad", "file.read", R"({"path":"/etc/passwd"})", {}, OnError::carry_on),
      plan_step("ref", "file.read", R"({"path":{"$step":"gone","at":"/text"}})", {},
                OnError::carry_on),
      plan_step("last", "file.read", path_args(node, "in.txt"))};
  const RunReport report = run_whole(node.options(node.sign(capsule)));
  CHECK(report.state == TaskState::completed);
  REQUIRE(report.steps.size() == 5);
  CHECK(report.steps[0].outcome == "failed");
  CHECK(report.steps[1].verdict == "skipped");
  CHECK(report.steps[2].verdict == "deny");
  CHECK(report.steps[3].code == Code::step_reference);
  CHECK(report.steps[4].outcome == "done");
}

TEST_CASE("a failed step ends the task as failed", "[broker][run][R15]") {
  NodeForTests node;
  node.write("in.txt", "x");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  SECTION("because the step stops the plan") {
    capsule.plan.steps = {plan_step("gone", "file.read", path_args(node, "gone.txt"))};
  }
  SECTION("because the capsule ends on failure") {
    capsule.end_on.failure = true;
    capsule.plan.steps = {
        plan_step("gone", "file.read", path_args(node, "gone.txt"), {}, OnError::carry_on)};
  }
  capsule.plan.steps.push_back(plan_step("b", "file.read", path_args(node, "in.txt")));
  const std::string file = node.sign(capsule);
  const RunReport report = run_whole(node.options(file));
  CHECK(report.state == TaskState::failed);
  CHECK(report.reason == EndReason::failure);
  CHECK(report.code == Code::task_failed);
  CHECK(exit_code(report.code) == 6);
  CHECK(report.steps.at(1).verdict == "skipped");
  CHECK(run(node.options(file)).code() == Code::activations_spent);
}

TEST_CASE("a spent budget and too many denials", "[broker][run][R13][R19]") {
  NodeForTests node;
  node.write("in.txt", "x");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.append",
                                .paths = {"path"},
                                .any = {"content"},
                                .calls = 2,
                                .effect = write_effect()})};
  for (const char* id : {"a", "b", "c", "d", "e"})
    capsule.plan.steps.push_back(plan_step(id, "file.append", append_args(node, "out.txt", id)));
  SECTION("budget") {
    const RunReport report = run_whole(node.options(node.sign(capsule)));
    CHECK(report.state == TaskState::exhausted);
    CHECK(report.steps.at(2).code == Code::budget_calls);
    CHECK(exit_code(report.code) == 3);
  }
  SECTION("denials") {
    capsule.end_on.denials = 2;
    for (capsules::Step& step : capsule.plan.steps) step.on_error = OnError::carry_on;
    const RunReport report = run_whole(node.options(node.sign(capsule)));
    CHECK(report.state == TaskState::revoked);
    CHECK(report.reason == EndReason::denials);
    CHECK(report.code == Code::denials_ended);
    CHECK(report.steps.at(3).verdict == "deny");
    CHECK(report.steps.at(4).verdict == "skipped");
  }
  CHECK(node.read("out.txt") == "ab");
}

TEST_CASE("a tool that changes under the task is refused", "[broker][run][R18][R25]") {
  NodeForTests node;
  node.write("in.txt", "x");
  node.put_tool("cat", kCat);
  capsules::Capsule capsule = node.capsule();
  const auto tools = tools_list(node.state());
  REQUIRE(tools.ok());
  capsule.grants = {node.grant({.tool = "cat", .paths = {"path"}, .any = {}})};
  capsule.grants[0].digest_kind = capsules::DigestKind::pinned;
  capsule.grants[0].digest = tools->at("cat").digest;
  capsule.plan.steps = {plan_step("a", "cat", path_args(node, "in.txt")),
                        plan_step("b", "cat", path_args(node, "in.txt"))};
  RunOptions options = node.options(node.sign(capsule));
  options.on_step = [&](const StepReport& step) {
    if (step.id != "a") return;
    std::string changed = kCat;
    changed.replace(changed.find("\"--\""), 4, "\"-n\", \"--\"");
    node.put_tool("cat", changed);
  };
  const RunReport report = run_whole(options);
  CHECK(report.steps.at(0).outcome == "done");
  CHECK(report.steps.at(1).code == Code::tool_digest);
  CHECK(report.reason == EndReason::drift);
  CHECK(report.state == TaskState::revoked);
}

TEST_CASE("what refuses a run leaves no task", "[broker][run][R3][R7]") {
  NodeForTests node;
  node.write("in.txt", "x");
  node.put_tool("cat", kCat);
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "cat", .paths = {"path"}, .any = {}})};
  capsule.plan.steps = {plan_step("a", "cat", path_args(node, "in.txt"))};
  const std::string file = node.sign(capsule);
  RunOptions options = node.options(file);
  SECTION("another holder's key") {
    const auto proof = options.prove;
    options.prove = [proof](ByteSpan statement) {
      auto signature = proof(statement);
      signature[5] ^= 1;
      return signature;
    };
    CHECK(run(options).code() == Code::proof_wrong);
  }
  SECTION("a tool file that is wrong") {
    node.put_tool("cat", "kind = 1");
    const Result<RunReport> refused = run(options);
    CHECK(refused.code() == Code::tool_file_malformed);
    node.put_tool("cat", kCat);
  }
  SECTION("a changed capsule") {
    Result<Bytes> bytes = read_file(file, 1 << 20);
    REQUIRE(bytes.ok());
    Bytes changed = std::move(bytes).value();
    changed[changed.size() / 2] ^= 1;
    REQUIRE(replace_file(file + "x", changed, 0644).ok());
    options.capsule_path = file + "x";
    CHECK(describe(run(options).code()).kind == Kind::invalid);
  }
  SECTION("an entry that is no plan") {
    capsules::Capsule session = capsule;
    session.serial += 1000;
    session.entry = capsules::EntryKind::session;
    session.plan = {};
    const Result<RunReport> refused = run(node.options(node.sign(session)));
    CHECK(refused.code() == Code::entry_other);
    CHECK(to_line(refused.error()).find("taper connect") != std::string::npos);
  }
  SECTION("a wrong tool that is not granted does not matter") { node.put_tool("other", "x"); }
  const auto tasks = task_list(node.state());
  REQUIRE(tasks.ok());
  CHECK(tasks->empty());
  CHECK(run_whole(node.options(file)).state == TaskState::completed);
}

}  // namespace
}  // namespace taper::broker
