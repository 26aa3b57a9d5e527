#include <csignal>
#include <cstdio>

#include "runtime/broker/embedded.h"
#include "tools/taper/command.h"

namespace taper::tools {

void add_serve_verb(Command& command) {
  auto state = std::make_shared<std::string>();
  auto agents = std::make_shared<std::string>();
  CLI::App* verb = command.verb(
      &command.app, "serve", "Own a node's state and serve its sessions, as taperd does",
      "taper serve --state ./state", [&command, state, agents]() -> Status {
        std::signal(SIGPIPE, SIG_IGN);  // whoever reads its warnings may go
        broker::ServeOptions options;
        options.state = *state;
        options.agents = *agents;
        // On stderr: stdout is for what a verb has found out, and this one only ends.
        options.on_ready = [state] {
          std::fputs(("serving " + *state + "/agent.sock\n").c_str(), stderr);
        };
        TAPER_CHECK(broker::serve(std::move(options)));
        command.out.line("stopped");
        return success();
      });
  verb->add_option("--state", *state, "The node's state")->required();
  verb->add_option("--agents", *agents,
                   "Another socket for agents, for users who may not enter the state");
}

}  // namespace taper::tools
