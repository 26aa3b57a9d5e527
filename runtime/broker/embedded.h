// The broker inside a command: everything `taper` does with a node's state, without a daemon. The
// process has called crypto::initialise.
// docs/ARCHITECTURE.md, "The way of one call".
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/authority/authority.h"
#include "runtime/authority/node.h"
#include "runtime/authority/time_report.h"
#include "runtime/base/file.h"
#include "runtime/broker/messages.h"
#include "runtime/sandbox/probe.h"

namespace taper::broker {

// Makes a node: keys, store, node.pub, tools.d. Errors: file_exists, os_failure.
Result<authority::NodeRecord> node_init(const std::string& state, const std::string& name);
Result<authority::NodeRecord> node_record(const std::string& state);

// A new incarnation of the node in the same place, with its keys, tools, policy and trust roots:
// live tasks are ended, every capsule of the old incarnation is refused from then on, and the old
// state lies beside the new one without keys, its log exported as log.tpa (log-2.tpa, …) where it
// could be opened. What signed time had proven stays proven. Also the way out where the store is
// refused as older than its marker, or damaged: then nothing of it is read, and the trust roots
// must be imported again. The parent directory must be writable and the state no mount point.
// Atomic, and a call that was broken off is finished by the next. Errors, before anything is ended
// where that can be seen: state_locked, not_a_state, node_record_malformed, control_unreachable
// (another user's), key_file_exposed, file_exists (what stands beside the state is not of a renewal
// of it), tool_file_malformed (node.toml is no policy, or tools.d holds another user's),
// os_failure.
struct Renewed {
  authority::NodeRecord record;
  Incarnation before;
  std::uint64_t ended = 0;        // live tasks, where the store was taken up in this call
  std::uint64_t roots = 0;        // versions carried over
  bool exported = false;          // the old log
  std::optional<Error> unread;    // why the old store was not taken up
  bool finished_earlier = false;  // only what a call before had left
  std::string aside;              // where the old state lies
};
Result<Renewed> node_renew(const std::string& state);

// Asks the owner where a daemon has the state. Errors: state_locked when another process owns it,
// those of Authority::import_root.
Result<Imported> import_root(const std::string& state, ByteSpan file,
                             const std::optional<Hash>& fleet);

// A challenge for signed time, and a signed time (docs/formats/time.md); both ask the owner where a
// daemon has the state. Errors: state_locked, those of Authority::time_challenge and import_time.
Result<Bytes> time_challenge(const std::string& state);
Status import_time(const std::string& state, ByteSpan file);
// Obeys a signed order to end a task (docs/formats/order.md), of whom it says whether it was over
// before; asks the owner where another process has the state. Errors: state_locked, those of
// Authority::open_order, unknown_task, control_unreachable.
Result<Ordered> import_order(const std::string& state, ByteSpan file);
// An auditor's release of the log (docs/formats/release.md), and how far it is forgotten by now:
// all that may go, or, where a daemon has the state, what went at once. Errors: state_locked, those
// of Authority::import_release.
Result<store::LogFloor> import_release(const std::string& state, ByteSpan file);
// Reading works while another process owns the state.
Result<store::LogFloor> log_floor(const std::string& state);
// What the node knows of the time. Reading works while another process owns the state.
Result<authority::TimeReport> time_report(const std::string& state);

struct RunOptions {
  std::string state;
  std::string capsule_path;
  std::string holder_key_path;  // its folder is never given to a tool
  // Signs the activation statement with the holder's key (statement::kActivation).
  std::function<std::array<std::uint8_t, 64>(ByteSpan statement)> prove;
  std::map<std::string, std::string> inputs;
  // As each step ends. Must not wait: lease, cancel and the cells' beat stand still meanwhile.
  std::function<void(const StepReport&)> on_step;
};

struct RunReport {
  TaskId task;
  bool resumed = false;  // the task was live already
  bool joined = false;   // and this chain of the capsule is new to it
  authority::TaskState state = authority::TaskState::unset;
  authority::EndReason reason = authority::EndReason::none;
  std::vector<StepReport> steps;
  Code code = Code::ok;  // ok only when completed; else why (exit code follows from its kind)
};

// Activates the capsule, runs its plan, ends the task in a terminal state; all of that in the
// daemon where one owns the state (run_through.h). SIGINT and SIGTERM cancel it. An error means
// that there is no task (refused, locked, host cannot), or names the live one that nobody goes on
// with.
Result<RunReport> run(const RunOptions& options);

// Owns the state and serves its sessions on STATE/agent.sock until SIGINT, SIGTERM or `stop`; then
// what runs is killed and settled, and live tasks stay for the next owner. Errors: state_locked,
// file_exists, what this host lacks.
struct ServeOptions {
  std::string state;
  std::string agents = {};  // another socket for agents, beside STATE/agent.sock; may be empty
  std::string holder_key_path = {};  // its folder is never given to a tool; may be empty
  // Of a pipe: closing its other end stops the service, and signals do not.
  Fd stop = {};
  std::function<void()> on_ready = {};
};
Status serve(ServeOptions options);

// Reading works while another process owns the state.
Result<std::vector<authority::TaskView>> task_list(const std::string& state);
Result<authority::TaskView> task_show(const std::string& state, const TaskId& task);
// Errors: unknown_decision; log_pruned where some of the log is forgotten.
Result<authority::DecisionView> why(const std::string& state, const DecisionId& decision);
// Asks the owner over control.sock; commits by itself when nobody owns the state. Success means the
// task's ending is durable. Errors: unknown_task, task_terminal, control_unreachable.
Status task_cancel(const std::string& state, const TaskId& task);
// The same, and the task ends as revoked, by its operator.
Status task_kill(const std::string& state, const TaskId& task);

// Reads one kept result as one of its readers; the read is counted on success. Asks the daemon that
// owns the state, or takes it and has given it back when it returns. Errors, none of which counts a
// read: result_refused, result_missing, store_corrupt, state_locked, those of `prepare`.
struct ResultQuery {
  std::string state;
  TaskId task;
  std::string step;  // "read" or "read[3]"; empty: the last that has a result
  PublicKey reader;
  // Signs with the reader's key (statement::kResultRead).
  std::function<std::array<std::uint8_t, 64>(ByteSpan statement)> prove;
  // Makes room for so many bytes, before the read counts. May be empty.
  std::function<Status(std::size_t bytes)> prepare = {};
};
struct TaskResult {
  CallId call;
  std::string step;
  std::string json;
  std::uint32_t reads_left = 0;
};
Result<TaskResult> task_result(const ResultQuery& query);
// To be called once the result's bytes are where they were asked for: erases it after its last
// read. Without, it lies there, read by nobody, until its retention is over.
Status erase_read_result(const std::string& state, const TaskId& task, const TaskResult& result);

// What the node refuses by itself: where a daemon owns the state, by the policy that it read at its
// start or at its last SIGHUP, else by its file as it stands now.
struct OwnPolicy {
  authority::NodePolicy policy;  // of one that cannot be read: nothing is allowed
  std::string text;              // of its file; empty: none, or unread
  std::optional<Error> unread;   // why
  bool waits = false;  // the file says something else, which the daemon has not taken over
};
OwnPolicy own_policy(const std::string& state);

// What the node stands on now. Where the store is refused, all that is in it is empty.
struct Posture {
  authority::NodeRecord node;
  bool owned = false;          // by a process that answers on control.sock
  std::optional<Error> store;  // why it does not open
  std::string twin;            // of the marker; empty: none
  store::LogHead log;
  std::optional<capsules::TrustRoot> root;  // the newest
  std::vector<authority::TaskView> tasks;
  OwnPolicy own;
};
// Errors: not_a_state, node_record_malformed, store_corrupt.
Result<Posture> posture(const std::string& state, const Now& now);

// The log from record `from` on, as one file of at most so many bytes. Errors: those of
// store::export_log.
Result<Bytes> audit_export(const std::string& state, const std::optional<Nonce>& nonce,
                           std::uint64_t from = 0,
                           std::uint64_t bytes_max = limits::kLogFileBytesMax);
// That a decision stands in the log, as a file that node.pub alone verifies. Errors:
// unknown_decision, log_pruned, those of store::make_receipt.
Result<Bytes> audit_receipt(const std::string& state, const DecisionId& decision);

// The records of the node's log as they stand in it, oldest first, as far as it went when this was
// called; works while another process owns the state, and holds up none. A record lives as long as
// its visit.
Status read_log(const std::string& state,
                const std::function<void(std::uint64_t number, ByteSpan record)>& visit);
// Those that name the task, oldest first. Error: too_large.
struct LoggedRecord {
  std::uint64_t number = 0;
  Bytes record;
};
Result<std::vector<LoggedRecord>> task_log(const std::string& state, const TaskId& task);

// The tools of a state: builtins, and what tools.d has. A file that is wrong is an error that names
// it.
Result<authority::Tools> tools_list(const std::string& state);
// The same as JSON, for `--tools` of lint and sign at the centre.
std::string tools_json(const authority::Tools& tools);

// Asks an MCP server of tools.d, in a cell that is thrown away, for the tools that it offers, and
// writes them beside its file as NAME.pins.json. Pinning allows nothing.
enum class PinMode : std::uint8_t { write, check };
struct PinOptions {
  std::string state;
  std::string name;               // of the server
  std::vector<std::string> with;  // absolute paths that its cell sees besides, read-only
  PinMode mode = PinMode::write;  // check: nothing is written
};
enum class PinChange : std::uint8_t { same, fresh, changed, gone };  // against the pins of now
struct ToolPin {
  std::string name;  // NAME.TOOL
  capsules::Effect effect = capsules::Effect::unset;
  PinChange change = PinChange::same;
  std::vector<std::string> members = {};  // changed: of its definition
  std::string left_out = {};              // why it is no tool of this node; empty: it is one
};
// Whatever stands in it came from the server: whoever shows it escapes it.
struct Pinning {
  std::string path;                  // of the pins
  std::string server, version;       // what the server calls itself; the revision of MCP
  std::vector<ToolPin> tools;        // by name
  std::vector<std::string> unknown;  // [tools.X] of the file that the server does not offer
  bool differs = false;              // from the pins of now
};
// Errors: file_missing, tool_file_malformed, upstream_broken, those of sandbox::ask_upstream.
Result<Pinning> pin_tools(const PinOptions& options);

// That no tool of the capsule is given the holder's key, nor another *.key beside it, for a holder
// whose capsule a daemon spends, which knows no keys of holders. The capsule is taken at its word:
// the node verifies it. Of tools that are not builtins each argument counts as a path. Errors:
// tree_refused, os_failure.
Status check_keys_apart(const capsules::UntrustedCapsule& capsule, const std::string& holder_key);

// Path of a program that stands beside this one. Error: program_missing.
Result<std::string> sibling_program(const std::string& name);

}  // namespace taper::broker
