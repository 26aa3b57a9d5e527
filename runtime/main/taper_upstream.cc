// taper-upstream: started in a server's cell with the broker's socket as descriptor 3 and the
// server's program as descriptor 4; not for people.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/upstream/serve.h"

int main(int argc, char** argv) {
  constexpr int kSocket = 3;
  constexpr int kProgram = 4;
  int type = 0;
  socklen_t size = sizeof type;
  const bool called = argc >= 2 && ::getsockopt(kSocket, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                      type == SOCK_STREAM && ::fcntl(kProgram, F_GETFD) >= 0;
  if (!called) {
    std::fputs("taper-upstream is started by taper, not by hand\n", stderr);
    return 2;
  }
  // The server is of the same user and must not look into this process, nor have what is its.
  const bool closed =
      ::prctl(PR_SET_DUMPABLE, 0) == 0 && ::close_range(kSocket, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
  if (!closed) return 1;
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> words(argv + 1, argv + argc);
  return taper::upstream::serve_upstream(kSocket, {kProgram, words});
}
