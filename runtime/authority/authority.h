// The authority decides. It alone admits capsules, allows calls and makes Permits; every decision
// and every change of a task is durable, with its audit record, before anybody hears of it.
//
// Synchronous, one thread, no clock of its own: each call is told the time. It never waits, never
// logs, never opens what an argument names.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "capsules/open.h"
#include "capsules/order.h"
#include "crypto/seal.h"
#include "runtime/authority/budget.h"
#include "runtime/authority/node_policy.h"
#include "runtime/authority/permit.h"
#include "runtime/authority/tool.h"
#include "runtime/base/clock.h"
#include "store/store.h"

namespace taper::authority {

struct NodeFacts {
  PublicKey node;
  Incarnation incarnation;
  std::string name;
  // Real paths never given to a tool: the state, tools.d, key files' folders. /proc, /sys, /dev
  // and /run/secrets are always among them.
  std::vector<std::string> forbidden_trees;
  capsules::Tier tier = capsules::Tier::unset;  // what this host's sandbox reaches
  // Where file systems are mounted. A granted tree with one of them strictly below it is refused:
  // the cell would see what lies covered there, not what the host sees.
  std::vector<std::string> mount_points;
  NodePolicy policy = {};
  // Opens sealed secrets. Empty: a capsule that has any is refused.
  std::shared_ptr<const crypto::UnsealingKey> unseal = nullptr;
};

enum class TaskState : std::uint8_t {
  unset,
  active,
  ending,
  completed,
  failed,
  cancelled,
  expired,
  revoked,
  exhausted
};
enum class EndReason : std::uint8_t {
  none,
  completion,
  failure,
  cancelled,
  ttl,
  idle,
  window,
  denials,
  violation,
  drift,
  clock,
  stale,
  step_denied,
  budget,
  log_quota,
  operator_kill,
  revocation,  // what the capsule rests on is no longer trusted
};
enum class CallState : std::uint8_t {
  unset,
  authorised,
  done,
  failed,
  killed,
  interrupted,
  waiting,  // for input: what it did so far is over, and nothing of it runs
};
std::string_view task_state_name(TaskState state);  // "active", "completed", …
std::string_view end_reason_name(EndReason reason);
std::string_view call_state_name(CallState state);
bool is_terminal(TaskState state);
TaskState terminal_state(EndReason reason);  // which end a reason leads to

// Who ended a task from outside, for the record.
struct EndedBy {
  std::optional<std::uint32_t> uid = {};      // the user who said so on this host
  std::optional<capsules::Order> order = {};  // the centre's, as open_order gave it
};

// One question of a decision and its answer, in the order asked.
struct Answer {
  std::string question;
  bool passed = false;
  std::string expected, got;
};

// What a call that waits goes on with.
struct GoesOn {
  CallId call;
  Hash digest;                       // of what was answered
  std::string responses;             // that, as the server is told it: a JSON object
  std::optional<std::string> state;  // what the server wants back
};

struct CallRequest {
  TaskId task;
  Hash chain;  // Activation::chain of whoever asks: the call is decided with its blocks
  capsules::Verb verb = capsules::Verb::unset;
  std::string tool;
  Bytes arguments;   // as they came
  std::string step;  // the plan's step id; empty for none
  // For the verb `call` alone: the call gets a handle, by which it is asked about later, for so
  // long from now, counted as the lease is; cut by what is left of that and by
  // limits::kHandleTtlMaxMs.
  std::optional<std::int64_t> handle_ttl_ms = {};
  // What no decision looks at. `meta` goes to a server with the call, as its helper takes it:
  // docs/formats/tools.md. `trace` stands in the decision's record: 32 hex digits, or empty.
  std::string meta = {};
  std::string trace = {};
  Input input = Input::none;
  // No new call: one that waits goes on. `verb` is call; tool and arguments are those of that call.
  std::optional<GoesOn> goes_on = {};
};

struct Denial {
  DecisionId decision;
  Error error;  // number, field, expected, got
  EndReason ends_task =
      EndReason::none;  // the denial was the last the capsule bears, or showed drift …
};

struct Allowed {
  Permit permit;
  DecisionId decision;
  CallId call;
  std::size_t grant = 0;  // of those that the asking chain's last block keeps
};

using Decision = std::variant<Allowed, Denial>;

// One of poll, result, update, cancel about a call that was made with a handle.
struct AccessRequest {
  TaskId task;
  Hash chain;  // of whoever asks now
  capsules::Verb verb = capsules::Verb::unset;
  CallId call;      // the handle: 16 random bytes, a name and no authority
  Hash input = {};  // update: of what is answered
};

// A call as its handle shows it.
struct CallView {
  CallId call;
  Hash chain;             // of whoever made it
  std::size_t grant = 0;  // as Allowed::grant
  std::string tool;
  CallState state = CallState::unset;  // once a cancel was granted: killed, with call_cancelled
  Code code = Code::ok;
  bool runs = false;  // it has no outcome yet; after a cancel: kill it now and settle it
  Now created, updated;
  std::int64_t ttl_ms = 0;  // from `created`
  Hash result;              // of the kept result's bytes; zero: none. Waiting: of what it asks
};
using Access = std::variant<CallView, Denial>;

// What one chain may discover: a grant of its last block with all that was added on its line.
struct DiscoveredGrant {
  std::size_t grant = 0;  // as Allowed::grant
  std::string id;
  const Tool* tool = nullptr;  // of the tools given
  std::vector<capsules::Verb> verbs;
  // Of the root grant and every block. All rules of one argument hold; one not named is refused.
  std::vector<capsules::ArgRule> args;
  std::vector<capsules::Sum> sums;  // of every budget: what is left
  std::string once;                 // the argument that carries the call's id; empty: none
  BudgetLeft left;                  // the least of its line
};
using Discovery = std::variant<std::vector<DiscoveredGrant>, Denial>;

// The program that is the agent may start.
struct AgentStart {
  Permit permit;
  DecisionId decision;
};
using AgentDecision = std::variant<AgentStart, Denial>;

// What is left to one chain of a live task, and to one of its grants.
struct Remaining {
  std::int64_t lease_ms = 0, idle_ms = 0;  // not negative
  std::int64_t not_after_s = 0;
  BudgetLeft budget;
};

struct HandlesDue {
  std::vector<CallId> over;                  // their time is over
  std::optional<std::int64_t> next_boot_ms;  // when the next one's is
};

// How an allowed call went, as the sandbox reports it.
struct Outcome {
  CallState state = CallState::unset;
  Code code = Code::ok;  // why not done
  std::string detail;    // for the operator and the log; holds nothing of the arguments
  std::string
      subject;  // what of the arguments it is about; logged only where the capsule logs them
  std::uint64_t result_bytes = 0;
  std::optional<std::uint64_t> cpu_ms = {};  // of the tool's processes; empty: not known
  Hash result;                               // hash of the result's bytes
  std::int64_t exit_status = 0;              // commands
};

struct ActivationRequest {
  Bytes capsule_file;
  Nonce challenge;  // from challenge(), used once
  // By the last holder: of a plan's capsule over activation_statement(), of a session's over
  // session_statement(). Neither is taken for the other.
  crypto::Signature proof;
  std::map<std::string, std::string> inputs;  // the plan's inputs
  SealKey exchange = {};                      // the session's half of the holder
};

struct Activation {
  TaskId task;
  Hash chain;  // of the whole capsule file
  PublicKey holder;
  bool resumed = false;  // the task was live already
  bool joined = false;   // and this chain is new to it
};

// A step that was already decided in an earlier life of the task, for resuming a plan.
struct PastCall {
  std::string step;
  CallId call;
  PublicKey holder;  // who asked for it: its result is shown to no other
  DecisionId decision;
  CallState state = CallState::unset;
  Code code = Code::ok;
  // Its effect is `read`, or it bears an id: an interrupted one may be decided anew.
  bool repeatable = false;
  Hash result;            // of the kept result's bytes; zero: none
  std::size_t grant = 0;  // of the root block
};

// Which handles are forgotten: whose time is over, or also before, once the call's phase has ended.
enum class Forget : std::uint8_t { over, ended };

// Its cell was refused before the tool started: nothing that it does was done.
bool never_ran(CallState state, Code code);

// A reader asks for one result of an ended task. Names of calls: "step", or "step[3]".
struct ResultRequest {
  TaskId task;
  std::string step;  // whose last call; empty: the task's last call that is done
  PublicKey reader;
  Nonce challenge;          // from challenge(), used once
  crypto::Signature proof;  // by the reader over result_statement()
};

struct ReadableResult {
  CallId call;
  Hash result;  // of its bytes
  std::string step;
  std::uint32_t reads_left = 0;  // none: its file is to be erased
};

// What is shown of a task, live or ended.
struct TaskView {
  TaskId task;
  Hash capsule;
  Hash issuer;
  std::uint64_t serial = 0, root_version = 0;
  TaskState state = TaskState::unset;
  EndReason reason = EndReason::none;
  std::string purpose, requester, agent, tenant;
  PublicKey holder;
  std::int64_t activated_s = 0;
  std::int64_t not_after_s = 0;
  std::int64_t ttl_ms = 0, active_ms = 0;  // of the lease, and how much of it is used
  bool long_lease = false;
  std::int64_t idle_ms = 0, idle_used_ms = 0;
  bool call_runs = false;  // or waits: idle does not count
  Now seen;                // the clocks at its last change: its end, of an ended task
  std::uint64_t denials = 0;
  capsules::EndOn end_on;
  std::uint32_t activations_spent = 0;  // of the capsule
  std::uint64_t log_bytes = 0;
  std::optional<std::int64_t> news_s;  // when the newest news on revocations was issued
  // What its owner's next look will find, by the clocks of whoever looks here: why the task may not
  // act now, and whether it ends over that. None where its capsule is not kept any more.
  Code stopped = Code::ok;
  EndReason due = EndReason::none;
  std::string stopped_why;       // what was expected and what there is; may be empty
  std::int64_t known_s = 0;      // the time as it is known here, by which windows and news go
  std::int64_t ttl_cap_ms = 0;   // the lease and idle time that hold now: less than those above
  std::int64_t idle_cap_ms = 0;  // while the capsule's `offline` caps hold
  // What the capsule says; it was verified when the task was made. Empty: not kept any more.
  std::optional<capsules::UntrustedCapsule> said;
  std::vector<std::string> labels;
  struct GrantView {
    std::size_t block = 0;  // 0: the root block's; else a kept grant of that block, from 1
    Hash chain;             // of that block
    std::string id, tool;
    std::vector<capsules::Verb> verbs;    // its own that every grant above has too
    std::vector<capsules::ArgRule> args;  // its own rules and all inherited
    std::string parent;                   // of a kept grant: the id in the block before
    capsules::Effect effect = capsules::Effect::unset;
    BudgetLeft left;
    bool spent = false;   // a budget of it, or of a grant that it comes from, has nothing left
    std::string shut_by;  // a label that the task bears and the grant refuses after; empty: open
    std::vector<std::string>
        waits_for;  // root grants of which a call must be done first, and none is
  };
  struct ChainView {
    Hash chain;
    PublicKey holder;
    bool ended = false;
    // What its own blocks and `offline` leave of the task's times now; all zero where its file does
    // not open.
    std::size_t blocks = 0;
    std::int64_t ttl_ms = 0, idle_ms = 0, not_after_s = 0;
  };
  // A call that was refused while the task was live; its record says why.
  struct RefusedCall {
    std::string step, tool;
    DecisionId decision;
    std::int64_t number = 0;
    std::string name;         // of that error
    std::string at;           // by the wall clock then
    std::int64_t denial = 0;  // the task's first, second …
    std::string verb;
  };
  std::vector<ChainView> chains;  // that were ever attached
  std::vector<GrantView> grants;
  std::vector<PastCall> calls;
  std::vector<RefusedCall> refused;  // in the order in which they were asked
};

class Authority {
 public:
  // Takes up what the store holds: completes every `ending`, marks calls without an outcome
  // interrupted, charges live tasks one persistence interval when the process had died.
  // The store must outlive the authority.
  static Result<std::unique_ptr<Authority>> start(store::Store& store, NodeFacts node,
                                                  const Now& now);
  ~Authority();

  // Verifies and keeps a trust root: version 1 pins the fleet (it must equal `fleet` where given),
  // each later one must be the next and signed by the one before too. Importing the current one
  // again is fine. Never depends on the time. Errors: those of open_root, fleet_pinned,
  // root_version.
  Status import_root(ByteSpan file, const std::optional<Hash>& fleet, const Now& now);
  const capsules::TrustRoot* root() const;

  // A challenge to a time key at the centre (capsules/signed_time.h), whose nonce is durable and
  // good for this boot, once, for limits::kTimeNonceMs. Only the last limits::kTimeNoncesMax are.
  Result<Bytes> time_challenge(const Now& now);
  // Takes in a signed time: an answer to such a challenge anchors the time until this boot or
  // limits::kTimeAnchorMs is over; any other raises the lower bound. Never depends on the time.
  // Errors: no_trust_root, those of open_time, time_other_node, time_other_boot, time_nonce,
  // time_nonce_stale, time_beyond_root; time_conflict, which is in the log and changes nothing else
  // but that the nonce is used.
  Status import_time(ByteSpan file, const Now& now);
  // The node's life before this one had a signed lower bound: it is this one's too. Durable.
  Status inherit_time(std::int64_t signed_s, const Now& now);

  // Takes in an auditor's release of this log (capsules/signed_release.h): what lies below it may
  // be forgotten from then on. One that releases no more than the last is fine. Never depends on
  // the time. Errors: no_trust_root, those of open_release, release_other_log; release_mismatch,
  // which is in the log and changes nothing else.
  Status import_release(ByteSpan file, const Now& now);
  // Forgets some of what was released and no live task or kept result needs. True: there may be
  // more, so ask again; how far it came is durable each time. Records from the first that is needed
  // on wait for its task's end.
  Result<bool> prune(const Now& now);

  Nonce challenge();
  // Whoever was given it will not answer: it makes no room scarce for others.
  void withdraw(const Nonce& challenge);
  // Something came from somebody who proved nothing, as garbage or with a wrong tag: counted by its
  // number, and in the log with the next write that is due.
  void count_refused(Code code, const Now& now);

  // Whether the request's proof is its last holder's, over a challenge of ours that nobody has
  // used, to be asked before anything costly is done for it. `activate` spends the challenge.
  bool proves(const ActivationRequest& request, const capsules::VerifiedCapsule& capsule) const;

  // admit: opens the capsule, asks audience → root → time and window → revocation → activations →
  // node policy → proof → its agent's program, and makes a task, or attaches this chain to the live
  // one of its root payload: that spends no activation and gives back no time, denial, label or
  // budget. Refused: no task, nothing consumed but the challenge, counted in the log. `tools` says
  // which inputs are paths, so that every grant's trees are known before anything runs; a tool that
  // is not there then is tool_missing for this chain until it is attached again.
  Result<Activation> activate(const ActivationRequest& request, const Tools& tools, const Now& now);

  // authorise: parses the arguments once and asks, in this order: task live, time, revocation, node
  // policy, grant, tool digest, arguments, labels, after, budgets, log quota. The decision is
  // durable when this returns. An error (not a Denial) means the decision could not be made
  // durable: nothing may run.
  // A call that goes on is decided anew in the same way, charged anew, after one question more, the
  // handle: that it waits, is the asking chain's, and has this tool and these arguments. Its grant
  // is the one that the handle stands for, with the verbs call and update.
  Result<Decision> authorise(const CallRequest& request, const Tools& tools, const Now& now);

  // Decides as many calls one after the other, as authorise would, in one transaction for each
  // limits::kBatchCallsMax of them: many permits share one sync. One answer for each, in order.
  std::vector<Result<Decision>> authorise_batch(std::span<const CallRequest> requests,
                                                const Tools& tools, const Now& now);

  // Decides whether this chain may poll, take the result of, update or cancel one call. Asks: task
  // live, time, revocation, node policy, handle, grant (the verb, by every block), log quota. Each
  // is a decision of its own and durable when this returns; what it allows holds for the answer
  // given now, so an answer that is held back is asked for when it is due. It never changes a
  // budget, a label or idle time; a granted cancel marks the call: its outcome is killed, with
  // call_cancelled, whatever comes, and its result is not released. One that waits is killed so
  // with the decision. An update is denied with input_unwanted unless the call waits; it alone
  // makes nothing go on.
  // A handle is its maker's: the same task and holder key, by the grant that the call was made by;
  // in a chain that does not go on from the maker's, by any kept of the same root grant. A chain of
  // another key has it where it goes on from the maker's, a further block names the verb for that
  // grant and none adds rules for arguments. All else, whether unknown, another's, no handle or
  // over its time, is one denial, handle_unknown, made by the same steps. A task that is not live:
  // as authorise.
  Result<Access> access(const AccessRequest& request, const Now& now);
  // The same call's view without a decision, for what its maker is told unasked: that it was made,
  // how it ended. Empty where it has no handle.
  std::optional<CallView> handle_view(const TaskId& task, const CallId& call) const;
  // Of a live task: the handles whose time is over, until each is forgotten. Whose call runs: kill
  // it, settle it. Then erase its result's file, unless the capsule keeps results for its readers;
  // of one that waits always.
  HandlesDue handles_due(const TaskId& task, const Now& now) const;
  // After that: the call bears no handle any more, with a record of it; one that waited is killed.
  // Error handle_unknown where it is not over, or has no outcome yet.
  Status forget_handle(const TaskId& task, const CallId& call, const Now& now,
                       Forget which = Forget::over);

  // Tells the chain its grants that have the verb `discover`, as one decision. Left out: a tool
  // that is not there as it was granted, and what can never be allowed again (shut by a label, or
  // spent for good). Listed: what waits for another call, for a rate or for a call under way, and
  // what may be discovered but not called.
  Result<Discovery> discover(const TaskId& task, const Hash& chain, const Tools& tools,
                             const Now& now);
  // Decides whether the program of a capsule whose entry is agent may start for this chain, whose
  // holder proved himself. Asks: task live, time, revocation, node policy, tool digest, log quota;
  // durable when this returns. Idle time counts while it runs and no call does.
  Result<AgentDecision> start_agent(const TaskId& task, const Hash& chain, const Tools& tools,
                                    const Now& now);
  // Records how it ended; that ends nothing by itself. Error: task_terminal.
  Status agent_over(const TaskId& task, const Hash& chain, const DecisionId& decision,
                    const Outcome& outcome, const Now& now);

  // From memory, without a record. Empty when the chain is not attached. `grant` as Allowed::grant.
  std::optional<Remaining> remaining(const TaskId& task, const Hash& chain,
                                     std::optional<std::size_t> grant, const Now& now) const;

  // Records how a call went; the result may be released when this returns success. Gives the reason
  // to end the task now, where its capsule names such an outcome (failure, violation), else none. A
  // late outcome is recorded while the task ends and changes nothing else. A call that waits for
  // input has a handle from then on, for limits::kInputPlainMs where it had none; with the code of
  // a host that had no room it waits on, charged nothing. Errors: task_terminal after that, and
  // when the call is unknown.
  Result<EndReason> settle(const CallId& call, const Outcome& outcome, const Now& now);

  // The task stops acting: from here every authorise for it is denied. Durable on return. The first
  // reason stays: success when the task is ending already. Errors: unknown_task, task_terminal.
  // The order that ends it, where it is one, is in the log with the ending.
  Status begin_ending(const TaskId& task, EndReason reason, const Now& now, const EndedBy& by = {});
  // A signed order to end a task, verified; nothing is done about it yet. Never depends on the
  // time. Errors: no_trust_root, those of capsules::open_order.
  Result<capsules::Order> open_order(ByteSpan file) const;
  // After its cells are dead and its results erased: the terminal state, final. Only an ending task
  // is finished. Errors: unknown_task, task_terminal.
  Result<TaskState> finish(const TaskId& task, const Now& now);

  // A read of a kept result, counted and in the log when this returns; only then may the bytes be
  // released. `at_hand` is asked once it is allowed and before it counts: its error refuses the
  // read, and nothing is counted. Error result_refused, the same for a task that is unknown, not
  // ended, of another reader, or over; a listed reader's refusals are in the log, all others
  // counted there.
  Result<ReadableResult> read_result(
      const ResultRequest& request, const Now& now,
      const std::function<Status(const ReadableResult&)>& at_hand = {});
  // The ended tasks whose results stay for their readers. What is over is forgotten, with a record.
  Result<std::vector<TaskId>> kept_results(const Now& now);

  // When the task must next be looked at, on the boot clock (lease, idle or window, whichever is
  // first), and why it then ends. Empty when it is not active. Idle counts while no call runs or
  // waits.
  struct Due {
    std::int64_t boot_ms = 0;
    EndReason reason = EndReason::none;
  };
  std::optional<Due> next_due(const TaskId& task, const Now& now) const;
  // When the blocks of an attached chain end its own branch, at the latest with the task, on the
  // boot clock; now when they have. Empty when it is not attached or the task's own time is over.
  std::optional<std::int64_t> chain_due(const TaskId& task, const Hash& chain,
                                        const Now& now) const;
  // From now on; tasks whose capsule says so end by it (check_time).
  void follow(NodePolicy policy);
  // Checks a live task against the time and the node's policy alone; the reason to end it, or none.
  EndReason check_time(const TaskId& task, const Now& now) const;
  // Journals the active time of live tasks, and what is known of the time, which a power cut takes
  // back to the last commit otherwise; call every limits::kPersistIntervalMs while a task lives,
  // else every limits::kIdlePersistMs.
  Status persist_time(const Now& now);
  // The wall clock was or may have been set: a step is in the log when this returns, once. Whoever
  // has tasks looks at their time again then.
  Status note_clock(const Now& now);

  std::vector<TaskId> live_tasks() const;                              // those not terminal
  const capsules::VerifiedCapsule* capsule(const TaskId& task) const;  // of a live task
  // Of a chain that is attached to it; null where it is not.
  const capsules::VerifiedCapsule* capsule(const TaskId& task, const Hash& chain) const;
  const std::map<std::string, std::string>* inputs(const TaskId& task) const;
  std::vector<PastCall> past_calls(const TaskId& task) const;

 private:
  struct State;
  explicit Authority(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What the holder signs (statement::kActivation): fleet, node, incarnation, hash of the whole
// chain, challenge, hash of the inputs.
Bytes activation_statement(const Hash& fleet, const PublicKey& node, const Incarnation& incarnation,
                           const Hash& chain, const Nonce& challenge,
                           const std::map<std::string, std::string>& inputs);

// What a reader signs (statement::kResultRead): fleet, node, incarnation, task, challenge, step.
Bytes result_statement(const Hash& fleet, const PublicKey& node, const Incarnation& incarnation,
                       const ResultRequest& request);

// Reading, beside whoever owns the state. `own` is the node's policy as it stands now; without it
// no task is held to have begun under another.
Result<std::vector<TaskView>> list_tasks(const store::Store& store, const Now& now,
                                         const NodePolicy* own = nullptr);
Result<TaskView> show_task(const store::Store& store, const TaskId& task, const Now& now,
                           const NodePolicy* own = nullptr);
struct DecisionView {
  std::string record;  // the decision's record, JSON
  std::vector<Answer> answers;
};
Result<DecisionView> explain_decision(const store::Store& store, const DecisionId& decision);
// Whether the body of a log record has this text as its own member `name`; in what an argument or a
// purpose says the same may stand.
bool body_says(ByteSpan body, std::string_view name, std::string_view text);

}  // namespace taper::authority
