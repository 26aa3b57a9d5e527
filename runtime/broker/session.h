// The node's side of one session, from the first message to the last: which message may come when,
// who wrote it, and what goes back. It never waits and knows no socket; it is told what came.
// docs/formats/session.md
#pragma once

#include <functional>
#include <optional>
#include <set>

#include "runtime/broker/agent_messages.h"
#include "runtime/broker/session_messages.h"

namespace taper::broker {

class Session {
 public:
  // What decides and runs. Outlives its sessions; may call their `reply`, `tell` and `end` at once
  // or later, until it is told that the session is gone.
  class Host {
   public:
    virtual ~Host() = default;
    // With a challenge of its own, used once.
    virtual Challenge challenge() = 0;
    // Takes the holder's proof and gives the task. An error is told the peer by its number alone.
    virtual Result<authority::NodeAnswer> admit(Session& session, const Challenge& challenge,
                                                const Open& open) = 0;
    // Answered once by `reply`, with the same number. An `abandon` is not answered.
    virtual void ask(Session& session, std::uint64_t number, SessionRequest request) = 0;
    // The session took a message that does not belong there, and ends; the host counts that.
    // Whoever wrote it has proved nothing, also where the session was live.
    virtual void misused(Session& session, const Error& error) = 0;
    // What runs at the end of a channel wrote its last words. Only of one that this process made.
    virtual void said(Session&, std::string) {}
    // Once, before the session goes, however it ended: nobody answers it after this. Its
    // challenge, where that was never answered (`asked`), is not wanted any more.
    virtual void gone(Session& session) = 0;
  };
  // Hands one message to the peer; it may be kept by whoever sends.
  using Send = std::function<void(Bytes message)>;

  Session(Host& host, Send send);
  // Of a channel that this process made itself, to what it started for the task's holder: live from
  // the beginning, and its messages bear no tag. Requests are numbered from 1.
  Session(Host& host, const TaskId& task, Send send);
  ~Session() { lost(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Whatever does not fit ends the session: an unknown or unexpected kind, a wrong tag.
  void take(ByteSpan message);
  // The answer to the request of that number, which must be open (asserted). Nothing when over.
  void reply(std::uint64_t number, Code code, std::string body);
  // Something happened that nobody asked for just now.
  void tell(SessionEvent event);
  // Says why, by number alone, and is over.
  void end(Code code);
  // Nobody is there any more to be told anything.
  void lost();

  bool over() const { return phase_ == Phase::over; }
  bool live() const { return phase_ == Phase::live; }
  const TaskId& task() const { return task_; }  // once live
  // The challenge that was given out and is not answered yet.
  const std::optional<Challenge>& asked() const { return asked_; }
  // The longest message that can make sense now.
  std::size_t message_bytes_max() const;
  // Above limits::kSessionAsksMax, further requests are answered with session_busy.
  std::size_t open_requests() const { return open_.size(); }

 private:
  enum class Phase : std::uint8_t { hello, open, live, over };

  Status dispatch(const AgentMessage& message);
  Status take_hello();
  Status take_open(const Open& open);
  Status take_tagged(const Tagged& tagged);
  Status take_plain(ByteSpan message);
  Status take_request(std::uint64_t number, SessionRequest request);
  void send(const SessionMessage& message);

  Host& host_;
  Send send_;
  Phase phase_ = Phase::hello;
  std::optional<Challenge> asked_;
  bool gone_ = false;
  std::optional<crypto::Channel> channel_;
  bool plain_ = false;
  std::uint64_t plain_taken_ = 0;  // requests
  TaskId task_;
  std::set<std::uint64_t> open_;  // requests that have no answer yet
};

}  // namespace taper::broker
