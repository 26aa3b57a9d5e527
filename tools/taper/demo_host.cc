#include "tools/taper/demo_host.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <memory>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"

namespace taper::tools {
namespace {

constexpr int kSignalExitBase = 128;

// Points into `words`, whose first is the program's name.
std::vector<char*> argv_of(std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return argv;
}

std::vector<std::string> with_name(const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"taper"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

Result<std::string> take_output(int fd) {
  const Fd owned(fd);
  if (::lseek(fd, 0, SEEK_SET) < 0) return os_error("lseek", errno);
  TAPER_TRY(const Bytes bytes, read_fd(fd, "output", limits::kResultBytesMax));
  return std::string(as_text(bytes));
}

Status write_file(const std::string& path, const std::string& text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return os_error("open " + path, errno);
  return write_all(fd.get(), path, as_bytes(text));
}

std::string identity_map(unsigned id) {
  return std::to_string(id) + " " + std::to_string(id) + " 1\n";
}

}  // namespace

Result<Child> start_program(const std::string& path, const std::vector<std::string>& arguments) {
  Child child;
  child.out = ::memfd_create("stdout", MFD_CLOEXEC);
  child.err = ::memfd_create("stderr", MFD_CLOEXEC);
  if (child.out < 0 || child.err < 0) return os_error("memfd_create", errno);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, child.out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, child.err, STDERR_FILENO);
  std::vector<std::string> words = with_name(arguments);
  const int failed =
      ::posix_spawn(&child.pid, path.c_str(), &actions, nullptr, argv_of(words).data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return os_error("posix_spawn taper", failed);
  return child;
}

Result<Child> start_self(const std::vector<std::string>& arguments) {
  return start_program(kThisProgram, arguments);
}

Result<ChildEnd> finish_child(const Child& child) {
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0) {
    if (errno != EINTR) return os_error("waitpid", errno);
  }
  ChildEnd end;
  end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalExitBase + WTERMSIG(status);
  TAPER_TRY(end.out, take_output(child.out));
  TAPER_TRY(end.err, take_output(child.err));
  return end;
}

bool still_runs(const Child& child) {
  siginfo_t info{};
  const int asked =
      ::waitid(P_PID, static_cast<id_t>(child.pid), &info, WEXITED | WNOHANG | WNOWAIT);
  return asked == 0 && info.si_pid == 0;
}

Result<ChildEnd> run_self(const std::vector<std::string>& arguments) {
  TAPER_TRY(const Child child, start_self(arguments));
  return finish_child(child);
}

int count_processes(const std::string& marker) {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return -1;
  int count = 0;
  while (const dirent* entry = ::readdir(proc.get())) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const std::string path = std::string("/proc/") + entry->d_name + "/cmdline";
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) continue;
    const Result<Bytes> words = read_fd(fd.get(), path, limits::kArgvBytesMax);
    if (words.ok() && as_text(*words).find(marker) != std::string_view::npos) ++count;
  }
  return count;
}

Error enter_empty_network(const std::vector<std::string>& arguments) {
  const unsigned user = ::geteuid();
  const unsigned group = ::getegid();
  const int kinds = user == 0 ? CLONE_NEWNET : CLONE_NEWNET | CLONE_NEWUSER;
  if (::unshare(kinds) != 0) return os_error("unshare", errno);
  if (user != 0) {
    for (const auto& [path, text] :
         {std::pair<std::string, std::string>{"/proc/self/setgroups", "deny"},
          {"/proc/self/uid_map", identity_map(user)},
          {"/proc/self/gid_map", identity_map(group)}}) {
      const Status wrote = write_file(path, text);
      if (!wrote.ok()) return Error(wrote.error());
    }
  }
  std::vector<std::string> words = with_name(arguments);
  ::execv(kThisProgram, argv_of(words).data());
  return os_error("execv taper", errno);
}

std::string interfaces_up() {
  std::string names;
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> all(
      ::if_nameindex(), ::if_freenameindex);
  if (!fd || !all) return "unknown";
  for (const struct if_nameindex* at = all.get(); at->if_name != nullptr; ++at) {
    ifreq request{};
    std::strncpy(request.ifr_name, at->if_name, sizeof(request.ifr_name) - 1);
    const bool asked = ::ioctl(fd.get(), SIOCGIFFLAGS, &request) == 0;
    if (asked && (request.ifr_flags & IFF_UP) == 0) continue;
    if (!names.empty()) names += ' ';
    names += at->if_name;
  }
  return names;
}

void sleep_ms(int milliseconds) {
  timespec left{.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1'000'000L};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace taper::tools
