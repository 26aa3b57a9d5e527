// The steps about who a cell is and what it may still do.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "runtime/sandbox/cell.h"
#include "runtime/sandbox/landlock.h"
#include "runtime/sandbox/seccomp/filter.h"
#include "runtime/sandbox/system.h"

namespace taper::sandbox {
namespace {

// Where memory runs out, a cell dies before anything of the host's. Shared mappings are counted
// by no limit of a process. The process must be dumpable, or root's.
Status die_first() { return write_text("/proc/self/oom_score_adj", "1000"); }

Status map_own_ids(const CellPlan& plan) {
  // The files belong to root while the process is not dumpable.
  if (::prctl(PR_SET_DUMPABLE, 1) != 0) return os_error("PR_SET_DUMPABLE", errno);
  TAPER_CHECK(die_first());
  const auto line = [](std::uint32_t outer) {
    return std::to_string(limits::kCellInnerId) + " " + std::to_string(outer) + " 1";
  };
  TAPER_CHECK(write_text("/proc/self/setgroups", "deny"));
  TAPER_CHECK(write_text("/proc/self/uid_map", line(plan.outer_uid)));
  return write_text("/proc/self/gid_map", line(plan.outer_gid));
}

Status limit(int resource, rlim_t wanted) {
  rlimit now{};
  const auto id = static_cast<__rlimit_resource>(resource);
  if (::getrlimit(id, &now) != 0) return os_error("getrlimit", errno);
  const rlim_t value = std::min(wanted, now.rlim_max);
  now = {value, value};
  if (::setrlimit(id, &now) != 0) return os_error("setrlimit", errno);
  if (::getrlimit(id, &now) != 0 || now.rlim_cur != value || now.rlim_max != value) {
    return os_error("getrlimit", EPERM);
  }
  return success();
}

Status verify_no_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return os_error("capget", errno);
  for (const __user_cap_data_struct& set : sets) {
    if ((set.effective | set.permitted | set.inheritable) != 0) return os_error("capget", EPERM);
  }
  // Negative after the last that the kernel knows.
  for (int cap = 0, bound = 0; (bound = ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; ++cap) {
    if (bound != 0 || ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) != 0) {
      return os_error("PR_CAPBSET_READ", EPERM);
    }
  }
  return success();
}

// The request socket and the server's program go to the numbers at which the helper finds them, and
// stay open when it is executed. Whatever has these numbers is moved out of the way first.
Status place_for_helper(CellPlan& plan) {
  constexpr int kAbove = 16;
  CellFds& fds = plan.fds;
  for (int* fd : {&fds.socket, &fds.program, &fds.helper}) {
    *fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, kAbove);
    if (*fd < 0) return os_error("dup", errno);
  }
  plan.status = Fd(::fcntl(plan.status.get(), F_DUPFD_CLOEXEC, kAbove));
  if (!plan.status || ::dup2(fds.socket, kHelperSocket) < 0 ||
      ::dup2(fds.program, kHelperProgram) < 0) {
    return os_error("dup2", errno);
  }
  fds.socket = kHelperSocket;
  fds.program = kHelperProgram;
  return success();
}

}  // namespace

Status take_identity(CellPlan& plan) {
  if (plan.starter == Starter::root) {
    TAPER_CHECK(die_first());
    char byte = 0;
    if (::read(plan.mapped.get(), &byte, 1) != 1) return os_error("id maps", EPIPE);
    if (::setresgid(limits::kCellInnerId, limits::kCellInnerId, limits::kCellInnerId) != 0 ||
        ::setresuid(limits::kCellInnerId, limits::kCellInnerId, limits::kCellInnerId) != 0) {
      return os_error("setresuid", errno);
    }
  } else {
    TAPER_CHECK(map_own_ids(plan));
  }
  plan.mapped.reset();
  // Changing ids clears the parent-death signal and makes a process dumpable again.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) {
    return os_error("prctl", errno);
  }
  if (::getuid() != limits::kCellInnerId || ::getgid() != limits::kCellInnerId) {
    return os_error("getuid", EPERM);
  }
  return success();
}

Status forbid_namespaces(CellPlan&) {
  for (const char* kind : {"user", "pid", "net", "mnt", "ipc", "uts", "cgroup", "time"}) {
    TAPER_CHECK(write_text(std::string("/proc/sys/user/max_") + kind + "_namespaces", "0"));
  }
  // Before Linux 6.14 this belongs to the whole machine and is refused; RLIMIT_NPROC stands then
  // alone.
  const std::string text = std::to_string(limits::kCellPidMax);
  const Fd pids(::open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC));
  if (pids && ::write(pids.get(), text.data(), text.size()) < 0) return os_error("pid_max", errno);
  if (!pids && errno != EACCES && errno != EPERM) return os_error("pid_max", errno);
  return success();
}

Status set_host_name(CellPlan&) {
  constexpr std::string_view kName = "cell";
  if (::sethostname(kName.data(), kName.size()) != 0) return os_error("sethostname", errno);
  return success();
}

Status limit_resources(CellPlan& plan) {
  const authority::CellCaps& caps = plan.order.caps;
  TAPER_CHECK(limit(RLIMIT_FSIZE, limits::kCellFileBytes));
  TAPER_CHECK(limit(RLIMIT_NOFILE, limits::kCellOpenFiles));
  TAPER_CHECK(limit(RLIMIT_NPROC, rlim_t{caps.processes} + 1));  // and the cell's init
  TAPER_CHECK(limit(RLIMIT_CPU, caps.cpu_s));
  TAPER_CHECK(limit(RLIMIT_STACK, limits::kCellStackBytes));
  TAPER_CHECK(limit(RLIMIT_CORE, 0));
  TAPER_CHECK(limit(RLIMIT_MEMLOCK, 0));
  TAPER_CHECK(limit(RLIMIT_SIGPENDING, limits::kCellPendingSignals));  // the host's user's, too
  return limit(RLIMIT_MSGQUEUE, 0);
}

Status drop_capabilities(CellPlan&) {
  // Until the kernel knows no more; what could not be dropped is found when it is read back.
  for (int cap = 0; ::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; ++cap) {
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return os_error("PR_CAP_AMBIENT", errno);
  }
  constexpr unsigned long kLocked = SECURE_ALL_BITS | SECURE_ALL_LOCKS |
                                    SECBIT_NO_CAP_AMBIENT_RAISE |
                                    SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, kLocked, 0, 0, 0) != 0) {
    return os_error("PR_SET_SECUREBITS", errno);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return os_error("capset", errno);
  return verify_no_capabilities();
}

Status separate_tool(CellPlan& plan) {
  sigset_t none;
  sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return os_error("sigprocmask", errno);
  if (::setsid() < 0) return os_error("setsid", errno);
  const CellFds& fds = plan.fds;
  // Their numbers are above 2: spawnd keeps its own standard descriptors open.
  if (::dup2(fds.null, 0) < 0 || ::dup2(fds.out >= 0 ? fds.out : fds.null, 1) < 0 ||
      ::dup2(fds.err >= 0 ? fds.err : fds.null, 2) < 0) {
    return os_error("dup2", errno);
  }
  if (fds.helper >= 0) TAPER_CHECK(place_for_helper(plan));
  return close_all_but({0, 1, 2, fds.program, fds.socket, fds.helper, plan.status.get()});
}

Status limit_memory(CellPlan& plan) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  // The sanitizer's shadow memory would count. A command sheds it when it is executed; the helper
  // of a server has its own.
  if (plan.order.kind != authority::ToolKind::command) return success();
#endif
#endif
  return limit(RLIMIT_DATA, plan.order.caps.memory_bytes);
}

Status forbid_new_privileges(CellPlan&) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
    return os_error("PR_SET_NO_NEW_PRIVS", errno);
  }
  return success();
}

Status bind_seccomp(CellPlan& plan) {
  return install_seccomp(plan.order.kind == authority::ToolKind::builtin ? SeccompProfile::builtin
                                                                         : SeccompProfile::command);
}

}  // namespace taper::sandbox
