#include "runtime/sandbox/spawnd_link.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "runtime/base/limits.h"

namespace taper::sandbox {
namespace {

constexpr int kSpawndSocket = 3;

// The environment is empty: no secret of the broker's is in spawnd or below it.
int spawn(const std::string& path, int socket, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, socket, kSpawndSocket);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  std::string name = path;
  std::array<char*, 2> argv = {name.data(), nullptr};
  std::array<char*, 1> environment = {nullptr};
  const int error_number =
      ::posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  return error_number;
}

}  // namespace

Result<SpawndLink> SpawndLink::launch(const std::string& path) {
  if (path.empty() || path.front() != '/' || ::access(path.c_str(), X_OK) != 0) {
    return Error(Code::program_missing, {.field = path, .expected = "", .got = "", .fix = ""});
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return os_error("socketpair", errno);
  }
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  constexpr int kBuffer = static_cast<int>(limits::kSpawnMessageBytesMax);
  if (::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &kBuffer, sizeof kBuffer) != 0) {
    return os_error("SO_SNDBUF", errno);
  }
  pid_t pid = -1;
  const int error_number = spawn(path, theirs.get(), pid);
  if (error_number != 0) return os_error("start " + path, error_number);
  return SpawndLink(pid, std::move(ours));
}

SpawndLink::SpawndLink(SpawndLink&& other) noexcept
    : pid_(other.pid_), socket_(std::move(other.socket_)) {
  other.pid_ = -1;
}

SpawndLink::~SpawndLink() {
  if (pid_ < 0) return;
  socket_.reset();
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  pollfd wait{pidfd.get(), POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(limits::kKillConfirmMs)) <= 0) ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace taper::sandbox
