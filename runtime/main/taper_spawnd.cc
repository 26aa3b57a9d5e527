// taper-spawnd: started by taper with the broker's socket as descriptor 3; not for people.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/sandbox/spawnd.h"

int main() {
  constexpr int kSocket = 3;
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(kSocket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    std::fputs("taper-spawnd is started by taper, not by hand\n", stderr);
    return 2;
  }
  ::_exit(taper::sandbox::run_spawnd(taper::Fd(kSocket)));
}
