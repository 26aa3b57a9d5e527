// `taper connect --print` and `--write`: telling a client how to start `taper connect`.
#pragma once

#include "tools/taper/connect/clients.h"
#include "tools/taper/output.h"

namespace taper::tools {

Status print_config(const Client& client, const Entry& entry, Output& out);

// Puts the entry into `file`, or where that is empty into the client's own, which is made where it
// is missing. What was there is kept beside it; its mode stays. Nothing is changed by an error:
// those of merged(), usage where the file is no regular one of this user, os_failure.
Status write_config(const Client& client, const Entry& entry, const std::string& file, Output& out);

}  // namespace taper::tools
