// A session between two halves in one process, without a socket: what each half
// sends waits until it is carried over, so neither is ever called from within the other.
#pragma once

#include <deque>
#include <functional>

#include "runtime/broker/session.h"
#include "runtime/broker/session_client.h"

namespace taper::testing {

class LocalLink {
 public:
  // `wake` is called when something begins to wait, from within whatever sent it: it sees to it
  // that `pump` is called soon, and does not call it.
  LocalLink(broker::Session::Host& host, authority::HolderHandshake handshake,
            broker::SessionClient::Listener listener, std::function<void()> wake);

  // Carries over what waits, once each way, in its order; what is said by then waits for the next
  // time. Does nothing when called from within itself. Not to be destroyed from within.
  void pump();
  bool waits() const { return !to_node_.empty() || !to_holder_.empty(); }

  broker::SessionClient& client() { return client_; }
  broker::Session& session() { return session_; }

 private:
  using Queue = std::deque<Bytes>;
  void put(Queue& queue, Bytes message);

  std::function<void()> wake_;
  Queue to_node_, to_holder_;
  bool pumping_ = false;
  broker::Session session_;
  broker::SessionClient client_;
};

}  // namespace taper::testing
