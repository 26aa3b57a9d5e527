// The process inside a resident cell that runs the builtin tools.
#pragma once

#include <vector>

#include "runtime/authority/permit.h"

namespace taper::sandbox {

// Answers framed requests (message.h) on `socket`, one at a time, until the other side closes it.
// `trees` stand at their host path; nothing outside them is opened, by whatever path. Returns the
// exit status of the process: 0 after a clean end, 1 when the stream broke, 2 when the other side
// broke the framing. Needs no program, library, locale or /proc file once it runs;
// crypto::initialise must have run before (in the parent is enough).
int serve_builtins(int socket, const std::vector<authority::GrantedTree>& trees);

}  // namespace taper::sandbox
