// Every way a task ends, with a tool running at the time, and who may end it.
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/embedded.h"
#include "store/auditor/log_record.h"
#include "store/store.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::EndReason;
using authority::TaskState;
using testing::ChildProcess;
using testing::NodeForTests;
using testing::pause_ms;
using testing::plan_step;

// An hour of sleep, found again by its odd number of seconds.
std::string sleep_tool(const std::string& seconds) {
  return "kind = \"command\"\neffect = \"read\"\noutput = \"text\"\nargv = [\"/usr/bin/sleep\", "
         "\"" +
         seconds + "\"]\n";
}

std::string odd_seconds() {
  static int count = 0;
  return std::to_string(3'000'000 + ::getpid() * 10 % 1'000'000 + ++count);
}

// A capsule whose one step sleeps far beyond its lease.
struct Sleeper {
  NodeForTests node;
  std::string seconds = odd_seconds();
  capsules::Capsule capsule;
  Sleeper() {
    node.put_tool("sleep", sleep_tool(seconds));
    capsule = node.capsule();
    capsule.grants = {node.grant({.tool = "sleep", .paths = {}, .any = {}})};
    capsule.plan.steps = {plan_step("sleep", "sleep", "{}"), plan_step("more", "sleep", "{}")};
  }
};

// The task of a state once a call of it runs; empty after five seconds without one.
std::optional<TaskId> wait_for_call(const std::string& state) {
  for (int i = 0; i < 500; ++i, pause_ms(10)) {
    const auto tasks = task_list(state);
    if (!tasks.ok() || tasks->empty()) continue;
    const auto shown = task_show(state, tasks->back().task);
    if (shown.ok() && !shown->calls.empty()) return shown->task;
  }
  return std::nullopt;
}

RunReport run_whole(const RunOptions& options) {
  Result<RunReport> report = run(options);
  INFO((report.ok() ? "" : to_line(report.error())));
  REQUIRE(report.ok());
  return std::move(report).value();
}

void check_killed(const Sleeper& sleeper, const RunReport& report, const std::string& file) {
  REQUIRE(report.steps.size() == 2);
  CHECK(report.steps[0].verdict == "allow");
  CHECK(report.steps[0].outcome == "killed");
  CHECK(report.steps[1].verdict == "skipped");
  CHECK(testing::processes_with(sleeper.seconds) == 0);
  CHECK(run(sleeper.node.options(file)).code() == Code::activations_spent);
  const auto shown = task_show(sleeper.node.state(), report.task);
  REQUIRE(shown.ok());
  CHECK(shown->state == report.state);
  CHECK(sleeper.node.kept_results() == 0);
}

TEST_CASE("the lease ends with a tool running", "[broker][ends][R16]") {
  Sleeper sleeper;
  sleeper.capsule.lease_ttl_ms = sleeper.capsule.lease_idle_ms = 1500;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  const std::int64_t before = SystemClock().now().boot_ms;
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(SystemClock().now().boot_ms - before < 5000);
  CHECK(report.state == TaskState::expired);
  CHECK(report.reason == EndReason::ttl);
  CHECK(report.code == Code::lease_ended);
  CHECK(exit_code(report.code) == 6);
  check_killed(sleeper, report, file);
}

TEST_CASE("not_after ends a running lease", "[broker][ends][R16]") {
  Sleeper sleeper;
  sleeper.capsule.not_after_s = SystemClock().now().wall_s + 3;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(report.state == TaskState::expired);
  CHECK(report.reason == EndReason::window);
  CHECK(report.code == Code::window_ended);
  CHECK(testing::processes_with(sleeper.seconds) == 0);
}

TEST_CASE("a task without the completion tripwire idles out", "[broker][ends][R17]") {
  NodeForTests node;
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "time.now", .paths = {}, .any = {}})};
  capsule.plan.steps = {plan_step("now", "time.now", "{}")};
  capsule.end_on.completion = false;
  capsule.lease_idle_ms = 1000;
  const RunReport report = run_whole(node.options(node.sign(capsule)));
  CHECK(report.state == TaskState::expired);
  CHECK(report.reason == EndReason::idle);
  CHECK(report.code == Code::idle_ended);
  CHECK(report.steps.at(0).outcome == "done");
}

TEST_CASE("another process cancels over control.sock", "[broker][ends][R8][R66]") {
  Sleeper sleeper;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  ChildProcess canceller([&] {
    const std::optional<TaskId> task = wait_for_call(sleeper.node.state());
    if (!task) return 1;
    struct stat facts{};
    if (::stat((sleeper.node.state() + "/control.sock").c_str(), &facts) != 0) return 2;
    if ((facts.st_mode & 0777) != 0600) return 3;
    TaskId other = *task;
    other.bytes[0] ^= 1;
    if (task_cancel(sleeper.node.state(), other).code() != Code::unknown_task) return 4;
    return task_cancel(sleeper.node.state(), *task).ok() ? 0 : 5;
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(canceller.wait() == 0);
  CHECK(report.state == TaskState::cancelled);
  CHECK(report.reason == EndReason::cancelled);
  CHECK(report.code == Code::cancelled);
  check_killed(sleeper, report, file);
  CHECK(task_cancel(sleeper.node.state(), report.task).code() == Code::task_terminal);
  CHECK_FALSE(std::filesystem::exists(sleeper.node.state() + "/control.sock"));
}

// The records of one type that the log has of the task.
std::vector<std::string> told(const std::string& state, const TaskId& task, std::string_view type) {
  std::vector<std::string> out;
  const auto records = task_log(state, task);
  REQUIRE(records.ok());
  for (const LoggedRecord& record : *records) {
    const store::LogRecord one = store::to_record(record.number, record.record);
    if (one.type_name == type) out.emplace_back(one.body);
  }
  return out;
}

TEST_CASE("an operator kills over control.sock, and the log has his uid", "[broker][ends][R66]") {
  Sleeper sleeper;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  ChildProcess killer([&] {
    const std::optional<TaskId> task = wait_for_call(sleeper.node.state());
    if (!task) return 1;
    TaskId other = *task;
    other.bytes[0] ^= 1;
    if (task_kill(sleeper.node.state(), other).code() != Code::unknown_task) return 2;
    return task_kill(sleeper.node.state(), *task).ok() ? 0 : 3;
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(killer.wait() == 0);
  CHECK(report.state == TaskState::revoked);
  CHECK(report.reason == EndReason::operator_kill);
  CHECK(report.code == Code::operator_killed);
  check_killed(sleeper, report, file);
  CHECK(task_kill(sleeper.node.state(), report.task).code() == Code::task_terminal);
  CHECK(task_cancel(sleeper.node.state(), report.task).code() == Code::task_terminal);
  const auto endings = told(sleeper.node.state(), report.task, "ending");
  REQUIRE(endings.size() == 1);
  CHECK(endings[0].find(R"("verb":"kill")") != std::string::npos);
  CHECK(endings[0].find("\"uid\":" + std::to_string(::geteuid()) + ",") != std::string::npos);
  CHECK(told(sleeper.node.state(), report.task, "order").empty());
}

TEST_CASE("a revoker's order kills at once, and once", "[broker][ends][R11][R66]") {
  Sleeper sleeper;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  const std::string& state = sleeper.node.state();
  ChildProcess bringer([&] {
    const std::optional<TaskId> task = wait_for_call(state);
    if (!task) return 1;
    const Bytes order = sleeper.node.order(*task);
    Bytes forged = order;
    forged.back() ^= 1;
    if (import_order(state, forged).code() != Code::signature_wrong) return 2;
    if (import_order(state, Bytes(limits::kOrderFileBytesMax + 1, 'x')).code() != Code::too_large)
      return 3;
    TaskId other = *task;
    other.bytes[0] ^= 1;
    if (import_order(state, sleeper.node.order(other)).code() != Code::unknown_task) return 4;
    if (task_show(state, *task)->state != TaskState::active) return 5;
    const auto ordered = import_order(state, order);
    return ordered.ok() && ordered->task == *task && !ordered->over ? 0 : 6;
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(bringer.wait() == 0);
  CHECK(report.state == TaskState::revoked);
  CHECK(report.reason == EndReason::operator_kill);
  check_killed(sleeper, report, file);
  const auto again = import_order(state, sleeper.node.order(report.task));
  REQUIRE(again.ok());
  CHECK(again->over);
  const auto orders = told(state, report.task, "order");
  REQUIRE(orders.size() == 1);
  CHECK(orders[0].find(R"("why":"its host was stolen")") != std::string::npos);
}

TEST_CASE("garbage on control.sock is answered and changes nothing", "[broker][ends]") {
  Sleeper sleeper;
  sleeper.capsule.lease_ttl_ms = sleeper.capsule.lease_idle_ms = 2500;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  ChildProcess stranger([&] {
    const std::optional<TaskId> task = wait_for_call(sleeper.node.state());
    if (!task) return 1;
    const auto unknown =
        ask_owner(sleeper.node.state(), {.verb = ControlVerb::unset, .task = *task});
    if (!unknown.ok() || unknown->code != Code::message_malformed) return 2;
    const auto shown = ask_owner(sleeper.node.state(), {.verb = ControlVerb::show, .task = *task});
    return shown.ok() && shown->code == Code::ok ? 0 : 3;
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(stranger.wait() == 0);
  CHECK(report.reason == EndReason::ttl);
}

TEST_CASE("a task id gives a stranger nothing", "[broker][ends][R8]") {
  if (::geteuid() != 0) return;  // another user is needed
  Sleeper sleeper;
  sleeper.capsule.lease_ttl_ms = sleeper.capsule.lease_idle_ms = 2500;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  ChildProcess stranger([&] {
    const std::optional<TaskId> task = wait_for_call(sleeper.node.state());
    if (!task || ::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
      return 1;
    if (task_cancel(sleeper.node.state(), *task).ok()) return 2;
    if (ask_owner(sleeper.node.state(), {.verb = ControlVerb::cancel, .task = *task}).ok())
      return 3;
    return task_show(sleeper.node.state(), *task).ok() ? 4 : 0;
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(stranger.wait() == 0);
  CHECK(report.reason == EndReason::ttl);
}

TEST_CASE("SIGINT and SIGTERM cancel", "[broker][ends]") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  Sleeper sleeper;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  const pid_t runner = ::getpid();
  ChildProcess presser([&] {
    if (!wait_for_call(sleeper.node.state())) return 1;
    return ::kill(runner, signal);
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(presser.wait() == 0);
  CHECK(report.state == TaskState::cancelled);
  check_killed(sleeper, report, file);
}

TEST_CASE("a state has one owner", "[broker][ends]") {
  Sleeper sleeper;
  sleeper.capsule.lease_ttl_ms = sleeper.capsule.lease_idle_ms = 2500;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  ChildProcess second([&] {
    if (!wait_for_call(sleeper.node.state())) return 1;
    if (run(sleeper.node.options(file)).code() != Code::state_locked) return 2;
    if (import_root(sleeper.node.state(), {}, {}).code() != Code::state_locked) return 3;
    return audit_export(sleeper.node.state(), {}).ok() ? 0 : 4;
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(second.wait() == 0);
  CHECK(report.reason == EndReason::ttl);
}

TEST_CASE("a live task without an owner is cancelled by the asker", "[broker][ends][R51]") {
  Sleeper sleeper;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  std::optional<TaskId> task;
  {
    ChildProcess runner([&] { return run(sleeper.node.options(file)).ok() ? 0 : 1; });
    task = wait_for_call(sleeper.node.state());
    REQUIRE(task);
    runner.kill_now();
    CHECK(runner.wait() == 128 + SIGKILL);
  }
  for (int i = 0; i < 300 && testing::processes_with(sleeper.seconds) > 0; ++i) pause_ms(10);
  CHECK(testing::processes_with(sleeper.seconds) == 0);
  REQUIRE(task_cancel(sleeper.node.state(), *task).ok());
  const auto shown = task_show(sleeper.node.state(), *task);
  REQUIRE(shown.ok());
  CHECK(shown->state == TaskState::cancelled);
  CHECK(run(sleeper.node.options(file)).code() == Code::activations_spent);
}

TEST_CASE("the owner ends what an earlier owner left live", "[broker][ends][R11]") {
  Sleeper sleeper;
  capsules::Capsule left = sleeper.capsule;
  left.serial += 1000;
  const std::string left_file = sleeper.node.sign(left);
  std::optional<TaskId> task;
  {
    ChildProcess runner([&] { return run(sleeper.node.options(left_file)).ok() ? 0 : 1; });
    task = wait_for_call(sleeper.node.state());
    REQUIRE(task);
  }
  sleeper.capsule.lease_ttl_ms = sleeper.capsule.lease_idle_ms = 2500;
  const std::string file = sleeper.node.sign(sleeper.capsule);
  ChildProcess canceller([&] {
    for (int i = 0; i < 200; ++i, pause_ms(10)) {
      const Result<ControlReply> reply =
          ask_owner(sleeper.node.state(), {.verb = ControlVerb::cancel, .task = *task});
      if (reply.ok()) return reply->code == Code::ok ? 0 : 1;
    }
    return 2;
  });
  const RunReport report = run_whole(sleeper.node.options(file));
  CHECK(canceller.wait() == 0);
  CHECK(report.task != *task);
  CHECK(report.reason == EndReason::ttl);
  const auto shown = task_show(sleeper.node.state(), *task);
  REQUIRE(shown.ok());
  CHECK(shown->state == TaskState::cancelled);
}

TEST_CASE("the node's tools run with every network down", "[broker][ends][R55]") {
  NodeForTests node;
  node.write("in.txt", "offline");
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  capsule.plan.steps = {
      plan_step("a", "file.read", "{\"path\":\"" + node.data() + "/in.txt\"}"),
      plan_step("b", "file.read", R"({"path":"/etc/passwd"})", {}, capsules::OnError::carry_on)};
  const std::string file = node.sign(capsule);
  ChildProcess offline([&] {
    // Only root may leave the network alone; an ordinary user's cells have none anyway.
    if (::geteuid() == 0 && ::unshare(CLONE_NEWNET) != 0) return 1;
    const Result<RunReport> report = run(node.options(file));
    if (!report.ok()) return 2;
    if (report->state != TaskState::completed || report->steps.size() != 2) return 3;
    return report->steps[0].outcome == "done" && report->steps[1].verdict == "deny" ? 0 : 4;
  });
  CHECK(offline.wait() == 0);
}

}  // namespace
}  // namespace taper::broker
