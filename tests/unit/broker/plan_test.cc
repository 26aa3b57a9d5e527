// Plans that go through items, try again and leave results: whole runs with real cells.
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::EndReason;
using authority::TaskState;
using capsules::OnError;
using testing::ChildProcess;
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

RunReport run_whole(const RunOptions& options) {
  Result<RunReport> report = run(options);
  INFO((report.ok() ? "" : to_line(report.error())));
  REQUIRE(report.ok());
  for (const StepReport& step : report->steps)
    if (step.code != Code::ok) UNSCOPED_INFO(step.id << ": " << to_line(step.error));
  return std::move(report).value();
}

std::string told(const RunReport& report) {
  std::string all;
  for (const StepReport& step : report.steps)
    all += step.id + ":" + step.verdict + ":" + step.outcome + " ";
  return all;
}

capsules::Step each(capsules::Step step, std::string items, std::uint32_t most) {
  step.for_each = std::move(items);
  step.for_each_max = most;
  return step;
}

// Lists a folder of three logs and reads each.
struct Reading {
  NodeForTests node;
  capsules::Capsule capsule;
  Reading() {
    std::filesystem::create_directory(node.data() + "/logs");
    for (const char* name : {"a", "b", "c"})
      node.write(std::string("logs/") + name, std::string("line of ") + name);
    capsule = node.capsule();
    capsule.grants = {node.grant({.tool = "file.list", .paths = {"path"}, .any = {}}),
                      node.grant({.tool = "file.read", .paths = {"path"}, .any = {}}),
                      node.grant({.tool = "file.append",
                                  .paths = {"path"},
                                  .any = {"content"},
                                  .effect = capsules::Effect::write})};
    capsule.plan.steps = {
        plan_step("list", "file.list", "{\"path\":\"" + node.data() + "/logs\"}"),
        each(plan_step("read", "file.read", R"({"path":{"$item":true,"at":"/path"}})", {"list"}),
             R"({"$step":"list","at":"/entries"})", 3),
        plan_step(
            "write", "file.append",
            R"({"content":{"$step":"read","at":"/1/text"},"path":")" + node.data() + "/out\"}",
            {"read"})};
  }
  RunReport run_it() { return run_whole(node.options(node.sign(capsule))); }
};

TEST_CASE("a step runs one call for each item, in order", "[broker][run][R29]") {
  Reading reading;
  const RunReport report = reading.run_it();
  CHECK(report.state == TaskState::completed);
  CHECK(
      told(report) ==
      "list:allow:done read[0]:allow:done read[1]:allow:done read[2]:allow:done write:allow:done ");
  CHECK(reading.node.read("out") == "line of b");
  const auto shown = task_show(reading.node.state(), report.task);
  REQUIRE(shown.ok());
  REQUIRE(shown->calls.size() == 5);  // each with a decision and a charge of its own
  CHECK(shown->calls[2].step == "read[1]");
  CHECK(shown->calls[2].decision != shown->calls[3].decision);
}

TEST_CASE("more items than the signed maximum run nothing", "[broker][run][R29]") {
  Reading reading;
  reading.node.write("logs/d", "one too many");
  const RunReport report = reading.run_it();
  CHECK(report.state == TaskState::failed);
  CHECK(told(report) == "list:allow:done read::failed write:skipped: ");
  CHECK(report.steps[1].code == Code::for_each_ended);
  const auto shown = task_show(reading.node.state(), report.task);
  REQUIRE(shown.ok());
  CHECK(shown->calls.size() == 1);
}

TEST_CASE("a report holds no more of many results than of a few", "[broker][run][R29]") {
  Reading reading;
  constexpr std::size_t kItems = 300, kBytes = 63'000;
  reading.node.write("logs/a", std::string(kBytes, 'x'));
  capsules::Step& step = reading.capsule.plan.steps[1];
  const std::string path = "\"" + reading.node.data() + "/logs/a\"";
  step.args = R"({"path":{"$item":true}})";
  step.for_each = "[" + path;
  for (std::size_t i = 1; i < kItems; ++i) step.for_each += "," + path;
  step.for_each += "]";
  step.for_each_max = kItems;
  reading.capsule.plan.steps.pop_back();
  RunOptions options = reading.node.options(reading.node.sign(reading.capsule));
  std::size_t told_bytes = 0, kept = 0, whole = 0;
  options.on_step = [&](const StepReport& report) { told_bytes += report.result.size(); };
  const RunReport report = run_whole(options);
  REQUIRE(report.steps.size() == 1 + kItems);
  for (const StepReport& item : report.steps) {
    kept += item.result.size();
    whole += item.result.size() > kBytes ? 1 : 0;
    CHECK(item.outcome == "done");
  }
  CHECK(told_bytes > kItems * kBytes);  // each was told as it came
  CHECK(kept <= limits::kRunResultsShownBytes + kItems * 64);
  CHECK(whole >= limits::kRunResultsShownBytes / (kBytes + 500));
  CHECK(report.steps.back().result.starts_with(R"({"truncated":true,"bytes":63)"));
}

TEST_CASE("no items are done at once", "[broker][run]") {
  Reading reading;
  for (const char* name : {"a", "b", "c"})
    std::filesystem::remove(reading.node.data() + "/logs/" + name);
  reading.capsule.plan.steps[2].args =
      R"({"content":"none","path":")" + reading.node.data() + "/out\"}";
  const RunReport report = reading.run_it();
  CHECK(told(report) == "list:allow:done read::done write:allow:done ");
}

TEST_CASE("each item is judged for itself", "[broker][run][R25][R32]") {
  Reading reading;
  capsules::Step& step = reading.capsule.plan.steps[1];
  step.args = R"({"path":{"$item":true}})";
  step.for_each = "[\"" + reading.node.data() + "/logs/a\",\"/etc/shadow\",\"" +
                  reading.node.data() + "/logs/c\"]";
  SECTION("a refused one ends the plan") {
    const RunReport report = reading.run_it();
    CHECK(told(report) == "list:allow:done read[0]:allow:done read[1]:deny: write:skipped: ");
    CHECK(report.reason == EndReason::step_denied);
  }
  SECTION("or leaves its step undone where the plan goes on") {
    step.on_error = OnError::carry_on;
    const RunReport report = reading.run_it();
    CHECK(told(report) ==
          "list:allow:done read[0]:allow:done read[1]:deny: read[2]:allow:done write:skipped: ");
    CHECK(report.state == TaskState::completed);
  }
  SECTION("each is charged") {
    reading.capsule.grants[1].budget.calls = 1;
    step.for_each =
        "[\"" + reading.node.data() + "/logs/a\",\"" + reading.node.data() + "/logs/b\"]";
    const RunReport report = reading.run_it();
    CHECK(told(report) == "list:allow:done read[0]:allow:done read[1]:deny: write:skipped: ");
    CHECK(report.code == Code::budget_calls);
  }
}

// Runs in a child that dies by kill -9 as soon as `step` was reported; then runs on here.
RunReport killed_and_resumed(const RunOptions& options, const std::string& step) {
  ChildProcess child([&] {
    RunOptions dying = options;
    dying.on_step = [&](const StepReport& report) {
      if (report.id == step) ::kill(::getpid(), SIGKILL);
    };
    return run(dying).ok() ? 0 : 1;
  });
  CHECK(child.wait() == 128 + SIGKILL);
  RunReport report = run_whole(options);
  CHECK(report.resumed);
  return report;
}

TEST_CASE("a plan killed among its items goes on where it was", "[broker][run][R50]") {
  Reading reading;
  reading.capsule.plan.steps = {
      each(plan_step("add", "file.append",
                     R"({"content":{"$item":true},"path":")" + reading.node.data() + "/out\"}"),
           R"(["1","2","3"])", 3)};
  const RunReport report =
      killed_and_resumed(reading.node.options(reading.node.sign(reading.capsule)), "add[1]");
  CHECK(told(report) == "add[0]:allow:done add[1]:allow:done add[2]:allow:done ");
  CHECK(reading.node.read("out") == "123");
}

// A step that reads a file which is not there.
struct Retrying {
  NodeForTests node;
  capsules::Capsule capsule;
  Retrying(std::uint32_t retries, std::int64_t backoff_ms) {
    node.put_tool("cat", kCat);
    capsule = node.capsule();
    capsule.grants = {node.grant({.tool = "cat", .paths = {"path"}, .any = {}})};
    capsule.grants[0].verbs.push_back(capsules::Verb::retry);
    capsules::Step step =
        plan_step("cat", "cat", "{\"path\":\"" + node.data() + "/late\"}", {}, OnError::retry);
    step.retries = retries;
    step.backoff_ms = backoff_ms;
    capsule.plan.steps = {step};
  }
  RunOptions options() { return node.options(node.sign(capsule)); }
};

std::string verb_of(const NodeForTests& node, const StepReport& step) {
  const auto view = why(node.state(), step.decision);
  REQUIRE(view.ok());
  return view->record.find("\"verb\":\"retry\"") != std::string::npos ? "retry" : "other";
}

TEST_CASE("a failed call is tried again, each time by a new decision", "[broker][run][R26][R38]") {
  Retrying plan(3, 200);
  RunOptions options = plan.options();
  options.on_step = [&](const StepReport& step) {
    if (step.outcome == "failed") plan.node.write("late", "here now");
  };
  const std::int64_t before = SystemClock().now().boot_ms;
  const RunReport report = run_whole(options);
  CHECK(SystemClock().now().boot_ms - before >= 200);
  CHECK(report.state == TaskState::completed);
  REQUIRE(told(report) == "cat:allow:failed cat:allow:done ");
  CHECK(verb_of(plan.node, report.steps[0]) == "other");
  CHECK(verb_of(plan.node, report.steps[1]) == "retry");
}

TEST_CASE("retries end: by their number, by the budget, by the grant's verbs",
          "[broker][run][R26][R38]") {
  Retrying plan(2, 1);
  SECTION("number") {
    const RunReport report = run_whole(plan.options());
    CHECK(told(report) == "cat:allow:failed cat:allow:failed cat:allow:failed ");
    CHECK(report.reason == EndReason::failure);
  }
  SECTION("budget") {
    plan.capsule.grants[0].budget.calls = 2;
    const RunReport report = run_whole(plan.options());
    CHECK(told(report) == "cat:allow:failed cat:allow:failed cat:deny: ");
    CHECK(report.code == Code::budget_calls);
  }
  SECTION("verbs") {
    plan.capsule.grants[0].verbs.pop_back();
    const RunReport report = run_whole(plan.options());
    CHECK(told(report) == "cat:allow:failed cat:deny: ");
    CHECK(report.steps[1].code == Code::verb_not_granted);
  }
  SECTION("a refusal is never tried again") {
    plan.capsule.plan.steps[0].args = R"({"path":"/etc/shadow"})";
    CHECK(told(run_whole(plan.options())) == "cat:deny: ");
  }
  SECTION("nor is what ends the task") {
    plan.capsule.end_on.failure = true;
    CHECK(told(run_whole(plan.options())) == "cat:allow:failed ");
  }
}

TEST_CASE("a crash gives no more attempts", "[broker][run][R38][R50]") {
  Retrying plan(1, 100);
  const RunReport report = killed_and_resumed(plan.options(), "cat");
  CHECK(told(report) == "cat:allow:failed cat:allow:failed ");  // the first is of the earlier life
  CHECK(report.reason == EndReason::failure);
  const auto shown = task_show(plan.node.state(), report.task);
  REQUIRE(shown.ok());
  CHECK(shown->calls.size() == 2);
}

TEST_CASE("waiting to retry is idle, and no lease is longer for it", "[broker][run][R16][R17]") {
  Retrying plan(5, 3'600'000);
  const std::int64_t before = SystemClock().now().boot_ms;
  SECTION("idle") {
    plan.capsule.lease_idle_ms = 700;
    CHECK(run_whole(plan.options()).reason == EndReason::idle);
  }
  SECTION("lease") {
    plan.capsule.lease_ttl_ms = plan.capsule.lease_idle_ms = 1500;
    CHECK(run_whole(plan.options()).state == TaskState::expired);
  }
  CHECK(SystemClock().now().boot_ms - before < 10'000);
}

TEST_CASE("results stay for their readers, then go", "[broker][run][R4][R39]") {
  REQUIRE(crypto::initialise().ok());
  const crypto::SigningKey reader = crypto::SigningKey::generate();
  Reading reading;
  reading.capsule.result = {{Hash{crypto::key_id(reader.public_key()).bytes}}, 3'600'000, 1};
  const RunReport report = reading.run_it();
  REQUIRE(report.state == TaskState::completed);
  CHECK(reading.node.kept_results() == 5);
  const auto ask = [&](const crypto::SigningKey& key, const std::string& step) {
    return task_result({.state = reading.node.state(),
                        .task = report.task,
                        .step = step,
                        .reader = key.public_key(),
                        .prove = [&key](ByteSpan statement) {
                          return key.sign(crypto::statement::kResultRead, statement);
                        }});
  };
  const auto stranger = ask(crypto::SigningKey::generate(), "read[1]");
  CHECK(stranger.code() == Code::result_refused);
  const auto first = ask(reader, "read[1]");
  REQUIRE(first.ok());
  CHECK(reading.node.kept_results() == 5);  // until its bytes are where they were asked for
  REQUIRE(erase_read_result(reading.node.state(), report.task, *first).ok());
  CHECK(first->json.find("line of b") != std::string::npos);
  CHECK(first->reads_left == 0);
  CHECK(reading.node.kept_results() == 4);  // its last read erased it
  const auto second = ask(reader, "read[1]");
  CHECK(second.code() == Code::result_refused);
  CHECK(to_line(second.error()) == to_line(stranger.error()));
  const auto last = ask(reader, "");
  REQUIRE(last.ok());
  CHECK(last->step == "write");
  REQUIRE(erase_read_result(reading.node.state(), report.task, *last).ok());
  // Another task's end and the next start leave the rest alone.
  reading.capsule.result.reset();
  reading.capsule.serial += 1000;
  CHECK(reading.run_it().state == TaskState::completed);
  CHECK(reading.node.kept_results() == 3);
}

TEST_CASE("a read counts when the result is at hand and has room", "[broker][run][R39]") {
  REQUIRE(crypto::initialise().ok());
  const crypto::SigningKey reader = crypto::SigningKey::generate();
  Reading reading;
  reading.capsule.result = {{Hash{crypto::key_id(reader.public_key()).bytes}}, 3'600'000, 1};
  const RunReport report = reading.run_it();
  ResultQuery query{.state = reading.node.state(),
                    .task = report.task,
                    .step = "list",
                    .reader = reader.public_key(),
                    .prove = [&reader](ByteSpan statement) {
                      return reader.sign(crypto::statement::kResultRead, statement);
                    }};
  const std::string moved = reading.node.folder() + "/moved";
  const std::string results = reading.node.state() + "/results";
  SECTION("not there") {
    std::filesystem::rename(results, moved);
    CHECK(task_result(query).code() == Code::result_missing);
    std::filesystem::rename(moved, results);
  }
  SECTION("changed on the disk") {
    std::filesystem::copy(results, moved, std::filesystem::copy_options::recursive);
    for (const auto& file : std::filesystem::recursive_directory_iterator(results))
      if (file.is_regular_file()) std::ofstream(file.path()) << "{}";
    CHECK(task_result(query).code() == Code::store_corrupt);
    std::filesystem::remove_all(results);
    std::filesystem::rename(moved, results);
  }
  SECTION("no room for it") {
    query.prepare = [](std::size_t) { return Status(Error(Code::store_full)); };
    CHECK(task_result(query).code() == Code::store_full);
    query.prepare = nullptr;
  }
  REQUIRE(task_result(query).ok());
  CHECK(task_result(query).code() == Code::result_refused);
}

TEST_CASE("results are erased when their retention is over", "[broker][run][R39]") {
  Reading reading;
  reading.capsule.result = {{Hash{crypto::key_id(reading.node.record().sign).bytes}}, 1, 1};
  const RunReport report = reading.run_it();
  CHECK(reading.node.kept_results() == 5);
  testing::pause_ms(20);
  CHECK(task_cancel(reading.node.state(), report.task).code() == Code::task_terminal);
  reading.capsule.serial += 1000;
  reading.capsule.result.reset();
  CHECK(reading.run_it().state == TaskState::completed);  // takes the state, and sweeps it
  CHECK(reading.node.kept_results() == 0);
}

}  // namespace
}  // namespace taper::broker
