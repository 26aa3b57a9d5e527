#include "runtime/sandbox/spawnd.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>

#include "runtime/sandbox/cell.h"
#include "runtime/sandbox/system.h"
#include "runtime/sandbox/wire.h"

namespace taper::sandbox {
namespace {

// Rounded up: nothing runs for no time.
std::uint64_t cpu_ms_of(const rusage& used) {
  const auto us_of = [](const timeval& time) { return time.tv_sec * 1'000'000 + time.tv_usec; };
  return static_cast<std::uint64_t>(us_of(used.ru_utime) + us_of(used.ru_stime)) / 1000 + 1;
}

struct RunningCell {
  StartedCell cell;
  bool killed = false;
};

class Spawnd {
 public:
  struct Parts {
    Fd socket;
    Fd null;
    Fd lifeline;  // the end that cells read
    Fd silence;   // a timer; it does not count suspend, in which nobody is silent
  };
  explicit Spawnd(Parts parts) : parts_(std::move(parts)) {}

  // Until the broker is gone.
  void serve() {
    while (alive_) wait();
  }

  void kill_all() {
    for (auto& [id, running] : cells_) kill_cell(running);
    for (auto& [id, running] : cells_) collect(id, running);
    cells_.clear();
  }

 private:
  void wait() {
    std::vector<pollfd> waits = {{parts_.socket.get(), POLLIN, 0},
                                 {parts_.silence.get(), POLLIN, 0}};
    const std::size_t first = waits.size();
    std::vector<std::uint64_t> ids;
    for (const auto& [id, running] : cells_) {
      waits.push_back({running.cell.pidfd.get(), POLLIN, 0});
      ids.push_back(id);
    }
    if (::poll(waits.data(), waits.size(), -1) <= 0) return;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (waits[first + i].revents == 0) continue;
      const auto found = cells_.find(ids[i]);
      tell(collect(found->first, found->second), {});
      cells_.erase(found);
      if (cells_.empty()) heard();
    }
    if (waits[0].revents != 0) return hear();
    if (waits[1].revents != 0) alive_ = false;
  }

  // Without cells there is nothing to kill, and nobody to speak to.
  void heard() {
    itimerspec when{};
    if (!cells_.empty()) {
      when.it_value.tv_sec = limits::kBrokerSilenceMs / 1000;
      when.it_value.tv_nsec = limits::kBrokerSilenceMs % 1000 * 1'000'000;
    }
    if (::timerfd_settime(parts_.silence.get(), 0, &when, nullptr) != 0) alive_ = false;
  }

  void hear() {
    for (;;) {
      Result<std::optional<Packet>> packet = receive_packet(parts_.socket.get());
      if (!packet.ok()) alive_ = false;
      if (!packet.ok() || !packet->has_value()) return;
      Result<Order> order = decode_order((*packet)->bytes);
      if (!order.ok()) {
        alive_ = false;
        return;
      }
      if (auto* cell = std::get_if<CellOrder>(&*order)) start(std::move(*cell), (*packet)->fds);
      if (const auto* kill = std::get_if<KillOrder>(&*order)) {
        for (const std::uint64_t id : kill->cells) {
          const auto found = cells_.find(id);
          if (found != cells_.end()) kill_cell(found->second);
        }
      }
      heard();
    }
  }

  void start(CellOrder order, const std::vector<Fd>& fds) {
    const std::uint64_t id = order.cell;
    Result<StartedCell> cell = try_start(std::move(order), fds);
    if (!cell.ok()) {
      Error error = cell.error();
      if (error.code() == Code::os_failure) {
        error = Error(
            Code::sandbox_setup,
            {.field = error.detail().field, .expected = "", .got = error.detail().got, .fix = ""});
      }
      tell(gone_refused(id, error), {});
      return;
    }
    const std::array<int, 1> passed = {cell->pidfd.get()};
    tell(CellStarted{id}, passed);
    cells_.emplace(id, RunningCell{std::move(*cell)});
    static_cast<void>(have_network());
  }

  // A network namespace in which nobody is but us, and we use none.
  bool have_network() {
    network_is_fresh_ = network_is_fresh_ || ::unshare(CLONE_NEWNET) == 0;
    return network_is_fresh_;
  }

  Result<StartedCell> try_start(CellOrder order, const std::vector<Fd>& fds) {
    const bool builtin = order.kind == authority::ToolKind::builtin;
    // One that was sent its death has given its place away already.
    const auto alive =
        std::ranges::count_if(cells_, [](const auto& entry) { return !entry.second.killed; });
    if (cells_.contains(order.cell) || cells_.size() >= 2 * limits::kCellsMax ||
        static_cast<std::size_t>(alive) >= limits::kCellsMax ||
        fds.size() !=
            (builtin ? 1U : 3U) + (order.secrets.empty() ? 0U : 1U) + order.entry.size()) {
      return Error(Code::message_malformed,
                   {.field = "cell order", .expected = "", .got = "", .fix = ""});
    }
    CellPlan plan;
    plan.order = std::move(order);
    plan.starter = starter();
    plan.fds.null = parts_.null.get();
    plan.fds.lifeline = parts_.lifeline.get();
    take_fds(fds, plan);
    if (plan.starter == Starter::root) {
      for (const authority::GrantedTree& tree : plan.order.trees) {
        TAPER_TRY(Fd mount, open_tree_source(tree, &idmaps_));
        plan.trees.push_back(std::move(mount));
      }
    }
    plan.network = have_network() ? Network::handed_over : Network::made;
    network_is_fresh_ = false;  // whether or not the cell comes to life
    return start_cell(std::move(plan), steps_);
  }

  static void take_fds(const std::vector<Fd>& fds, CellPlan& plan) {
    const bool command = plan.order.kind == authority::ToolKind::command;
    if (fds.size() == 1) {
      plan.fds.socket = fds[0].get();
      return;
    }
    plan.fds.program = fds[0].get();
    (command ? plan.fds.out : plan.fds.socket) = fds[1].get();
    (command ? plan.fds.err : plan.fds.helper) = fds[2].get();
    const std::size_t entry = fds.size() - plan.order.entry.size();
    if (entry > 3) plan.fds.secrets = fds[3].get();
    for (std::size_t i = entry; i < fds.size(); ++i) plan.fds.entry.push_back(fds[i].get());
  }

  static void kill_cell(RunningCell& running) {
    running.killed = true;
    // Its pid cannot be another's: we have not waited for it yet.
    ::kill(running.cell.pid, SIGKILL);
  }

  // Waits until the cell's last process is gone.
  static CellGone collect(std::uint64_t id, const RunningCell& running) {
    rusage used{};
    while (::wait4(running.cell.pid, nullptr, __WALL, &used) < 0 && errno == EINTR) {
    }
    CellGone gone = read_status(running.cell.status.get());
    gone.cell = id;
    gone.cpu_ms = cpu_ms_of(used);
    if (gone.end == CellEnd::lost && running.killed) gone.end = CellEnd::killed;
    return gone;
  }

  void tell(const News& news, std::span<const int> fds) {
    // News are small and few: a full socket means a broker that does not read.
    Bytes bytes = encode_news(news);
    if (send_packet(parts_.socket.get(), bytes, fds) != Sent::sent) alive_ = false;
  }

  Parts parts_;
  Idmaps idmaps_;
  const CellSteps steps_ = cell_steps();
  std::map<std::uint64_t, RunningCell> cells_;
  bool network_is_fresh_ = false;
  bool alive_ = true;
};

// Whatever started us may have left signals blocked or ignored, a narrow umask, groups.
bool settle() {
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < NSIG; ++number) {
    if (number != SIGKILL && number != SIGSTOP) ::signal(number, SIG_DFL);
  }
  ::umask(S_IWGRP | S_IWOTH);
  ::setsid();  // a terminal's Ctrl-C is the broker's to hear
  if (starter() == Starter::root && ::setgroups(0, nullptr) != 0) return false;
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0 && ::prctl(PR_SET_DUMPABLE, 0) == 0 &&
         ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::chdir("/") == 0;
}

}  // namespace

int run_spawnd(Fd socket) {
  if (!settle() || !close_all_but({0, 1, 2, socket.get()}).ok()) return 1;
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  std::array<int, 2> lifeline{};
  Fd silence(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!null || !silence || ::pipe2(lifeline.data(), O_CLOEXEC) != 0) return 1;
  const Fd kept_open(lifeline[1]);  // its closing, however we end, ends every cell
  Spawnd spawnd({.socket = std::move(socket),
                 .null = std::move(null),
                 .lifeline = Fd(lifeline[0]),
                 .silence = std::move(silence)});
  spawnd.serve();
  spawnd.kill_all();
  return 0;
}

}  // namespace taper::sandbox
