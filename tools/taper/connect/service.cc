#include "tools/taper/connect/service.h"

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <csignal>
#include <optional>
#include <utility>

#include "runtime/base/limits.h"
#include "tools/taper/connect/describe.h"
#include "tools/taper/connect/stdio.h"

namespace taper::tools {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Tickets that are nobody's question: those of the backend count from 1.
constexpr Asker::Ticket kOwnTicket = 0;

class Running {
 public:
  explicit Running(const Service& service) : service_(service) {}

  Status run() {
    TAPER_TRY(stdio_, Stdio::open(io_, service_.in, service_.out));
    await_signal();
    keeper_.ask(kOwnTicket, plain(broker::Ask::describe),
                [this](const Replied& replied) { described(replied); });
    io_.run();
    return std::move(status_);
  }

 private:
  void described(const Replied& replied);
  void await_signal();
  void end();
  void finish();
  // An error that ends the connection before it began, or at its end.
  void fail(const Error& error) {
    status_ = Status(error);
    finish();
  }
  SessionKeeper::Means means();
  bool may_take_requests() const {
    return stdio_->has_room() && keeper_.queued() < limits::kConnectQueueBytesMax;
  }

  const Service& service_;
  asio::io_context io_{1};
  SystemClock clock_;
  Status status_ = success();
  asio::signal_set signals_{io_, SIGINT, SIGTERM, SIGHUP};
  asio::steady_timer patience_{io_};
  std::unique_ptr<Stdio> stdio_;
  SessionKeeper keeper_{
      io_,
      clock_,
      means(),
      {.happened = [this](const broker::SessionEvent& event) { backend_.happened(event); },
       .reopened =
           [this] {
             service_.note("the session with the node ended; another is open");
             backend_.reopened();
           },
       .ended =
           [this](const Error& error) {
             service_.note("the task has ended: " + to_line(error));
             backend_.reopened();
           },
       .progressed =
           [this](Asker::Ticket ticket, const broker::SessionEvent& event) {
             backend_.progressed(ticket, event);
           }}};
  ConnectBackend backend_{keeper_, clock_, service_.note};
  std::optional<mcp::Server> server_;
  bool ending_ = false;
};

SessionKeeper::Means Running::means() {
  return {.handshake = service_.handshake,
          .link = [this](authority::HolderHandshake handshake, SessionKeeper::Listener listener) {
            return service_.link(io_, std::move(handshake), std::move(listener),
                                 {.may_read = [this] { return stdio_->has_room(); },
                                  .drained = [this] { stdio_->resume(); }});
          }};
}

void Running::described(const Replied& replied) {
  if (ending_) return;
  if (const auto* unanswered = std::get_if<Unanswered>(&replied)) return fail(unanswered->why);
  const auto& reply = std::get<broker::SessionReply>(replied);
  if (reply.code != Code::ok) return fail(Error(reply.code));
  const std::optional<mcp::Json> body = mcp::Json::parse(reply.body);
  if (!body) return fail(Error(Code::message_malformed));
  server_.emplace(
      mcp::Identity{"taper", "Taper", TAPER_VERSION, instructions(*body), lease_left_ms(*body)},
      backend_, [this](std::string_view line) { stdio_->put(line); });
  backend_.serve(*server_);
  stdio_->start({.came = [this](std::string_view bytes) { server_->feed(bytes); },
                 .ended = [this] { end(); },
                 .drained = [this] { keeper_.resume(); },
                 .may_read = [this] { return may_take_requests(); }});
}

void Running::await_signal() {
  signals_.async_wait([this](const error_code& error, int /*signal*/) {
    if (error) return;
    if (ending_) return io_.stop();
    await_signal();
    end();
  });
}

void Running::end() {
  if (std::exchange(ending_, true)) return;
  if (server_) server_->close();
  patience_.expires_after(std::chrono::milliseconds(limits::kConnectEndMs));
  patience_.async_wait([this](const error_code& error) {
    if (!error) io_.stop();
  });
  if (!server_ || service_.at_end == AtEnd::leave) return finish();
  status_ = Status(Error(Code::control_unreachable, {.field = "the task's completion",
                                                     .expected = "an answer in time",
                                                     .got = "none",
                                                     .fix = ""}));
  keeper_.ask(kOwnTicket, plain(broker::Ask::close), [this](const Replied& replied) {
    const auto* reply = std::get_if<broker::SessionReply>(&replied);
    if (reply == nullptr) return fail(std::get<Unanswered>(replied).why);
    status_ = reply->code == Code::ok ? success() : Status(Error(reply->code));
    finish();
  });
}

void Running::finish() {
  stdio_->finish([this] { io_.stop(); });
}

}  // namespace

Status serve(const Service& service) {
  std::signal(SIGPIPE, SIG_IGN);
  return Running(service).run();
}

}  // namespace taper::tools
