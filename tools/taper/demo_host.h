// What demo and zsp-check need of the host: this same command as a child, a network with nothing in
// it, and a count of processes.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace taper::tools {

struct ChildEnd {
  int exit_code = -1;  // 128 + the signal where it died of one
  std::string out, err;
};

// A program with `arguments`, its output in unnamed files until `finish_child` has waited for it.
struct Child {
  pid_t pid = -1;
  int out = -1, err = -1;
};
Result<Child> start_program(const std::string& path, const std::vector<std::string>& arguments);
inline constexpr const char* kThisProgram = "/proc/self/exe";
// This same program.
Result<Child> start_self(const std::vector<std::string>& arguments);
Result<ChildEnd> finish_child(const Child& child);
// True while it runs.
bool still_runs(const Child& child);
Result<ChildEnd> run_self(const std::vector<std::string>& arguments);

// Processes anywhere on the host with `marker` among their arguments.
int count_processes(const std::string& marker);

// Moves this process into a network namespace of its own, with a user namespace around it for an
// ordinary user, and executes this program anew with `arguments`. Returns only when that failed.
Error enter_empty_network(const std::vector<std::string>& arguments);
// Names of the network interfaces that are up, separated by spaces.
std::string interfaces_up();

void sleep_ms(int milliseconds);

}  // namespace taper::tools
