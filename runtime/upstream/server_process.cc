#include "runtime/upstream/server_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <utility>

#include "runtime/base/limits.h"
#include "runtime/sandbox/builtin/message.h"
#include "runtime/upstream/errors.h"

namespace taper::upstream {
namespace {

constexpr std::size_t kChunkBytes = 64 * 1024;
// After its stdout has ended a server may take this long to be gone, and to have said why.
constexpr int kEndLooks = 20;
constexpr int kEndLookMs = 10;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return broken("start", std::strerror(errno));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

struct Pipes {
  Pipe in, out, err;
  Pipe failed;  // the child writes errno there when it cannot become the server
};

Result<Pipes> make_pipes() {
  Pipes pipes;
  for (Pipe* pipe : {&pipes.in, &pipes.out, &pipes.err, &pipes.failed}) {
    TAPER_TRY(*pipe, make_pipe());
  }
  return pipes;
}

[[noreturn]] void become_server(const Pipes& pipes, int program, std::vector<char*>& argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_DFL);
  const bool joined = ::dup2(pipes.in.read.get(), STDIN_FILENO) >= 0 &&
                      ::dup2(pipes.out.write.get(), STDOUT_FILENO) >= 0 &&
                      ::dup2(pipes.err.write.get(), STDERR_FILENO) >= 0;
  if (joined) ::execveat(program, "", argv.data(), environ, AT_EMPTY_PATH);
  const int error_number = errno;
  const ssize_t told = ::write(pipes.failed.write.get(), &error_number, sizeof error_number);
  ::_exit(told > 0 ? 127 : 126);
}

bool make_nonblocking(int fd) { return ::fcntl(fd, F_SETFL, O_NONBLOCK) == 0; }

std::string words_of_status(int status) {
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  return "it ended with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

ServerProcess::ServerProcess(int program, std::vector<std::string> argv)
    : program_(program), argv_(std::move(argv)) {}

ServerProcess::~ServerProcess() { stop(); }

void ServerProcess::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
  in_.reset();
  out_.reset();
  err_.reset();
  unsent_.clear();
  words_.clear();
  words_cut_ = false;
  lines_ = LineBuffer();
}

Status ServerProcess::start() {
  stop();
  TAPER_TRY(Pipes pipes, make_pipes());
  std::vector<char*> argv;
  for (std::string& word : argv_) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) become_server(pipes, program_, argv);
  if (pid_ < 0) return broken("start", std::strerror(errno));
  pipes.failed.write.reset();
  int error_number = 0;
  if (::read(pipes.failed.read.get(), &error_number, sizeof error_number) > 0) {
    return broken("start", std::strerror(error_number));
  }
  in_ = std::move(pipes.in.write);
  out_ = std::move(pipes.out.read);
  err_ = std::move(pipes.err.read);
  const bool ready =
      make_nonblocking(in_.get()) && make_nonblocking(out_.get()) && make_nonblocking(err_.get());
  return ready ? success() : broken("start", std::strerror(errno));
}

Status ServerProcess::send(std::string_view line, std::int64_t until_ms) {
  unsent_ += line;
  unsent_ += '\n';
  // A server may write before it reads; its pipe must not fill up meanwhile.
  while (!unsent_.empty()) TAPER_CHECK(wait(-1, until_ms));
  return success();
}

Result<Line> ServerProcess::receive(std::int64_t until_ms) {
  for (;;) {
    if (std::optional<Line> line = lines_.next()) return std::move(*line);
    TAPER_CHECK(wait(-1, until_ms));
  }
}

Result<bool> ServerProcess::wait(int other, std::int64_t until_ms) {
  int patience = -1;
  if (until_ms != kForever) {
    const std::int64_t left = until_ms - now_ms();
    if (left <= 0) return broken("timeout", "");
    patience = static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
  }
  std::array<pollfd, 4> watched = {{{other, POLLIN, 0},
                                    {lines_.full() ? -1 : out_.get(), POLLIN, 0},
                                    {err_.get(), POLLIN, 0},
                                    {unsent_.empty() ? -1 : in_.get(), POLLOUT, 0}}};
  if (::poll(watched.data(), watched.size(), patience) < 0) {
    return errno == EINTR ? Result<bool>(false) : broken("ended", std::strerror(errno));
  }
  if (watched[2].revents != 0) read_err();
  if (watched[1].revents != 0) {
    std::array<char, kChunkBytes> chunk{};
    const ssize_t count = ::read(out_.get(), chunk.data(), chunk.size());
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return ended();
    if (count > 0) lines_.feed({chunk.data(), static_cast<std::size_t>(count)});
  }
  if (watched[3].revents != 0) {
    const ssize_t count = ::write(in_.get(), unsent_.data(), unsent_.size());
    if (count < 0 && errno != EAGAIN && errno != EINTR) return ended();
    if (count > 0) unsent_.erase(0, static_cast<std::size_t>(count));
  }
  return watched[0].revents != 0;
}

void ServerProcess::read_err() {
  std::array<char, kChunkBytes> chunk{};
  const ssize_t count = ::read(err_.get(), chunk.data(), chunk.size());
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return err_.reset();
  words_.append(chunk.data(), static_cast<std::size_t>(count));
  if (words_.size() > limits::kUpstreamErrShownBytes) {
    words_.erase(0, words_.size() - limits::kUpstreamErrShownBytes);
    words_cut_ = true;
  }
}

Error ServerProcess::ended() {
  std::string how = "it closed its end";
  for (int looks = 0; looks < kEndLooks; ++looks) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      // A forbidden call breaks the sandbox, whoever in the cell made it: who watches must see it.
      if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) std::raise(SIGSYS);
      how = words_of_status(status);
      break;
    }
    ::poll(nullptr, 0, kEndLookMs);
  }
  for (std::size_t size = words_.size() + 1; err_ && size != words_.size();) {
    size = words_.size();
    read_err();
  }
  const std::string words = last_words();
  return broken("ended", words.empty() ? how : how + ": " + words);
}

// Where the beginning was dropped, from that of a line on, if there is one.
std::string ServerProcess::last_words() {
  std::string_view words = words_;
  while (!words.empty() && (words.back() == '\n' || words.back() == '\r')) words.remove_suffix(1);
  const std::size_t line = words.find('\n');
  if (words_cut_ && line != words.npos) words.remove_prefix(line + 1);
  return std::string(words_cut_ ? sandbox::kCutMark : "").append(words);
}

}  // namespace taper::upstream
