#include "tools/agent/speak.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "tools/agent/channel.h"
#include "tools/agent/program.h"
#include "tools/taper/connect/describe.h"

namespace taper::tools {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{64} * 1024;
constexpr int kBroken = 1;
constexpr int kSignalBase = 128;  // as shells tell of a signal
constexpr std::int64_t kLastWordsMs = 1'000;
constexpr int kLastLooks = 16;           // at its stderr, of kChunkBytes each
constexpr Asker::Ticket kOwnTicket = 0;  // those of the backend count from 1

enum class Got : std::uint8_t { some, none, end };

class Speaker {
 public:
  Speaker(int socket, int program, std::vector<std::string> argv)
      : socket_(socket),
        before_(block_children()),
        program_(program, std::move(argv), before_),
        channel_({.happened = [this](const auto& event) { backend_.happened(event); },
                  .progressed = [this](Asker::Ticket ticket,
                                       const auto& event) { backend_.progressed(ticket, event); }}),
        backend_(channel_, clock_, [](const std::string&) {}) {}

  int run() {
    broker::SessionRequest describe;
    describe.ask = broker::Ask::describe;
    channel_.ask(kOwnTicket, describe, [this](const Replied& replied) { described(replied); });
    while (!status_ && !failed_) {
      if (!move()) return kBroken;
      if (server_) status_ = program_.ended();
    }
    return status_ ? leave(*status_) : leave_failed();
  }

 private:
  // The end of a child is noticed while waiting, and nowhere else.
  static sigset_t block_children() {
    sigset_t children, before;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigemptyset(&before);
    ::sigprocmask(SIG_BLOCK, &children, &before);
    std::signal(SIGCHLD, [](int) {});
    return before;
  }

  bool has_room() const { return to_program_.size() < limits::kConnectQueueBytesMax; }
  bool may_take_requests() {
    return has_room() && channel_.out().size() < limits::kConnectQueueBytesMax;
  }

  // What is done before the program is there to be told of it.
  void described(const Replied& replied) {
    const auto& reply = std::get<broker::SessionReply>(replied);
    const std::optional<mcp::Json> body = mcp::Json::parse(reply.body);
    if (reply.code != Code::ok || !body) {
      failed_ = Error(reply.code == Code::ok ? Code::message_malformed : reply.code);
      return;
    }
    const Status started = program_.start();
    if (!started.ok()) {
      failed_ = started.error();
      return;
    }
    server_.emplace(
        mcp::Identity{"taper", "Taper", TAPER_VERSION, instructions(*body), lease_left_ms(*body)},
        backend_, [this](std::string_view line) {
          if (program_.in) to_program_.put(line);
        });
    backend_.serve(*server_);
  }

  // Waits until something can be moved, and moves it. False: the broker is gone.
  bool move() {
    const auto when = [](bool wanted, const Fd& fd) { return wanted ? fd.get() : -1; };
    const short both =
        static_cast<short>((has_room() ? POLLIN : 0) | (channel_.out().empty() ? 0 : POLLOUT));
    std::array<pollfd, 4> watched = {{{both != 0 ? socket_ : -1, both, 0},
                                      {when(may_take_requests(), program_.out), POLLIN, 0},
                                      {program_.err.get(), POLLIN, 0},
                                      {when(!to_program_.empty(), program_.in), POLLOUT, 0}}};
    if (::ppoll(watched.data(), watched.size(), nullptr, &before_) < 0) return errno == EINTR;
    if (watched[2].revents != 0) read_words();
    if (watched[1].revents != 0) read_program();
    if (watched[3].revents != 0 && !to_program_.write_to(program_.in.get())) {
      program_.in.reset();
      to_program_.clear();
    }
    if ((watched[0].revents & POLLOUT) != 0 && !channel_.out().write_to(socket_)) return false;
    return (watched[0].revents & ~POLLOUT) == 0 || read_broker();
  }

  Got read(int fd) {
    const ssize_t count = ::read(fd, chunk_.data(), chunk_.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return Got::none;
    if (count <= 0) return Got::end;
    got_ = {chunk_.data(), static_cast<std::size_t>(count)};
    return Got::some;
  }

  bool read_broker() {
    const Got got = read(socket_);
    return got == Got::none || (got == Got::some && channel_.take(as_bytes(got_)).ok());
  }

  // Whoever closes his stdout asks for nothing more; his end is waited for all the same.
  void read_program() {
    const Got got = read(program_.out.get());
    if (got == Got::some) server_->feed(got_);
    if (got != Got::end) return;
    server_->close();
    program_.out.reset();
  }

  Got read_words() {
    const Got got = read(program_.err.get());
    if (got == Got::end) program_.err.reset();
    if (got != Got::some) return got;
    words_ += got_;
    if (words_.size() > limits::kUpstreamErrShownBytes)
      words_.erase(0, words_.size() - limits::kUpstreamErrShownBytes);
    return got;
  }

  // The broker has read all when it has closed its end; what it still says is of no use.
  void say_last() {
    const std::int64_t until_ms = clock_.now().boot_ms + kLastWordsMs;
    if (!words_.empty()) channel_.say(words_);
    bool open = true;
    while (open && clock_.now().boot_ms < until_ms) {
      const bool writes = !channel_.out().empty();
      if (!writes) ::shutdown(socket_, SHUT_WR);
      pollfd wait{socket_, static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0};
      ::poll(&wait, 1, static_cast<int>(kLastWordsMs));
      if ((wait.revents & POLLOUT) != 0) open = channel_.out().write_to(socket_);
      if ((wait.revents & ~POLLOUT) != 0) open = open && read(socket_) != Got::end;
    }
  }

  // As the program did: a forbidden system call of it must be seen by whoever watches the cell.
  int leave(int status) {
    // What it left behind may write on.
    for (int looks = 0; looks < kLastLooks && program_.err && read_words() == Got::some; ++looks) {
    }
    say_last();
    if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
    std::signal(WTERMSIG(status), SIG_DFL);
    ::raise(WTERMSIG(status));
    return kSignalBase + WTERMSIG(status);
  }

  int leave_failed() {
    words_ = to_line(*failed_);
    say_last();
    return kBroken;
  }

  int socket_;
  sigset_t before_;
  Program program_;
  SystemClock clock_;
  Channel channel_;
  ConnectBackend backend_;
  std::optional<mcp::Server> server_;  // once the program runs
  Queue to_program_;
  std::string words_;  // the end of its stderr
  std::optional<int> status_;
  std::optional<Error> failed_;
  std::array<char, kChunkBytes> chunk_{};
  std::string_view got_;
};

}  // namespace

int speak(int socket, int program, std::vector<std::string> argv) {
  return Speaker(socket, program, std::move(argv)).run();
}

}  // namespace taper::tools
