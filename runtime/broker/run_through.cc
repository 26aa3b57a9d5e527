#include "runtime/broker/run_through.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/base/limits.h"
#include "runtime/broker/owned_state.h"

namespace taper::broker {
namespace {

// SIGINT and SIGTERM as something to read, and to nobody else until this goes.
class Interrupts {
 public:
  static Result<Interrupts> take() {
    sigset_t wanted;
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, SIGINT);
    ::sigaddset(&wanted, SIGTERM);
    Interrupts taken;
    taken.fd_.reset(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!taken.fd_) return os_error("signalfd", errno);
    ::pthread_sigmask(SIG_BLOCK, &wanted, &taken.before_);
    return taken;
  }
  ~Interrupts() {
    if (fd_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Interrupts(Interrupts&&) noexcept = default;
  Interrupts& operator=(Interrupts&&) = delete;

  int fd() const { return fd_.get(); }
  bool pressed() const {
    signalfd_siginfo news{};
    return ::read(fd_.get(), &news, sizeof(news)) > 0;
  }

 private:
  Interrupts() = default;
  Fd fd_;
  sigset_t before_{};
};

// Where there are too many for one message, their whole folder.
Result<std::vector<std::string>> hidden_keys(const std::string& holder_key) {
  TAPER_TRY(std::vector<std::string> keys, keys_of_holder(holder_key));
  if (keys.size() > limits::kControlKeysMax)
    keys = {keys.front().substr(0, keys.front().rfind('/') + 1)};
  return keys;
}

// A capsule that cannot be read is handed on without a proof: the owner says what is wrong with it.
Result<ControlRequest> prove_run(const RunOptions& options, Bytes file,
                                 const ControlChallenge& given) {
  TAPER_TRY(const authority::NodeRecord node, authority::read_node(options.state));
  ControlRequest request{
      .verb = ControlVerb::run, .challenge = given.challenge, .inputs = options.inputs};
  TAPER_TRY(request.keys, hidden_keys(options.holder_key_path));
  const auto capsule = capsules::read_untrusted(file, {});
  if (capsule.ok())
    request.proof = options.prove(authority::activation_statement(
        given.fleet, node.sign, node.incarnation, capsule->chain, given.challenge, options.inputs));
  request.file = std::move(file);
  return request;
}

class Watch {
 public:
  Watch(const ControlTalk& talk, const RunOptions& options) : talk_(talk), options_(options) {}

  Result<RunReport> until_end(const Interrupts& interrupts) {
    while (!over_) {
      pollfd news[] = {{.fd = talk_.fd(), .events = POLLIN, .revents = 0},
                       {.fd = interrupts.fd(), .events = POLLIN, .revents = 0}};
      if (::poll(news, 2, -1) < 0 && errno != EINTR) return os_error("poll", errno);
      pressed_ = interrupts.pressed() || pressed_;
      if (news[0].revents != 0) TAPER_CHECK(take_next());
      if (pressed_ && !begun_) return given_up();
      if (pressed_ && !over_) TAPER_CHECK(cancel());
    }
    report_.steps = steps_.take();
    return std::move(report_);
  }

 private:
  Status take_next() {
    const Result<ControlAnswer> answer = talk_.next(std::nullopt);
    if (!answer.ok()) return begun_ ? owner_gone(report_.task, "gone") : answer.error();
    if (const auto* begun = std::get_if<RunBegun>(&*answer); begun != nullptr && !begun_) {
      begun_ = true;
      report_.task = begun->task;
      report_.resumed = begun->resumed;
      report_.joined = begun->joined;
    } else if (const auto* step = std::get_if<StepReport>(&*answer); step != nullptr && begun_) {
      if (options_.on_step) options_.on_step(*step);
      steps_.keep(*step);
    } else if (const auto* ended = std::get_if<RunEnded>(&*answer); ended != nullptr && begun_) {
      over_ = true;
      report_.state = ended->state;
      report_.reason = ended->reason;
      report_.code = ended->code;
    } else {
      return ControlTalk::refusal(*answer);
    }
    return success();
  }

  static Error given_up() {
    return Error(Code::control_unreachable,
                 {.field = "control.sock",
                  .expected = "an answer",
                  .got = "an interrupt before it came",
                  .fix = "nothing is begun unless its owner was at it: see 'taper task list'"});
  }

  // An owner that does not hear this either would be waited for without end.
  Status cancel() {
    pressed_ = false;
    const auto reply =
        ask_owner(options_.state, {.verb = ControlVerb::cancel, .task = report_.task});
    return reply.ok() ? success() : Status(owner_gone(report_.task, to_line(reply.error())));
  }

  const ControlTalk& talk_;
  const RunOptions& options_;
  RunReport report_;
  StepReports steps_;
  bool begun_ = false, over_ = false, pressed_ = false;
};

}  // namespace

Result<RunReport> run_through(const ControlTalk& talk, const RunOptions& options, Bytes file) {
  TAPER_CHECK(talk.send({.verb = ControlVerb::challenge}));
  TAPER_TRY(const ControlChallenge given, talk.expect<ControlChallenge>());
  TAPER_TRY(const ControlRequest request, prove_run(options, std::move(file), given));
  if (request.inputs.size() > limits::kInputsMax ||
      encode(request).size() > limits::kControlMessageBytesMax)
    return Error(Code::too_large,
                 {.field = "inputs",
                  .expected = "at most " + std::to_string(limits::kControlMessageBytesMax) +
                              " bytes with the capsule",
                  .got = "more",
                  .fix = ""});
  TAPER_TRY(const Interrupts interrupts, Interrupts::take());
  TAPER_CHECK(talk.send(request));
  return Watch(talk, options).until_end(interrupts);
}

}  // namespace taper::broker
