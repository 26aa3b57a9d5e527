// Asking the process that owns a state, over its control.sock.
#pragma once

#include <optional>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
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

// One conversation with the owner. Errors of all: control_unreachable (nobody listens, no answer
// in time, gone before it answered), message_malformed.
class ControlTalk {
 public:
  static Result<ControlTalk> with_owner(const std::string& state);

  Status send(const ControlRequest& request) const;
  // The next answer; waits no longer than `within_ms`, where given.
  Result<ControlAnswer> next(
      std::optional<std::int64_t> within_ms = limits::kControlTimeoutMs) const;
  // The same where no other kind is in place. The error of a ControlReply is returned as it is.
  template <class Answer>
  Result<Answer> expect(std::int64_t within_ms = limits::kControlTimeoutMs) const {
    TAPER_TRY(ControlAnswer answer, next(within_ms));
    if (auto* wanted = std::get_if<Answer>(&answer)) return std::move(*wanted);
    return refusal(answer);
  }
  int fd() const { return socket_.get(); }  // readable: `next` has an answer, or will not get one

  // What an answer says that was none of those expected.
  static Error refusal(const ControlAnswer& answer);

 private:
  explicit ControlTalk(Fd socket) : socket_(std::move(socket)) {}
  Fd socket_;
};

// control_unreachable, of a live task whose plan nobody goes on with: `how` the owner went.
Error owner_gone(const TaskId& task, std::string how);
// The same of an owner that says that it stops.
Error owner_stopping(const TaskId& task);

// One question and its answer.
Result<ControlReply> ask_owner(const std::string& state, const ControlRequest& request);

}  // namespace taper::broker
