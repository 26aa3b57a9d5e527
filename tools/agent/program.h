// The agent's program as a child of this process, and the pipes to it. What it leaves behind dies
// with the cell.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace taper::tools {

class Program {
 public:
  // `fd`: of the program, kept open by the caller, close-on-exec like all of this process but the
  // first three. `argv`: its words, at least one. `mask`: the signals that it has blocked.
  Program(int fd, std::vector<std::string> argv, const sigset_t& mask);
  ~Program();  // kills it
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Error: os_failure.
  Status start();
  // Its status, as of waitpid, once it has ended.
  std::optional<int> ended();

  Fd in, out, err;  // ours, none of which waits; reset by whoever has no more use for one

 private:
  int fd_;
  std::vector<std::string> argv_;
  sigset_t mask_;
  pid_t pid_ = -1;
};

}  // namespace taper::tools
