#include <csignal>
#include <cstdio>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "store/store.h"
#include "tests/crash/sweep/scenario.h"

namespace taper::crash {
namespace {

Status run_capsule(World& world, const std::string& capsule) {
  const Result<broker::RunReport> report = broker::run(world.options(capsule));
  return report.ok() ? success() : Status(report.error());
}

Status run_sample(World& world) { return run_capsule(world, world.capsule()); }

// An operator stops the run from outside while it is under way.
Status stop_sample(World& world) {
  broker::RunOptions options = world.options(world.capsule());
  options.on_step = [&world, note = options.on_step](const broker::StepReport& report) {
    note(report);
    if (world.shared().reported == kStopAfter) ::raise(SIGTERM);
  };
  const Result<broker::RunReport> report = broker::run(options);
  return report.ok() ? success() : Status(report.error());
}

Status cancel_task(World& world) {
  TAPER_TRY(const auto tasks, broker::task_list(world.state()));
  for (const authority::TaskView& task : tasks)
    if (!authority::is_terminal(task.state))
      TAPER_CHECK(broker::task_cancel(world.state(), task.task));
  return success();
}

// A run that dies half way: its task waits for the next one.
void break_off(World& world) {
  world.shared().plan.kind = fault_none;
  world.shared().plan.at = 0;
  world.run([&world] { return run_sample(world); });
  const std::uint64_t half = world.shared().plan.count / 2;
  world.put_back();
  world.shared().plan.kind = fault_kill;
  world.shared().plan.at = half;
  world.run([&world] { return run_sample(world); });
}

// Stands one commit before the log's key is replaced, as far as a run's commits go.
void fill_epoch(World& world) {
  const auto store = store::open_state({.directory = world.state(),
                                        .origin = authority::log_origin(world.node().record()),
                                        .read_only = false});
  TAPER_ASSERT(store.ok());
  for (std::uint32_t i = 0; i + 12 < limits::kLogKeyCommits; ++i) {
    const auto written = store.value()->write([](store::WriteTxn& txn) -> Status {
      TAPER_CHECK(txn.append(store::LeafType::refusals, "{}"));
      return success();
    });
    TAPER_ASSERT(written.ok());
  }
}

// Another capsule under the serial of the one that ran, beside it: both have one name when signed.
void run_and_make_twin(World& world) {
  world.shared().plan.at = 0;
  world.run([&world] { return run_sample(world); });
  const auto first = read_file(world.capsule(), limits::kCapsuleBytesMax);
  capsules::Capsule twin = sample_plan(world.node());
  twin.serial = 1;
  twin.purpose = "another";
  const std::string path = world.node().sign(twin);
  TAPER_ASSERT(path == world.capsule());
  TAPER_ASSERT(::rename(path.c_str(), (path + ".twin").c_str()) == 0);
  TAPER_ASSERT(first.ok() && create_file(path, *first, 0644).ok());
}

Status refuse_two(World& world) {
  const Status spent = run_sample(world);
  if (spent.code() != Code::activations_spent) return Error(Code::internal);
  const Status twin = run_capsule(world, world.capsule() + ".twin");
  return twin.code() == Code::serial_reused ? success() : Status(Error(Code::internal));
}

Status be_born(World& world) {
  TAPER_CHECK(broker::node_init(world.state(), "test node"));
  TAPER_CHECK(broker::import_root(world.state(), world.node().root_file(), {}));
  return success();
}

Status import_again(World& world) {
  TAPER_CHECK(broker::import_root(world.state(), world.node().root_file(), {}));
  return success();
}

}  // namespace

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = {
      {"plan", [](World&) {}, run_sample, run_sample},
      {"stop", [](World&) {}, stop_sample, run_sample},
      {"again", break_off, run_sample, run_sample},
      {"cancel", break_off, cancel_task, cancel_task},
      {"epoch", fill_epoch, run_sample, run_sample},
      {"refused", run_and_make_twin, refuse_two, refuse_two},
      {"birth", [](World& world) { world.forget_state(); }, be_born, import_again},
  };
  return all;
}

}  // namespace taper::crash
