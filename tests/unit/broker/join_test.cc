// One plan run by several chains of its capsule, one after the other: whole runs with real cells.
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "runtime/broker/embedded.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::TaskState;
using capsules::OnError;
using testing::ChildProcess;
using testing::NodeForTests;
using testing::plan_step;

constexpr const char* kSleep = R"(
kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/sleep", "3"]
[input]
)";

// Steps that append their names to one file; the helper's chain may do the same, or less.
struct Writing {
  NodeForTests node;
  capsules::Capsule capsule;
  capsules::Block block;

  Writing() {
    capsule = node.capsule();
    capsule.max_depth = 1;
    capsule.grants = {node.grant({.tool = "file.append",
                                  .paths = {"path"},
                                  .any = {"content"},
                                  .calls = 3,
                                  .effect = capsules::Effect::write})};
    for (const char* id : {"one", "two", "three"}) {
      const std::string args =
          std::string(R"({"content":")") + id + R"( ","path":")" + node.data() + "/out\"}";
      capsule.plan.steps.push_back(plan_step(id, "file.append", args));
    }
    block.grants = {{"mine", "file.append", {}, {}}};
  }
  std::string parent() { return path_.empty() ? path_ = node.sign(capsule) : path_; }
  Result<RunReport> as_parent() { return run(node.options(parent())); }
  Result<RunReport> as_helper() { return run(node.narrowed_options(node.narrow(parent(), block))); }
  // A run that dies by kill -9 as soon as `step` was reported.
  void killed_after(const std::string& step, bool helper = false) {
    ChildProcess child([&] {
      RunOptions dying =
          helper ? node.narrowed_options(node.narrow(parent(), block)) : node.options(parent());
      dying.on_step = [&](const StepReport& report) {
        if (report.id == step) ::kill(::getpid(), SIGKILL);
      };
      return run(dying).ok() ? 0 : 1;
    });
    CHECK(child.wait() == 128 + SIGKILL);
  }

 private:
  std::string path_;
};

std::string told(const Result<RunReport>& report) {
  if (!report.ok()) return to_line(report.error());
  std::string out;
  for (const StepReport& step : report->steps) {
    out += step.id + ":" + step.verdict + ":" + step.outcome;
    out += step.result.empty() ? " " : "! ";  // it told a result
  }
  return out;
}

TEST_CASE("a narrowed chain goes on with a plan that was broken off", "[broker][run][join][R45]") {
  Writing writing;
  writing.killed_after("one");
  const auto before = task_list(writing.node.state());
  const auto report = writing.as_helper();
  // What the parent's step gave back is not the helper's to see.
  REQUIRE(told(report) == "one:allow:done two:allow:done! three:allow:done! ");
  CHECK(report->joined);
  CHECK(report->resumed);
  CHECK(report->task == before->at(0).task);
  CHECK(report->state == TaskState::completed);
  CHECK(writing.node.read("out") == "one two three ");
  CHECK(writing.as_parent().code() == Code::activations_spent);
}

TEST_CASE("the parent goes on after a chain that joined", "[broker][run][join][R45][R50]") {
  Writing writing;
  writing.killed_after("one");
  writing.killed_after("two", true);
  const auto report = writing.as_parent();
  REQUIRE(told(report) == "one:allow:done! two:allow:done three:allow:done! ");
  CHECK(report->resumed);
  CHECK_FALSE(report->joined);
  CHECK(writing.node.read("out") == "one two three ");
}

TEST_CASE("a chain that joined has its own rights and the task's budget",
          "[broker][run][join][R45]") {
  Writing writing;
  SECTION("its own rights") {
    writing.block.grants[0].args = {{"content", false, {capsules::Equals{"two "}}}};
    writing.killed_after("one");
    const auto report = writing.as_helper();
    REQUIRE(told(report) == "one:allow:done two:allow:done! three:deny: ");
    CHECK(report->steps[2].code == Code::argument_refused);
  }
  SECTION("the task's budget") {
    writing.capsule.grants[0].budget.calls = 2;
    writing.killed_after("one");
    const auto report = writing.as_helper();
    REQUIRE(told(report) == "one:allow:done two:allow:done! three:deny: ");
    CHECK(report->steps[2].code == Code::budget_calls);
  }
}

TEST_CASE("a chain's lease ends its run and not the task", "[broker][run][join][R17][R45]") {
  Writing writing;
  writing.node.put_tool("nap", kSleep);
  writing.capsule.grants.push_back(writing.node.grant({.tool = "nap", .paths = {}, .any = {}}));
  writing.capsule.plan.steps[1] = plan_step("two", "nap", "{}", {}, OnError::carry_on);
  writing.block.grants.push_back({"nap", "nap", {}, {}});
  writing.block.lease_ttl_ms = 1500;
  const std::int64_t before = SystemClock().now().boot_ms;
  // Also where it was the first: the task is the whole capsule's.
  const auto helped = writing.as_helper();
  CHECK(helped.code() == Code::lease_over);
  CHECK(SystemClock().now().boot_ms - before < 3000);
  const auto tasks = task_list(writing.node.state());
  REQUIRE(tasks.ok());
  REQUIRE(tasks->size() == 1);
  CHECK(tasks->at(0).state == TaskState::active);
  CHECK(tasks->at(0).ttl_ms == writing.capsule.lease_ttl_ms);
  CHECK(tasks->at(0).calls.at(1).state == authority::CallState::killed);
  CHECK(writing.as_helper().code() == Code::lease_over);
  const auto report = writing.as_parent();
  REQUIRE(told(report) == "one:allow:done two:allow:killed three:allow:done! ");
  CHECK(report->task == tasks->at(0).task);
  CHECK(report->joined);
  CHECK(report->state == TaskState::completed);
}

}  // namespace
}  // namespace taper::broker
