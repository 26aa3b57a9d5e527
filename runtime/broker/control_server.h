// Serving control.sock: one request, one reply, one connection. A peer that is slow, foreign or
// unclear is cut off.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "runtime/broker/messages.h"

namespace taper::broker {

class ControlServer {
 public:
  using Handler = std::function<ControlReply(const ControlRequest&)>;

  // Binds STATE/control.sock (0600), in place of one that a dead owner left. The caller owns the
  // state's lock. Peers of another user than ours are refused, root excepted. Error: os_failure.
  static Result<std::unique_ptr<ControlServer>> listen(boost::asio::io_context& io,
                                                       const std::string& state);
  ~ControlServer();  // removes the socket
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // From here on connections are taken, at most limits::kControlPeersMax at once; those that came
  // earlier have waited. `after` is told when a request has been answered.
  void serve(Handler handler, std::function<void()> after);
  void stop();

 private:
  struct State;
  explicit ControlServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace taper::broker
