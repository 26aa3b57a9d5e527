#include "tools/agent/program.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace taper::tools {
namespace {

constexpr int kNotStarted = 127;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("pipe2", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

struct Pipes {
  Pipe in, out, err;
  Pipe failed;  // the child writes errno there when it cannot become the program
};

[[noreturn]] void become(const Pipes& pipes, int program, std::vector<char*>& argv,
                         const sigset_t& mask) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_DFL);
  const bool ready = ::sigprocmask(SIG_SETMASK, &mask, nullptr) == 0 &&
                     ::dup2(pipes.in.read.get(), STDIN_FILENO) >= 0 &&
                     ::dup2(pipes.out.write.get(), STDOUT_FILENO) >= 0 &&
                     ::dup2(pipes.err.write.get(), STDERR_FILENO) >= 0;
  if (ready) ::execveat(program, "", argv.data(), environ, AT_EMPTY_PATH);
  const int error_number = errno;
  static_cast<void>(!::write(pipes.failed.write.get(), &error_number, sizeof error_number));
  ::_exit(kNotStarted);
}

Status keep(Fd& kept, Fd ours) {
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return os_error("O_NONBLOCK", errno);
  kept = std::move(ours);
  return success();
}

}  // namespace

Program::Program(int fd, std::vector<std::string> argv, const sigset_t& mask)
    : fd_(fd), argv_(std::move(argv)), mask_(mask) {}

Program::~Program() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status Program::start() {
  Pipes pipes;
  for (Pipe* pipe : {&pipes.in, &pipes.out, &pipes.err, &pipes.failed}) {
    TAPER_TRY(*pipe, make_pipe());
  }
  std::vector<char*> argv;
  for (std::string& word : argv_) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) become(pipes, fd_, argv, mask_);
  if (pid_ < 0) return os_error("fork", errno);
  pipes.failed.write.reset();
  int error_number = 0;
  if (::read(pipes.failed.read.get(), &error_number, sizeof error_number) > 0)
    return os_error("exec", error_number);
  TAPER_CHECK(keep(in, std::move(pipes.in.write)));
  TAPER_CHECK(keep(out, std::move(pipes.out.read)));
  return keep(err, std::move(pipes.err.read));
}

std::optional<int> Program::ended() {
  int status = 0;
  if (pid_ <= 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = -1;
  return status;
}

}  // namespace taper::tools
