// Serving control.sock: any number of conversations up to a limit, each of one process that may do
// all that the state's owner may. A peer that is slow, foreign or unclear is cut off.
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
  // One conversation. Each request that a host is handed is answered by one of these, at once.
  class Peer {
   public:
    virtual void end(const ControlAnswer& last) = 0;     // the last word
    virtual void ask(const ControlAnswer& answer) = 0;   // another request may follow
    virtual void hold(const ControlAnswer& answer) = 0;  // more is told of it, until `end`
    virtual void tell(const ControlAnswer& answer) = 0;  // while it is held, or before `end`
    virtual uid_t uid() const = 0;                       // of its process, as the kernel says

   protected:
    ~Peer() = default;
  };
  class Host {
   public:
    virtual ~Host() = default;
    virtual void take(Peer& peer, ControlRequest request) = 0;
    // It is no more, whether it had its last word or went away: forget it.
    virtual void gone(Peer& peer) = 0;
  };

  // Binds STATE/control.sock (0600), in place of one that a dead owner left. The caller owns the
  // state's lock. Peers of another user than ours are refused, root excepted. Error: os_failure.
  static Result<std::unique_ptr<ControlServer>> listen(boost::asio::io_context& io,
                                                       const std::string& state);
  ~ControlServer();  // cuts off every peer without a word, removes the socket; before io and host
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // From here on connections are taken, at most limits::kControlPeersMax at once beside those that
  // are held; those that came earlier have waited. `after` is told when a request has been
  // answered or a peer has gone.
  void serve(Host& host, std::function<void()> after);
  void stop();  // takes no new peers and no new requests

 private:
  struct State;
  explicit ControlServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace taper::broker
