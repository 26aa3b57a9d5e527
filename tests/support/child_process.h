// Work done in a forked process, by a test that has no other thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace taper::testing {

// Forks; the child runs `work` and exits with what it returns. The destructor kills and reaps it.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<int()>& work);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void kill_now();  // SIGKILL
  // Waits; the exit status, or 128 and the signal's number.
  int wait();

 private:
  void reaped(int status);
  pid_t pid_ = -1;
  bool done_ = false;
  int status_ = 0;
};

void pause_ms(int milliseconds);

// Processes on this host that have `marker` in their command line; this one is not counted.
int processes_with(const std::string& marker);
// The same, once they are at most `most`, or a minute has passed.
int wait_until_fewer(const std::string& marker, int most);
// Children of a process, by /proc.
std::vector<pid_t> children_of(pid_t parent);

}  // namespace taper::testing
