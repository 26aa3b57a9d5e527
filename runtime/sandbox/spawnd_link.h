// The broker's hold on a taper-spawnd. Private to the folder.
#pragma once

#include <sys/types.h>

#include <string>

#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace taper::sandbox {

class SpawndLink {
 public:
  // Errors: program_missing, os_failure.
  static Result<SpawndLink> launch(const std::string& path);
  SpawndLink(SpawndLink&& other) noexcept;
  SpawndLink& operator=(SpawndLink&&) = delete;
  // Closes the socket, at which spawnd kills its cells and ends; waits for that, at most
  // limits::kKillConfirmMs, then kills it.
  ~SpawndLink();

  int socket() const { return socket_.get(); }
  pid_t pid() const { return pid_; }

 private:
  SpawndLink(pid_t pid, Fd socket) : pid_(pid), socket_(std::move(socket)) {}
  pid_t pid_ = -1;
  Fd socket_;
};

}  // namespace taper::sandbox
