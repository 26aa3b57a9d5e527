#include "tests/support/child_process.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "runtime/base/assert.h"

namespace taper::testing {

ChildProcess::ChildProcess(const std::function<int()>& work) {
  std::fflush(nullptr);
  pid_ = ::fork();
  TAPER_ASSERT(pid_ >= 0);
  if (pid_ == 0) ::_exit(work());
}

ChildProcess::~ChildProcess() {
  if (done_) return;
  kill_now();
  (void)wait();
}

void ChildProcess::reaped(int status) {
  done_ = true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool ChildProcess::running() {
  int status = 0;
  if (!done_ && ::waitpid(pid_, &status, WNOHANG) == pid_) reaped(status);
  return !done_;
}

void ChildProcess::kill_now() {
  if (!done_) ::kill(pid_, SIGKILL);
}

int ChildProcess::wait() {
  int status = 0;
  if (!done_ && ::waitpid(pid_, &status, 0) == pid_) reaped(status);
  return status_;
}

void pause_ms(int milliseconds) {
  const timespec time{.tv_sec = milliseconds / 1000, .tv_nsec = (milliseconds % 1000) * 1'000'000L};
  ::nanosleep(&time, nullptr);
}

}  // namespace taper::testing
