// taper-agent: started in an agent's cell with the broker's socket as descriptor 3 and the agent's
// program as descriptor 4; not for people.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "tools/agent/speak.h"

int main(int argc, char** argv) {
  constexpr int kSocket = 3;
  constexpr int kProgram = 4;
  int type = 0;
  socklen_t size = sizeof type;
  const bool called = argc >= 2 && ::getsockopt(kSocket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                      type == SOCK_STREAM && ::fcntl(kProgram, F_GETFD) >= 0;
  if (!called) {
    std::fputs("taper-agent is started by taper, not by hand\n", stderr);
    return 2;
  }
  // The program is of the same user and must not look into this process, nor have what is its.
  const int flags = ::fcntl(kSocket, F_GETFL);
  const bool closed = ::prctl(PR_SET_DUMPABLE, 0) == 0 &&
                      ::close_range(kSocket, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
                      ::fcntl(kSocket, F_SETFL, flags | O_NONBLOCK) == 0;
  if (!closed) return 1;
  std::signal(SIGPIPE, SIG_IGN);
  return taper::tools::speak(kSocket, kProgram, std::vector<std::string>(argv + 1, argv + argc));
}
