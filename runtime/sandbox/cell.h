// One cell: a process tree in seven namespaces of its own, built by an ordered list of named steps.
// Every step that fails ends the cell before the tool exists; nothing is tried again with less.
// Private to the folder.
#pragma once

#include <span>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/result.h"
#include "runtime/sandbox/tree_source.h"
#include "runtime/sandbox/wire.h"

namespace taper::sandbox {

// Descriptors that a cell takes along; they are spawnd's and stay open there.
struct CellFds {
  int null = -1;      // /dev/null, read and write
  int lifeline = -1;  // read end: at its end spawnd is dead and the cell ends itself
  int program = -1;   // not builtins: the sealed program
  int out = -1;
  int err = -1;
  int secrets = -1;             // where there are any: the sealed values
  int socket = -1;              // not commands: the cell's end of the socket
  int helper = -1;              // servers, agents: the sealed program that speaks with them
  std::vector<int> entry = {};  // servers, agents: the sealed copies of their order's entry
};

// Making a network namespace takes longest of all. Where spawnd may, it lives in one that nobody
// else has and hands that over, then makes itself the next while the cell is being built.
enum class Network : std::uint8_t { made, handed_over };

struct CellPlan {
  CellOrder order;
  Starter starter = Starter::user;
  Network network = Network::made;
  CellFds fds;
  std::vector<Fd> trees;  // one mount for each tree; Starter::user opens them in the cell

  // Set by start_cell, for the cell's own side.
  Fd status;  // where the cell leaves its CellGone
  Fd mapped;  // Starter::root: a byte in it says that the id maps are written
  uid_t outer_uid = 0;
  gid_t outer_gid = 0;
  Fd root;  // between build_root and enter_root
};

struct CellStep {
  const char* name;  // a layer or a step, as a refusal names it
  Code code;         // sandbox_layer or sandbox_setup
  Status (*run)(CellPlan& plan);
};

// The steps of the cell's init, in order, then those of the tool's own process. exec or the
// builtins' loop follows.
struct CellSteps {
  std::vector<CellStep> init;
  std::vector<CellStep> tool;
};
CellSteps cell_steps();

struct StartedCell {
  pid_t pid = -1;
  Fd pidfd;   // readable once every process of the cell is gone
  Fd status;  // packets of encode_news(CellGone); the first counts
};

// Starts a cell and returns without waiting for it. Errors: sandbox_layer "namespaces" or
// "user namespace", os_failure. A step that fails later stands in the status pipe.
Result<StartedCell> start_cell(CellPlan plan, const CellSteps& steps);

// The first news in a dead cell's status pipe; CellEnd::lost when there is none.
CellGone read_status(int status);

// Runs the steps in order. The error is the failing step's own where it names a tree or a layer,
// else {step.code, step.name, what the system said}.
Status run_steps(std::span<const CellStep> steps, CellPlan& plan);

// The steps. cell_root.cc, cell_privileges.cc
Status take_identity(CellPlan& plan);
Status forbid_namespaces(CellPlan& plan);
Status open_trees(CellPlan& plan);
Status build_root(CellPlan& plan);
Status enter_root(CellPlan& plan);
Status set_host_name(CellPlan& plan);
Status limit_resources(CellPlan& plan);
Status drop_capabilities(CellPlan& plan);
Status separate_tool(CellPlan& plan);
Status limit_memory(CellPlan& plan);
Status forbid_new_privileges(CellPlan& plan);
Status bind_landlock(CellPlan& plan);
Status bind_seccomp(CellPlan& plan);

// The rest of the cell's life, after the init's steps: starts the tool, reaps, watches the lifeline
// and the deadline, leaves the status. cell_init.cc
[[noreturn]] void run_init(CellPlan& plan, const CellSteps& steps);

// Leaves `gone` in the status pipe and ends the process.
[[noreturn]] void leave(const CellPlan& plan, const CellGone& gone);

}  // namespace taper::sandbox
