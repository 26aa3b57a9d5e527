// The process in a server's cell: answers the broker's frames by asking the server.
#pragma once

#include <string>
#include <vector>

namespace taper::upstream {

struct ServerProgram {
  int fd = -1;                    // of the program, for execveat
  std::vector<std::string> argv;  // its words, at least one
};

// Answers framed requests (sandbox/builtin/message.h) on `socket`, one at a time, until the other
// side closes it. The server is started by the first of them. Returns the exit status of the
// process: 0 after a clean end; 1 when the stream broke, or the server did and that was told; 2
// when the other side broke the framing or asks for what cannot be. SIGPIPE must be ignored.
int serve_upstream(int socket, const ServerProgram& server);

}  // namespace taper::upstream
