// Asking the process that owns a state, over its control.sock.
#pragma once

#include <string>

#include "runtime/base/file.h"
#include "runtime/broker/messages.h"

namespace taper::broker {

// A socket in a directory, STATE/control.sock, as a path that fits a socket address however long
// that of the directory is: it is held open, and must be while the path is used.
// Error: os_failure.
class ControlAddress {
 public:
  static Result<ControlAddress> of(const std::string& directory,
                                   const std::string& name = "control.sock");
  const std::string& path() const { return path_; }

 private:
  ControlAddress(int directory, std::string path) : directory_(directory), path_(std::move(path)) {}
  Fd directory_;
  std::string path_;
};

// Waits at most limits::kControlTimeoutMs. Errors: control_unreachable (nobody listens, no answer
// in time, gone before it answered), message_malformed.
Result<ControlReply> ask_owner(const std::string& state, const ControlRequest& request);

}  // namespace taper::broker
