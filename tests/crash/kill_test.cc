// What this does to a run: SIGKILLs it, with no warning, as soon as its log has grown to N records,
// for every N that a whole run reaches; then runs the same capsule again. Cells and spawner die
// with it. Nothing here drops unsynced data: that is for a power cut, not for a kill.
#include <csignal>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <sstream>

#include "runtime/broker/embedded.h"
#include "store/audit_verify.h"
#include "store/store.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"

namespace taper::broker {
namespace {

using authority::CallState;
using authority::TaskState;
using authority::TaskView;
using testing::ChildProcess;
using testing::NodeForTests;
using testing::plan_step;

constexpr int kSteps = 9;
constexpr std::int64_t kCalls = kSteps;  // of the budget: no append may be charged twice

std::uint64_t log_size(const NodeForTests& node) {
  const auto store = store::open_state({.directory = node.state(),
                                        .origin = authority::log_origin(node.record()),
                                        .read_only = true});
  if (!store.ok()) return 0;
  const auto head = (*store)->log_head();
  return head.ok() ? head->size : 0;
}

// One line an append, so that effects can be counted in the file.
capsules::Capsule appender(NodeForTests& node) {
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.append",
                                .paths = {"path"},
                                .any = {"content"},
                                .calls = kCalls,
                                .effect = capsules::Effect::write}),
                    node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  for (int i = 0; i < kSteps; ++i) {
    const std::string id = "s" + std::to_string(i);
    capsule.plan.steps.push_back(
        plan_step(id, "file.append",
                  "{\"content\":\"" + id + "\\n\",\"path\":\"" + node.data() + "/out.txt\"}", {},
                  capsules::OnError::carry_on));
  }
  capsule.plan.steps.push_back(plan_step("read", "file.read",
                                         "{\"path\":\"" + node.data() + "/out.txt\"}", {},
                                         capsules::OnError::carry_on));
  return capsule;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::int64_t calls_left(const TaskView& task) {
  for (const TaskView::GrantView& grant : task.grants)
    if (grant.tool == "file.append") return grant.left.calls.value_or(-1);
  return -1;
}

void check_log(const NodeForTests& node) {
  const Result<Bytes> log = audit_export(node.state(), std::nullopt);
  REQUIRE(log.ok());
  const auto verified = store::verify_log(*log, {.node = node.record().sign,
                                                 .incarnation = node.record().incarnation,
                                                 .log_key_0 = node.record().log_key_0,
                                                 .nonce = std::nullopt});
  INFO((verified.ok() ? "" : to_line(verified.error())));
  CHECK(verified.ok());
}

// Every effect was charged, no step had its effect twice, the budget holds.
void check_effects(const NodeForTests& node, const TaskView& task) {
  const std::vector<std::string> lines = lines_of(node.read("out.txt"));
  const std::set<std::string> distinct(lines.begin(), lines.end());
  CHECK(distinct.size() == lines.size());
  const std::int64_t charged = kCalls - calls_left(task);
  CHECK(static_cast<std::int64_t>(lines.size()) <= charged);
  CHECK(charged <= kCalls);
}

// What a later life may do is never more than what the earlier one might have.
void check_no_growth(const TaskView& before, const TaskView& after) {
  CHECK(before.task == after.task);
  CHECK(before.capsule == after.capsule);
  CHECK(before.ttl_ms == after.ttl_ms);
  CHECK(before.not_after_s == after.not_after_s);
  // Of an ending task the view still counts on; what was committed is less.
  if (before.state == TaskState::active) CHECK(after.active_ms >= before.active_ms);
  CHECK(after.denials >= before.denials);
  CHECK(calls_left(after) <= calls_left(before));
}

// Runs in a child until the log has `records`; then the child is dead. False when it ended first.
bool kill_at(const NodeForTests& node, const std::string& file, std::uint64_t records) {
  ChildProcess child([&] {
    RunOptions options = node.options(file);
    options.on_step = [](const StepReport&) { testing::pause_ms(2); };
    return run(options).ok() ? 0 : 1;
  });
  while (child.running()) {
    if (log_size(node) < records) continue;
    child.kill_now();
    return child.wait() == 128 + SIGKILL;
  }
  return false;
}

TaskView only_task(const NodeForTests& node) {
  const auto tasks = task_list(node.state());
  REQUIRE(tasks.ok());
  REQUIRE(tasks->size() == 1);
  auto shown = task_show(node.state(), tasks->front().task);
  REQUIRE(shown.ok());
  return std::move(shown).value();
}

std::uint64_t whole_run_records() {
  NodeForTests node;
  const std::string file = node.sign(appender(node));
  const std::uint64_t before = log_size(node);
  REQUIRE(run(node.options(file)).ok());
  return log_size(node) - before;
}

// One run killed at `point`, the next one whole, and what must hold of both. False when the first
// was over before it could be killed.
bool kill_and_run_again(std::uint64_t point) {
  NodeForTests node;
  const std::string file = node.sign(appender(node));
  const bool killed = kill_at(node, file, log_size(node) + point);
  const auto left = task_list(node.state());
  REQUIRE(left.ok());
  std::optional<TaskView> before;
  if (!left->empty()) before = only_task(node);

  const Result<RunReport> again = run(node.options(file));
  const TaskView after = only_task(node);
  CHECK(authority::is_terminal(after.state));
  if (!before) {
    REQUIRE(again.ok());
    CHECK_FALSE(again->resumed);
  } else if (before->state == TaskState::active) {
    REQUIRE(again.ok());
    CHECK(again->resumed);
    CHECK(again->state == TaskState::completed);
  } else {
    CHECK(again.code() == Code::activations_spent);
  }
  if (before) check_no_growth(*before, after);
  check_effects(node, after);
  CHECK(run(node.options(file)).code() == Code::activations_spent);
  CHECK(node.kept_results() == 0);
  check_log(node);
  return killed;
}

TEST_CASE("kill -9 at every journal point, then the same capsule again",
          "[broker][crash][R15][R50][R53]") {
  const std::uint64_t records = whole_run_records();
  REQUIRE(records >= 20);
  std::size_t killed = 0;
  for (std::uint64_t point = 0; point < records; ++point) {
    INFO("killed at record " << point << " of " << records);
    // On a busy machine a run may be over before it is seen at its point.
    for (int attempt = 0; attempt < 3; ++attempt) {
      if (!kill_and_run_again(point)) continue;
      ++killed;
      break;
    }
  }
  CHECK(killed >= 20);
}

TEST_CASE("killed again and again, a task still ends within its budget", "[broker][crash][R50]") {
  NodeForTests node;
  const std::string file = node.sign(appender(node));
  std::optional<TaskView> before;
  for (int life = 0; life < 12; ++life) {
    if (!kill_at(node, file, log_size(node) + 3)) break;
    const auto tasks = task_list(node.state());
    REQUIRE(tasks.ok());
    if (tasks->empty()) continue;
    const TaskView after = only_task(node);
    if (before) check_no_growth(*before, after);
    check_effects(node, after);
    before = after;
  }
  (void)run(node.options(file));
  const TaskView last = only_task(node);
  CHECK(authority::is_terminal(last.state));
  check_effects(node, last);
  check_log(node);
}

}  // namespace
}  // namespace taper::broker
