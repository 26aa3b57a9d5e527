// A whole run on a disk that fills up under it. What this does to you: mounts a small file system
// in a mount namespace of its own and fills it to the last block.
#include <catch2/catch.hpp>
#include <filesystem>

#include "runtime/broker/embedded.h"
#include "store/audit_verify.h"
#include "tests/support/child_process.h"
#include "tests/support/node_for_tests.h"
#include "tests/support/scratch_directory.h"
#include "tests/support/small_disk.h"

namespace taper::broker {
namespace {

using authority::TaskState;
using testing::NodeForTests;
using testing::plan_step;

constexpr unsigned kDiskMegabytes = 40;
constexpr std::size_t kLarge = 4000;  // of an argument, which the log keeps
constexpr int kSteps = 24;
constexpr int kRunsMost = 60;

capsules::Capsule long_plan(NodeForTests& node) {
  capsules::Capsule capsule = node.capsule();
  capsule.grants = {node.grant({.tool = "file.append",
                                .paths = {"path"},
                                .any = {"content"},
                                .effect = capsules::Effect::write})};
  capsule.log_all_arguments = true;
  capsule.log_quota_bytes = std::uint64_t{64} << 20U;
  capsule.plan.inputs = {"text"};
  for (int i = 0; i < kSteps; ++i)
    capsule.plan.steps.push_back(
        plan_step("s" + std::to_string(i), "file.append",
                  R"({"content":{"$input":"text"},"path":")" + node.data() + "/out\"}", {},
                  capsules::OnError::carry_on));
  return capsule;
}

RunOptions options_of(const NodeForTests& node, const std::string& capsule) {
  RunOptions options = node.options(capsule);
  options.inputs = {{"text", std::string(kLarge, 'x')}};
  return options;
}

bool log_verifies(const NodeForTests& node) {
  const Result<Bytes> log = audit_export(node.state(), std::nullopt);
  return log.ok() && store::verify_log(*log, {.node = node.record().sign,
                                              .incarnation = node.record().incarnation,
                                              .log_key_0 = node.record().log_key_0,
                                              .nonce = std::nullopt})
                         .ok();
}

// 0, or the number of the check that failed.
int fill_up_under_runs(const std::string& disk) {
  NodeForTests node(disk);
  int steps = 0;
  Code code = Code::ok;
  for (int i = 0; i < kRunsMost && code != Code::store_full; ++i) {
    const std::string file = node.sign(long_plan(node));
    RunOptions options = options_of(node, file);
    options.on_step = [&](const StepReport&) {
      if (++steps == 2 && !testing::fill_disk(disk + "/filler")) ::_exit(2);
    };
    code = run(options).code();
  }
  // Permits stop with a number; the task that met it waits.
  if (code != Code::store_full || !log_verifies(node)) return 3;
  int live = 0;
  const auto tasks = task_list(node.state());
  if (!tasks.ok()) return 10;
  for (const authority::TaskView& task : *tasks) {
    if (authority::is_terminal(task.state)) continue;
    ++live;
    if (!task_show(node.state(), task.task).ok()) return 4;
    if (!task_cancel(node.state(), task.task).ok()) return 5;
    if (task_show(node.state(), task.task)->state != TaskState::cancelled) return 6;
  }
  if (live > 1 || !log_verifies(node)) return 7;
  const std::string refused = node.sign(long_plan(node));
  if (run(options_of(node, refused)).code() != Code::store_full) return 8;
  std::filesystem::remove(disk + "/filler");
  const std::string last = node.sign(long_plan(node));
  const Result<RunReport> done = run(options_of(node, last));
  return done.ok() && done->state == TaskState::completed ? 0 : 9;
}

TEST_CASE("on a full disk tasks still stop and show, and go on when there is room",
          "[broker][crash][R50]") {
  const testing::ScratchDirectory mount;
  testing::ChildProcess child([&] {
    if (!testing::enter_small_disk(mount.path(), kDiskMegabytes)) return 100;
    return fill_up_under_runs(mount.path());
  });
  CHECK(child.wait() == 0);
}

}  // namespace
}  // namespace taper::broker
