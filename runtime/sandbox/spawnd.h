// The process taper-spawnd. Private to the folder and to its main.
#pragma once

#include "runtime/base/file.h"

namespace taper::sandbox {

// Serves the broker on `socket` until it closes, breaks the framing or is silent for
// limits::kBrokerSilenceMs; then every cell is dead. The result is the exit status. Needs to be the
// only thread.
int run_spawnd(Fd socket);

}  // namespace taper::sandbox
