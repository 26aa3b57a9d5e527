// The holder's side of a session: it opens it, tags what it asks, and believes only replies that
// bear the node's tag. It knows no socket; it is told what came.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "runtime/broker/agent_messages.h"
#include "runtime/broker/session_messages.h"

namespace taper::broker {

// Whether a session that ends with `code` does so because its task has ended.
bool is_task_end(Code code);

class SessionClient {
 public:
  using Send = std::function<void(Bytes message)>;
  // Of one request. An error: there will be no reply, the session is over.
  using Answered = std::function<void(Result<SessionReply> reply)>;
  struct Listener {
    std::function<void(const Opened&)> opened;
    std::function<void(const SessionEvent&)> happened;  // may be empty
    std::function<void(const Error&)> over;             // once; after every open request was told
  };

  SessionClient(authority::HolderHandshake handshake, Send send, Listener listener);

  void start();  // says hello
  void take(ByteSpan message);
  // The stream ended, or the peer is given up.
  void lost(const Error& error);

  // Live only (asserted). Gives the request's number; `abandon` has no answer.
  std::uint64_t ask(const SessionRequest& request, Answered answered);

  bool live() const { return channel_.has_value() && !over_; }
  bool over() const { return over_; }

 private:
  Status dispatch(const AgentMessage& message);
  Status take_tagged(const Tagged& tagged);

  authority::HolderHandshake handshake_;
  Send send_;
  Listener listener_;
  bool asked_ = false;
  std::optional<crypto::Channel> channel_;
  std::map<std::uint64_t, Answered> open_;
  bool over_ = false;
};

}  // namespace taper::broker
