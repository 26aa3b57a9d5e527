// Process 1 of a cell, and the last instructions of ours in the tool's process.
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "runtime/sandbox/builtin/worker.h"
#include "runtime/sandbox/cell.h"
#include "runtime/sandbox/system.h"

namespace taper::sandbox {
namespace {

[[noreturn]] void leave_refused(const CellPlan& plan, const Error& error) {
  leave(plan, gone_refused(0, error));
}

[[noreturn]] void execute(CellPlan& plan) {
  std::vector<char*> environment;
  std::array<std::string, 4> usual = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TZ=UTC"};
  for (std::string& word : plan.order.env) environment.push_back(word.data());
  for (std::string& word : usual) {
    const bool other = std::ranges::any_of(plan.order.env, [&](const std::string& own) {
      return own.starts_with(word.substr(0, word.find('=') + 1));
    });
    if (!other) environment.push_back(word.data());
  }
  environment.push_back(nullptr);
  std::vector<char*> argv;
  const bool agent = plan.order.kind == authority::ToolKind::agent;
  std::string helper = agent ? kAgentHelper : kUpstreamHelper;
  if (plan.fds.helper >= 0) argv.push_back(helper.data());
  for (std::string& word : plan.order.argv) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execveat(plan.fds.helper >= 0 ? plan.fds.helper : plan.fds.program, "", argv.data(),
             environment.data(), AT_EMPTY_PATH);
  const int error_number = errno;
  leave_refused(plan, Error(Code::sandbox_setup, {.field = "exec",
                                                  .expected = "",
                                                  .got = os_error("", error_number).detail().got,
                                                  .fix = ""}));
}

[[noreturn]] void run_tool(CellPlan& plan, const CellSteps& steps) {
  const Status ready = run_steps(steps.tool, plan);
  if (!ready.ok()) leave_refused(plan, ready.error());
  if (plan.order.kind != authority::ToolKind::builtin) execute(plan);
  plan.status.reset();
  ::_exit(serve_builtins(plan.fds.socket, plan.order.trees));
}

Result<Fd> deadline_timer(std::int64_t deadline_boot_ms) {
  Fd timer(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC));
  if (!timer) return os_error("timerfd_create", errno);
  const std::int64_t at = std::max<std::int64_t>(deadline_boot_ms, 1);  // zero would disarm it
  itimerspec when{};
  when.it_value.tv_sec = at / 1000;
  when.it_value.tv_nsec = at % 1000 * 1'000'000;
  if (::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &when, nullptr) != 0) {
    return os_error("timerfd_settime", errno);
  }
  return timer;
}

Result<Fd> child_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return os_error("sigprocmask", errno);
  Fd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return os_error("signalfd", errno);
  return signals;
}

// Reaps whatever ended. When the tool did, the cell is over: what it left behind dies with us.
void reap(const CellPlan& plan, pid_t tool) {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (pid <= 0) return;
    if (pid != tool) continue;
    CellGone gone;
    gone.end = WIFSIGNALED(status) ? CellEnd::signalled : CellEnd::exited;
    gone.value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    leave(plan, gone);
  }
}

[[noreturn]] void watch(const CellPlan& plan, pid_t tool, const Fd& signals, const Fd& timer) {
  std::array<pollfd, 3> waits = {pollfd{plan.fds.lifeline, POLLIN, 0},
                                 pollfd{timer.get(), POLLIN, 0}, pollfd{signals.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) ::_exit(1);
    if (waits[0].revents != 0) ::_exit(1);
    if (waits[1].revents != 0) {
      CellGone gone;
      gone.end = CellEnd::deadline;
      leave(plan, gone);
    }
    signalfd_siginfo drained{};
    while (::read(signals.get(), &drained, sizeof drained) > 0) {
    }
    reap(plan, tool);
  }
}

}  // namespace

void run_init(CellPlan& plan, const CellSteps& steps) {
  Result<Fd> timer = deadline_timer(plan.order.deadline_boot_ms);
  if (!timer.ok()) leave_refused(plan, timer.error());
  Result<Fd> signals = child_signals();
  if (!signals.ok()) leave_refused(plan, signals.error());
  const pid_t tool = ::fork();
  if (tool < 0) leave_refused(plan, os_error("fork", errno));
  if (tool == 0) run_tool(plan, steps);
  // Ends of pipes and of the request socket must close when the tool's processes are gone.
  const Status closed =
      close_all_but({plan.fds.lifeline, plan.status.get(), timer->get(), signals->get()});
  if (!closed.ok()) leave_refused(plan, closed.error());
  watch(plan, tool, *signals, *timer);
}

}  // namespace taper::sandbox
