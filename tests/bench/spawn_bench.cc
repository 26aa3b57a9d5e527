// A sandboxed /bin/true, all layers, from the permit to the report that every process of the cell
// is gone, beside a bare posix_spawn of the same program and beside bubblewrap with its usual
// flags.
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <initializer_list>
#include <memory>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/sandbox/spawner.h"
#include "tests/bench/rows.h"
#include "tests/support/child_process.h"
#include "tests/support/permit_for_tests.h"

namespace taper::bench {
namespace {

constexpr const char* kRow = "sandboxed /bin/true";
constexpr std::int64_t kDeadlineMs = 60'000;

int run_plain(std::initializer_list<const char*> words) {
  std::vector<char*> argv;
  for (const char* word : words) argv.push_back(const_cast<char*>(word));
  argv.push_back(nullptr);
  pid_t pid = 0;
  if (::posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0) return -1;
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status;
}

authority::PermitFacts facts_for(const sandbox::Program& program) {
  authority::PermitFacts facts;
  facts.task.bytes[0] = 1;
  facts.tool = "true";
  facts.kind = authority::ToolKind::command;
  facts.argv = {"/bin/true"};
  facts.program = program.hash();
  facts.deadline_boot_ms = SystemClock().now().boot_ms + kDeadlineMs;
  return facts;
}

// One run to its report and to the confirmed death of its cell.
bool run_cell(sandbox::Spawner& spawner, const sandbox::Program& program) {
  authority::PermitFacts facts = facts_for(program);
  const TaskId task = facts.task;
  if (!spawner.run(testing::permit_for_tests(std::move(facts)), &program).ok()) return false;
  bool done = false;
  while (!done || spawner.cells_alive(task) != 0) {
    pollfd wait{spawner.wait_fd(), POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(kDeadlineMs)) <= 0) return false;
    const auto reports = spawner.poll();
    if (!reports.ok()) return false;
    for (const sandbox::RunReport& report : *reports) {
      if (report.end != sandbox::RunEnd::done) return false;
      done = true;
    }
  }
  return true;
}

void bench_ours(benchmark::State& state) {
  auto spawner = sandbox::Spawner::launch(std::string(TAPER_BIN_DIR) + "/taper-spawnd");
  const auto program = sandbox::Program::load("/bin/true");
  if (!spawner.ok() || !program.ok()) {
    state.SkipWithError("no spawner");
    return;
  }
  for (auto _ : state) {
    if (!run_cell(**spawner, *program)) {
      state.SkipWithError("the cell did not run");
      return;
    }
    (void)(*spawner)->beat();
  }
}

constexpr const char* kMarker = "taper-bench-swarm";
// They fork again and again and ignore what can be ignored.
constexpr const char* kForker = TAPER_BIN_DIR "/hostile_forker";
constexpr int kDaemons = 100;
constexpr int kLooks = 200;

// Whether the daemons are there, told by the host; a machine too slow for that has no figure.
bool grown(sandbox::Spawner& spawner) {
  for (int i = 0; i < kLooks; ++i) {
    if (testing::processes_with(kMarker) >= kDaemons) return true;
    (void)spawner.beat();
    testing::pause_ms(20);
  }
  return false;
}

// From the kill to the report that the cell's whole process tree is gone.
void bench_kill(benchmark::State& state) {
  auto spawner = sandbox::Spawner::launch(std::string(TAPER_BIN_DIR) + "/taper-spawnd");
  const auto program = sandbox::Program::load(kForker);
  if (!spawner.ok() || !program.ok()) return state.SkipWithError("no spawner");
  for (auto _ : state) {
    state.PauseTiming();
    authority::PermitFacts facts = facts_for(*program);
    facts.argv = {kForker, kMarker, std::to_string(kDaemons)};
    const TaskId task = facts.task;
    if (!(*spawner)->run(testing::permit_for_tests(std::move(facts)), &*program).ok())
      return state.SkipWithError("the cell did not run");
    if (!grown(**spawner)) return state.SkipWithError("the daemons did not come");
    state.ResumeTiming();
    if (!(*spawner)->kill_task(task).ok()) return state.SkipWithError("not killed");
    while ((*spawner)->cells_alive(task) != 0) {
      pollfd wait{(*spawner)->wait_fd(), POLLIN, 0};
      if (::poll(&wait, 1, static_cast<int>(kDeadlineMs)) <= 0 || !(*spawner)->poll().ok())
        return state.SkipWithError("no report");
    }
    state.PauseTiming();
    if (testing::processes_with(kMarker) != 0) state.SkipWithError("some are left");
    state.ResumeTiming();
  }
}

}  // namespace

void register_spawn() {
  add("kill a task with 100 daemons", Side::ours, "kill_task() to the report",
      "<= 10 ms, none left", bench_kill);
  add(kRow, Side::ours, "taper cell, cold", "<= 2100 us, <= 0.65 x bubblewrap", bench_ours);
  add(kRow, Side::floor, "posix_spawn", "", [](benchmark::State& state) {
    for (auto _ : state) {
      if (run_plain({"/bin/true"}) != 0) state.SkipWithError("posix_spawn failed");
    }
  });
  add(kRow, Side::peer, "bubblewrap --unshare-all", "", [](benchmark::State& state) {
    for (auto _ : state) {
      if (run_plain({"/usr/bin/bwrap", "--ro-bind",     "/usr",
                     "/usr",           "--symlink",     "usr/lib",
                     "/lib",           "--symlink",     "usr/lib64",
                     "/lib64",         "--symlink",     "usr/bin",
                     "/bin",           "--proc",        "/proc",
                     "--dev",          "/dev",          "--tmpfs",
                     "/tmp",           "--unshare-all", "--die-with-parent",
                     "--clearenv",     "/bin/true"}) != 0) {
        state.SkipWithError("bwrap failed");
        return;
      }
    }
  });
}

}  // namespace taper::bench
