#include "runtime/sandbox/cell.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "runtime/sandbox/landlock.h"
#include "runtime/sandbox/seccomp/filter.h"
#include "runtime/sandbox/system.h"

namespace taper::sandbox {
namespace {

constexpr std::uint64_t kNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET |
                                      CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe(int flags) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | flags) != 0) return os_error("pipe2", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::vector<int> kept_fds(const CellPlan& plan) {
  const CellFds& fds = plan.fds;
  std::vector<int> kept = {fds.null,          fds.lifeline,     fds.program, fds.out,
                           fds.err,           fds.secrets,      fds.socket,  fds.helper,
                           plan.status.get(), plan.mapped.get()};
  kept.insert(kept.end(), fds.entry.begin(), fds.entry.end());
  for (const Fd& tree : plan.trees) kept.push_back(tree.get());
  return kept;
}

[[noreturn]] void run_child(CellPlan& plan, const CellSteps& steps) {
  // First of all: the descriptors of other cells and the write end of the lifeline must not live on
  // in this one.
  if (!close_all_but(kept_fds(plan)).ok()) ::_exit(1);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Status built = run_steps(steps.init, plan);
  if (!built.ok()) leave(plan, gone_refused(0, built.error()));
  run_init(plan, steps);
}

Status write_maps(pid_t pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  const std::string line =
      std::to_string(limits::kCellInnerId) + " " + std::to_string(limits::kCellUid) + " 1";
  TAPER_CHECK(write_text(proc + "/setgroups", "deny"));
  TAPER_CHECK(write_text(proc + "/uid_map", line));
  return write_text(proc + "/gid_map", line);
}

Error layer_error(const char* layer, const Error& error) {
  return Error(Code::sandbox_layer, {.field = layer,
                                     .expected = "",
                                     .got = error.detail().field + ": " + error.detail().got,
                                     .fix = ""});
}

}  // namespace

CellSteps cell_steps() {
  return {
      .init = {{"user namespace", Code::sandbox_layer, take_identity},
               {"trees", Code::sandbox_setup, open_trees},
               {"root file system", Code::sandbox_layer, build_root},
               // After every mount was made: each detached one needs a namespace for a moment.
               {"nested namespaces", Code::sandbox_layer, forbid_namespaces},
               {"pivot root", Code::sandbox_layer, enter_root},
               {"host name", Code::sandbox_setup, set_host_name},
               {"resource limits", Code::sandbox_layer, limit_resources},
               {"capabilities", Code::sandbox_layer, drop_capabilities}},
      .tool = {{"session and descriptors", Code::sandbox_setup, separate_tool},
               {"memory limit", Code::sandbox_layer, limit_memory},
               {"no new privileges", Code::sandbox_layer, forbid_new_privileges},
               {"landlock", Code::sandbox_layer, bind_landlock},
               {"seccomp", Code::sandbox_layer, bind_seccomp}},
  };
}

Status run_steps(std::span<const CellStep> steps, CellPlan& plan) {
  for (const CellStep& step : steps) {
    const Status done = step.run(plan);
    if (done.ok()) continue;
    const Error& error = done.error();
    if (error.code() != Code::os_failure) return Error(error);
    return Error(step.code, {.field = step.name,
                             .expected = "",
                             .got = error.detail().field + ": " + error.detail().got,
                             .fix = ""});
  }
  return success();
}

Result<StartedCell> start_cell(CellPlan plan, const CellSteps& steps) {
  TAPER_TRY(Pipe status, make_pipe(O_DIRECT | O_NONBLOCK));
  TAPER_TRY(Pipe mapped, make_pipe(0));
  plan.status = std::move(status.write);
  plan.mapped = std::move(mapped.read);
  plan.outer_uid = ::geteuid();
  plan.outer_gid = ::getegid();
  // Made here, once: every cell shares the pages.
  learn_landlock();
  (void)seccomp_filter(plan.order.kind == authority::ToolKind::builtin ? SeccompProfile::builtin
                                                                       : SeccompProfile::command);
  const bool handed_over = plan.network == Network::handed_over;
  Result<Clone> child =
      clone_process(handed_over ? kNamespaces & ~std::uint64_t{CLONE_NEWNET} : kNamespaces);
  if (!child.ok()) return layer_error("namespaces", child.error());
  if (child->pid == 0) run_child(plan, steps);
  StartedCell cell{child->pid, std::move(child->pidfd), std::move(status.read)};
  if (plan.starter == Starter::user) return cell;
  const Status maps = write_maps(cell.pid);
  if (maps.ok() && ::write(mapped.write.get(), "m", 1) == 1) return cell;
  ::kill(cell.pid, SIGKILL);
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(cell.pid), &info, WEXITED);
  if (maps.ok()) return os_error("pipe to the cell", EPIPE);
  return layer_error("user namespace", maps.error());
}

CellGone read_status(int status) {
  CellGone lost;
  lost.end = CellEnd::lost;
  Bytes buffer(limits::kCellNewsBytesMax);
  const ssize_t count = ::read(status, buffer.data(), buffer.size());
  if (count <= 0) return lost;
  const Result<News> news = decode_news(ByteSpan(buffer).first(static_cast<std::size_t>(count)));
  const CellGone* gone = news.ok() ? std::get_if<CellGone>(&*news) : nullptr;
  return gone == nullptr ? lost : *gone;
}

void leave(const CellPlan& plan, const CellGone& gone) {
  const Bytes bytes = encode_news(gone);
  const ssize_t count = ::write(plan.status.get(), bytes.data(), bytes.size());
  ::_exit(count < 0 ? 1 : 0);
}

}  // namespace taper::sandbox
