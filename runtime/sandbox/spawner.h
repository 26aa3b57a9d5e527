// Running tools. A Spawner owns the process taper-spawnd, which starts every cell; when either
// dies, so does every tool. Each run takes a Permit. No call here waits; `poll` is told by
// `wait_fd` when to look.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "runtime/authority/permit.h"
#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace taper::sandbox {

// A program's bytes, or a script's, copied into a sealed memory file and hashed there: what is
// hashed is what runs.
class Program {
 public:
  // Errors: program_unfit (missing, not absolute, not a regular ELF file, writable by others, too
  // large). A copy among `known` of the very file, unchanged since by its size and times, is given
  // again, as large programs take long to read.
  static Result<Program> load(const std::string& path, const std::map<Hash, Program>& known = {});
  // The same of another regular file, such as a script, that is open and of which the caller has
  // looked at all but the size. Errors: too_large, os_failure.
  static Result<Program> copy(int file, const std::string& path, std::size_t bytes_max,
                              const std::map<Hash, Program>& known = {});
  const Hash& hash() const { return hash_; }
  int fd() const { return fd_.get(); }

 private:
  // What tells a file that was not written to since: device, inode, size, modified and changed in
  // seconds and nanoseconds. Empty: it was written to just then, so a later write may not show.
  using Identity = std::vector<std::int64_t>;
  static Result<Program> copy(int file, const std::string& path, Identity identity,
                              std::size_t size, const std::map<Hash, Program>& known);
  Identity file_;
  Fd fd_;
  Hash hash_;
};

enum class RunEnd : std::uint8_t {
  unset,
  done,        // the builtin or server answered, or the command exited with status 0
  failed,      // the builtin or server refused or failed, or the command exited otherwise
  signalled,   // the command died of a signal it earned itself
  violation,   // the kernel killed it for a forbidden system call
  deadline,    // its cell reached its deadline
  output_cap,  // it wrote more than its cap
  killed,      // kill_task or kill_call
  refused,     // a sandbox layer or set-up step failed: it never ran
  lost,        // the spawner or the cell went away
};

// What a builtin or an upstream gives back: named values, and rows for lists. Text may be any
// bytes.
using FieldValue = std::variant<std::int64_t, bool, std::string>;
struct Field {
  std::string name;
  FieldValue value;
};
using Row = std::vector<Field>;
struct BuiltinResult {
  Row fields;
  std::string rows_name;  // empty: no rows
  std::vector<Row> rows;
};

// How far an upstream's call says that it is.
struct ToolProgress {
  double done = 0;              // finite
  std::optional<double> total;  // finite
  std::string message;          // UTF-8, at most limits::kProgressTextBytesMax
};
struct ProgressReport {
  TaskId task;
  CallId call;
  ToolProgress progress;
};

struct RunReport {
  TaskId task;
  CallId call;
  RunEnd end = RunEnd::unset;
  Error error{Code::ok};  // where the end is not done: code, and the layer, step or errno
  BuiltinResult result;   // builtins, upstreams
  std::string out, err;   // commands, up to the cap
  int exit_status = 0;    // commands
  int signal = 0;
  // Processor time: of a command's cell, or of a builtin's one call. Empty: not known, as always of
  // an upstream's.
  std::optional<std::uint64_t> cpu_ms = {};
};

class Spawner {
 public:
  // Starts `spawnd_path` (absolute). Call it on a thread that lives as long as the spawner: spawnd
  // dies with the thread that started it (PR_SET_PDEATHSIG), not with the process. Errors:
  // program_missing, os_failure.
  static Result<std::unique_ptr<Spawner>> launch(const std::string& spawnd_path);
  ~Spawner();  // closes the lifeline: spawnd and every cell die
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  // Readable (poll/epoll) when `poll` has something to do.
  int wait_fd() const;
  pid_t pid() const;

  // Runs what the permit allows. A builtin runs in the resident cell of {task, grant}, started on
  // first use; a command in a cell of its own, from `program`, whose hash must be the permit's; an
  // upstream's call in the resident cell of {task, grant} in which its server, `program`, is. Calls
  // that wait for such a cell when it ends are reported failed. `entry`: the copies of the permit's
  // entry files, in their order. Exactly one report follows on success. Errors: program_unfit
  // (a hash), program_missing (taper-upstream is not beside spawnd), spawner_lost, too many cells.
  using Copies = std::vector<const Program*>;
  Status run(authority::Permit&& permit, const Program* program, const Copies& entry = {});

  // Starts the agent's program, whose hash must be the permit's, in a cell of its own, and gives
  // the broker's end of the socket to what speaks with it there. `entry` as for `run`. Exactly one
  // report of the permit's call follows on success. Errors: as `run`, of taper-agent.
  Result<Fd> run_agent(authority::Permit&& permit, const Program* program,
                       const Copies& entry = {});

  // What was reported since the last call, and perhaps not all of it: `wait_fd` tells of the rest.
  // Never waits. Error: spawner_lost, once; every run under way has been reported `lost` by then.
  Result<std::vector<RunReport>> poll();
  // What `poll` heard of calls under way since this was asked last: of each cell the newest.
  std::vector<ProgressReport> take_progress();

  // Tells spawnd that the broker lives; at least every limits::kBrokerBeatMs while it has cells.
  Status beat();

  // SIGKILLs every cell of the task, resident ones too. Runs under way are reported `killed`.
  Status kill_task(const TaskId& task);
  Status kill_call(const CallId& call);
  // Cells of the task not yet confirmed dead (their whole process tree).
  std::size_t cells_alive(const TaskId& task) const;
  bool has_cells() const;  // of any task

 private:
  struct State;
  explicit Spawner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
  friend struct ThrowAway;  // ask_upstream.cc: the one run that no permit is behind
};

}  // namespace taper::sandbox
