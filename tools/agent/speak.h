// Between an agent's program and the broker: serves MCP on the program's stdin and stdout, and asks
// the broker for what the program wants. Runs in the program's cell, so whatever the program does
// to it wins nothing: all that it can ask for is decided by the broker.
#pragma once

#include <string>
#include <vector>

namespace taper::tools {

// Until the program has ended, or the broker has; both descriptors stay open. Gives the program's
// exit status, or dies of the signal that it died of. SIGPIPE must be ignored.
int speak(int socket, int program, std::vector<std::string> argv);

}  // namespace taper::tools
