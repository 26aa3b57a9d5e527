// Serving agent.sock: any number of sessions up to a limit, each with its own queue. A peer that
// does not read is not read from either, and cut off in the end; so is one that never proves
// itself. Whoever floods it with strangers' connections pushes out his own.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/session.h"

namespace taper::broker {

class AgentServer {
 public:
  // Binds `path` in place of a socket that a dead owner left. Who may connect is the directory's
  // and the socket's mode (0660); everybody who can must still prove to be a capsule's holder.
  // Errors: os_failure, file_exists.
  static Result<std::unique_ptr<AgentServer>> listen(boost::asio::io_context& io,
                                                     const std::string& path, Session::Host& host);
  ~AgentServer();  // ends every session without a word, removes the socket; before io and host
  AgentServer(const AgentServer&) = delete;
  AgentServer& operator=(const AgentServer&) = delete;

  // Serves one channel and no other peer: a session of `task` that is live already. What is at its
  // other end was started by this process.
  static std::unique_ptr<AgentServer> over(boost::asio::io_context& io, Fd channel,
                                           Session::Host& host, const TaskId& task,
                                           std::function<void()> after);
  Session& channel();  // of a server over one, whose peer is there

  struct Options {
    std::function<void()> after = nullptr;  // when something was read and taken
    std::int64_t open_within_ms = limits::kAgentOpenTimeoutMs;
  };
  void serve(Options options);
  // Takes no new peers.
  void stop();
  std::size_t peers() const;

 private:
  struct State;
  explicit AgentServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace taper::broker
