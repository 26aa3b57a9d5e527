// The holder's session with a node, opened anew when it ended and something is to be asked. What
// was asked in a session that ended is told so; nothing is asked twice. A task that has ended is
// not followed by another: that would spend an activation that nobody asked for.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/broker/session_client.h"
#include "tools/taper/connect/backend.h"

namespace taper::tools {

// What carries one session: a socket, or a broker in this process. Carries nothing more once it is
// gone.
class SessionLink {
 public:
  virtual ~SessionLink() = default;
  virtual broker::SessionClient& client() = 0;
  // Bytes that the node has not taken yet.
  virtual std::size_t queued() const = 0;
  // Reads on, after whoever takes what comes had no room for it.
  virtual void resume() = 0;
};

class SessionKeeper final : public Asker {
 public:
  using Listener = broker::SessionClient::Listener;
  // Both are called for each attempt to open a session.
  struct Means {
    std::function<authority::HolderHandshake()> handshake;
    std::function<Result<std::unique_ptr<SessionLink>>(authority::HolderHandshake, Listener)> link;
  };
  struct Watch {
    std::function<void(const broker::SessionEvent&)> happened;
    std::function<void()> reopened;           // another session is live, where there was one before
    std::function<void(const Error&)> ended;  // the task; nothing is asked any more
    // About the call that this ticket asked for, and that is unanswered.
    std::function<void(Ticket, const broker::SessionEvent&)> progressed = {};
  };
  SessionKeeper(boost::asio::io_context& io, const Clock& clock, Means means, Watch watch);

  // Opens a session where there is none. Until the first was live one failure is enough; later an
  // absent node is tried again for limits::kConnectPatienceMs.
  void ask(Ticket ticket, broker::SessionRequest request, Told told) override;
  void abandon(Ticket ticket) override;

  // Bytes that the node has not taken yet.
  std::size_t queued() const { return link_ ? link_->queued() : 0; }
  void resume();

 private:
  enum class Phase : std::uint8_t { closed, opening, pausing, live };
  struct Waiting {
    Ticket ticket;
    broker::SessionRequest request;
    Told told;
  };

  void attempt();
  void happened(const broker::SessionEvent& event);
  void opened();
  void over(const Error& error);
  void failed(const Error& error);
  void pass(Waiting waiting);

  boost::asio::io_context& io_;
  const Clock& clock_;
  Means means_;
  Watch watch_;
  boost::asio::steady_timer timer_;  // while opening: to give it up; while pausing: to go on
  Phase phase_ = Phase::closed;
  bool was_live_ = false;
  std::optional<Error> ended_;  // why its task has ended
  std::int64_t since_ms_ = 0;   // of the boot clock: the first attempt in a row
  std::int64_t pause_ms_ = 0;
  std::unique_ptr<SessionLink> link_;
  std::vector<std::unique_ptr<SessionLink>> dead_;  // still being called from
  std::deque<Waiting> waiting_;
  std::map<Ticket, std::uint64_t> numbers_;  // of what is in flight
};

}  // namespace taper::tools
