#include "tools/taper/connect_node.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <future>
#include <memory>

#include "runtime/broker/embedded.h"

namespace taper::tools {
namespace {

// Told once: that it serves, or why it does not.
class Started {
 public:
  void tell(Status status) {
    if (!std::exchange(told_, true)) promise_.set_value(std::move(status));
  }
  Status wait() { return promise_.get_future().get(); }

 private:
  bool told_ = false;  // of the broker's thread
  std::promise<Status> promise_;
};

}  // namespace

Status EmbeddedNode::start(const std::string& state, const std::string& holder_key) {
  stop();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_error("pipe", errno);
  Fd theirs(ends[0]);
  stop_.reset(ends[1]);
  const auto started = std::make_shared<Started>();
  broker::ServeOptions options{.state = state,
                               .holder_key_path = holder_key,
                               .stop = std::move(theirs),
                               .on_ready = [started] { started->tell(success()); }};
  // Signals stay with the thread that ends the connection.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::thread([started, options = std::move(options)]() mutable {
    started->tell(broker::serve(std::move(options)));
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  Status status = started->wait();
  if (!status.ok()) stop();
  return status;
}

void EmbeddedNode::stop() {
  stop_.reset();
  if (thread_.joinable()) thread_.join();
}

}  // namespace taper::tools
