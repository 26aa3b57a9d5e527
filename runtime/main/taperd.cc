// taperd: owns a node's state and serves its sessions. Started by systemd, or by hand.
#include <csignal>
#include <cstdio>
#include <string>
#include <string_view>

#include "crypto/crypto.h"
#include "runtime/broker/embedded.h"

namespace {

int fail(const taper::Error& error) {
  std::fputs(("taperd: " + taper::to_line(error) + "\n").c_str(), stderr);
  return taper::exit_code(error.code());
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kUsage = 2;
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::puts("taperd " TAPER_VERSION);
    return 0;
  }
  const bool asked = argc == 2 && std::string_view(argv[1]) == "--help";
  const bool more = argc == 5 && std::string_view(argv[3]) == "--agents";
  if ((argc != 3 && !more) || std::string_view(argv[1]) != "--state") {
    std::fputs(
        "usage: taperd --state DIR [--agents SOCKET]\n"
        "Owns the node's state in DIR, made by 'taper node init', and serves agents on\n"
        "DIR/agent.sock and operators on DIR/control.sock until SIGTERM; SIGHUP has it\n"
        "tell which files of tools.d are wrong. With --agents it serves agents on that\n"
        "socket too, for users who may not enter DIR.\n",
        asked ? stdout : stderr);
    return asked ? 0 : kUsage;
  }
  // Whoever reads its warnings may go; spawnd takes every signal's default again.
  std::signal(SIGPIPE, SIG_IGN);
  if (const taper::Status ready = taper::crypto::initialise(); !ready.ok())
    return fail(ready.error());
  taper::broker::ServeOptions options;
  options.state = argv[2];
  if (more) options.agents = argv[4];
  options.on_ready = [] { std::fputs("taperd: ready\n", stderr); };
  const taper::Status served = taper::broker::serve(std::move(options));
  return served.ok() ? 0 : fail(served.error());
}
