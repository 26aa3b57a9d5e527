#include "tests/support/local_link.h"

#include <utility>

namespace taper::testing {

LocalLink::LocalLink(broker::Session::Host& host, authority::HolderHandshake handshake,
                     broker::SessionClient::Listener listener, std::function<void()> wake)
    : wake_(std::move(wake)),
      session_(host, [this](Bytes message) { put(to_holder_, std::move(message)); }),
      client_(
          std::move(handshake), [this](Bytes message) { put(to_node_, std::move(message)); },
          std::move(listener)) {}

void LocalLink::put(Queue& queue, Bytes message) {
  const bool first = !waits();
  queue.push_back(std::move(message));
  if (first && !pumping_) wake_();
}

void LocalLink::pump() {
  if (std::exchange(pumping_, true)) return;
  for (const Bytes& message : std::exchange(to_node_, {})) session_.take(message);
  for (const Bytes& message : std::exchange(to_holder_, {})) client_.take(message);
  pumping_ = false;
  if (waits()) wake_();
}

}  // namespace taper::testing
