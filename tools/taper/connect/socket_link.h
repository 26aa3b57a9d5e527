// A session over agent.sock.
#pragma once

#include "runtime/base/file.h"
#include "tools/taper/connect/session.h"

namespace taper::tools {

struct Flow {
  std::function<bool()> may_read;  // whether there is room for more of what comes
  std::function<void()> drained;   // the node took something of what waits for it
};

// Error: control_unreachable, when nobody listens.
Result<Fd> open_socket(const std::string& path);

// Over a socket of `path` that is open.
std::unique_ptr<SessionLink> link_over(boost::asio::io_context& io, Fd socket,
                                       const std::string& path,
                                       authority::HolderHandshake handshake,
                                       SessionKeeper::Listener listener, Flow flow);

}  // namespace taper::tools
