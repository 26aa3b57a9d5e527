// One MCP connection on stdin and stdout, from the opening of its session to the end of its input.
#pragma once

#include <functional>
#include <string>

#include "tools/taper/connect/socket_link.h"

namespace taper::tools {

enum class AtEnd : std::uint8_t {
  leave,     // the task lives on, for another connection of the same holder
  complete,  // the holder says that it is done
};

struct Service {
  int in = 0, out = 1;
  AtEnd at_end = AtEnd::leave;
  std::function<authority::HolderHandshake()> handshake;
  std::function<Result<std::unique_ptr<SessionLink>>(
      boost::asio::io_context&, authority::HolderHandshake, SessionKeeper::Listener, Flow)>
      link;
  std::function<void(const std::string& line)> note;  // for the holder's eyes; never on `out`
};

// Until the input ends, nobody reads the output, or SIGINT, SIGTERM or SIGHUP comes; a second
// signal ends it at once. An error: no session could be opened, or the end could not be told.
Status serve(const Service& service);

}  // namespace taper::tools
