// Ways to run what was not granted, and to reach other processes.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <functional>
#include <vector>

#include "tests/hostile/escapes/escape.h"

namespace escape {
namespace {

constexpr int kForks = 300;
constexpr unsigned kMemfdNoexecSeal = 8;
const char* const kHarmless = "/usr/bin/true";
const char* const kLoader = "/lib64/ld-linux-x86-64.so.2";

bool copy_file(const char* from, const std::string& to) {
  const int in = ::open(from, O_RDONLY);
  const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0755);
  std::array<char, 65536> buffer{};
  ssize_t count = 0;
  while (in >= 0 && out >= 0 && (count = ::read(in, buffer.data(), buffer.size())) > 0) {
    if (::write(out, buffer.data(), static_cast<std::size_t>(count)) != count) return false;
  }
  const bool whole = in >= 0 && out >= 0 && count == 0;
  ::close(in);
  ::close(out);
  return whole;
}

// Runs `exec` in a child; it returns only when it failed.
Verdict executed(const std::function<void()>& exec) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return cannot("pipe");
  const pid_t child = ::fork();
  if (child < 0) return cannot("fork");
  if (child == 0) {
    exec();
    const int error_number = errno;
    (void)!::write(pipe[1], &error_number, sizeof error_number);
    ::_exit(125);
  }
  ::close(pipe[1]);
  int error_number = 0;
  const bool failed = ::read(pipe[0], &error_number, sizeof error_number) > 0;
  int status = 0;
  ::waitpid(child, &status, 0);
  if (failed) return shut(errno_name(error_number));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return open("it ran");
  return shut("exit" + std::to_string(WEXITSTATUS(status)));
}

Verdict execute_path(const std::string& path, std::vector<const char*> words = {"x"}) {
  words.push_back(nullptr);
  return executed([&] { ::execv(path.c_str(), const_cast<char* const*>(words.data())); });
}

std::string of_parent(const char* what) {
  return "/proc/" + std::to_string(::getppid()) + "/" + what;
}

}  // namespace

Verdict exec_from_work(const Place& place) {
  const std::string copy = place.work + "/program";
  return copy_file(kHarmless, copy) ? execute_path(copy) : cannot("copy");
}

Verdict exec_through_loader(const Place& place) {
  const std::string copy = place.work + "/program";
  if (!copy_file(kHarmless, copy)) return cannot("copy");
  return execute_path(kLoader, {kLoader, copy.c_str()});
}

Verdict exec_memory_file(const Place&) {
  const int fd = static_cast<int>(::syscall(SYS_memfd_create, "x", 0));
  if (fd < 0) return shut(errno_name(errno));
  if (!copy_file(kHarmless, "/proc/self/fd/" + std::to_string(fd))) return cannot("copy");
  return executed([fd] {
    const std::array<const char*, 2> words = {"x", nullptr};
    ::syscall(SYS_execveat, fd, "", words.data(), nullptr, AT_EMPTY_PATH);
  });
}

Verdict exec_sealed_memory_file(const Place&) {
  const int fd = static_cast<int>(::syscall(SYS_memfd_create, "x", kMemfdNoexecSeal));
  if (fd < 0) return cannot("memfd_create");
  ::fchmod(fd, 0755);
  return executed([fd] {
    const std::array<const char*, 2> words = {"x", nullptr};
    ::syscall(SYS_execveat, fd, "", words.data(), nullptr, AT_EMPTY_PATH);
  });
}

Verdict exec_from_shared_memory(const Place&) {
  const std::string copy = "/dev/shm/taper-program-" + std::to_string(::getpid());
  if (!copy_file(kHarmless, copy)) return cannot("copy");
  const Verdict verdict = execute_path(copy);
  ::unlink(copy.c_str());
  return verdict;
}

Verdict exec_script(const Place& place) {
  const std::string script = place.work + "/script";
  const int fd = ::open(script.c_str(), O_WRONLY | O_CREAT, 0755);
  const std::string text = "#!/bin/sh\nexit 0\n";
  if (::write(fd, text.data(), text.size()) < 0) return cannot("write");
  ::close(fd);
  return execute_path(script);
}

Verdict exec_other_program(const Place&) { return execute_path(kHarmless); }

Verdict write_own_program(const Place&) { return opened(::open("/proc/self/exe", O_RDWR)); }

Verdict binfmt_register(const Place&) {
  return opened(::open("/proc/sys/fs/binfmt_misc/register", O_WRONLY));
}

Verdict signal_host(const Place& place) { return opened(::kill(place.host_pid, 0)); }
Verdict signal_everybody(const Place&) { return opened(::kill(-1, 0)); }

Verdict trace_parent(const Place&) { return opened(::ptrace(PTRACE_SEIZE, ::getppid(), 0, 0)); }

Verdict read_parent_memory(const Place&) {
  char byte = 0;
  const iovec local{&byte, 1};
  const iovec remote{&byte, 1};
  return reached(::process_vm_readv(::getppid(), &local, 1, &remote, 1, 0));
}
Verdict write_parent_memory(const Place&) {
  char byte = 0;
  const iovec local{&byte, 1};
  const iovec remote{nullptr, 1};
  return reached(::process_vm_writev(::getppid(), &local, 1, &remote, 1, 0));
}

Verdict parent_environ(const Place&) { return opened(::open(of_parent("environ").c_str(), 0)); }
Verdict parent_mem(const Place&) { return opened(::open(of_parent("mem").c_str(), O_RDWR)); }
Verdict parent_root(const Place&) {
  return opened(::open(of_parent("root/etc").c_str(), O_DIRECTORY));
}
Verdict parent_maps(const Place&) { return opened(::open(of_parent("maps").c_str(), 0)); }
Verdict parent_descriptors(const Place&) {
  return opened(::open(of_parent("fd/0").c_str(), O_PATH));
}

Verdict steal_descriptor(const Place&) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0));
  if (pidfd < 0) return cannot("pidfd_open");
  return opened(::syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

Verdict limits_of_parent(const Place&) {
  rlimit found{};
  return opened(::prlimit(::getppid(), RLIMIT_NOFILE, nullptr, &found));
}
Verdict raise_own_limit(const Place&) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_max += 1;
  return opened(::setrlimit(RLIMIT_NOFILE, &limit));
}
Verdict oom_score(const Place&) { return opened(::open("/proc/self/oom_score_adj", O_WRONLY)); }
Verdict real_time_scheduling(const Place&) {
  sched_param parameter{};
  parameter.sched_priority = 1;
  return opened(::sched_setscheduler(0, SCHED_FIFO, &parameter));
}
Verdict real_time_input_output(const Place&) {
  return opened(::syscall(SYS_ioprio_set, 1, 0, 1 << 13));
}
Verdict negative_nice(const Place&) { return opened(::setpriority(PRIO_PROCESS, 0, -5)); }

Verdict fork_bomb(const Place&) {
  std::vector<pid_t> children;
  int error_number = 0;
  for (int i = 0; i < kForks && error_number == 0; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    if (child < 0) error_number = errno;
    if (child > 0) children.push_back(child);
  }
  for (const pid_t child : children) ::kill(child, SIGKILL);
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  return error_number == 0 ? open("no end") : shut(errno_name(error_number));
}

// Timers count with the host's user.
Verdict exhaust_timers(const Place&) {
  constexpr int kTimers = 2000;
  for (int i = 0; i < kTimers; ++i) {
    timer_t timer{};
    if (::timer_create(CLOCK_MONOTONIC, nullptr, &timer) != 0) return shut(errno_name(errno));
  }
  return open("no end");
}

// Threads by the bare call: each sleeps on a stack that nobody else touches.
Verdict thread_bomb(const Place&) {
  constexpr std::size_t kStack = 16384;
  int error_number = 0;
  for (int i = 0; i < kForks && error_number == 0; ++i) {
    void* stack =
        ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) return cannot("mmap");
    const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    const auto sleep = [](void*) {
      for (;;) ::pause();
      return 0;
    };
    if (::clone(sleep, static_cast<char*>(stack) + kStack, flags, nullptr) < 0) {
      error_number = errno;
    }
  }
  return error_number == 0 ? open("no end") : shut(errno_name(error_number));
}

Verdict kill_init(const Place&) {
  if (::kill(1, SIGKILL) != 0) return shut(errno_name(errno));
  ::usleep(50'000);
  return shut("ignored");
}

Verdict move_own_program(const Place&) {
  return reached(::prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, -1, 0, 0));
}

Verdict much_memory(const Place&) {
  void* memory = ::mmap(nullptr, std::size_t{3} << 30, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory != MAP_FAILED ? open("mapped") : shut(errno_name(errno));
}
Verdict locked_memory(const Place&) {
  static char page[4096];
  return opened(::mlock(page, sizeof page));
}

}  // namespace escape
