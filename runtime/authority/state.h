// What an Authority holds, and the steps its entry points share. Private.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "runtime/authority/authority.h"
#include "runtime/authority/decide.h"

namespace taper::authority {

struct Case;  // decision_record.h

struct Authority::State {
  State(store::Store& its_store, NodeFacts facts) : store(its_store), node(std::move(facts)) {}

  store::Store& store;
  NodeFacts node;
  std::optional<capsules::TrustRoot> root;
  TimeState time;
  std::int64_t kept_hard_ms = 0;  // of the time in the store: what a power cut leaves
  std::int64_t stepped_s = 0;     // a step of the wall clock that is not in the log yet
  TimeNonces nonces;
  std::map<TaskId, LiveTask> live;        // every task that is not terminal
  std::vector<Nonce> challenges;          // given out, not yet used
  std::map<Code, std::uint64_t> refused;  // before proof, not yet in the log
  std::optional<Now> refusals_logged;

  Surroundings around() const;
  LiveTask* find(const TaskId& task);
  // One transaction: `change`, the time known, which is `then` where that is given, a step of the
  // wall clock, and the counted refusals when they are due. Where a full disk has no room for the
  // last two, `may` leaves them for later, so that what counts is kept all the same; for a change
  // that appends no record and may be made twice.
  enum class Telling : std::uint8_t { must, may };
  Result<store::Committed> commit(const Now& now,
                                  const std::function<Status(store::WriteTxn&)>& change,
                                  const std::optional<TimeState>& then = {},
                                  Telling telling = Telling::must);
  // What admit asks before the holder is known to be there. Fills `candidate`.
  struct Candidate {
    std::optional<Branch> branch;   // as it would be attached
    LiveTask* joins = nullptr;      // to the live task of its root payload; null: to a new one
    std::uint32_t activations = 0;  // spent before
    std::uint32_t kept = 0, issuers = 0;  // by this node: of all capsules, of this issuer's
  };
  Status admit(const capsules::VerifiedCapsule& capsule, const Tools& tools, const Now& now,
               Candidate& candidate);
  // What is told only to whoever proved to be the holder.
  Status check_entry(const Candidate& candidate, const Tools& tools,
                     const ActivationRequest& request) const;
  // Error: secret_unsealed.
  Result<crypto::Secret> unseal(const capsules::Capsule& capsule,
                                const capsules::SealedSecret& secret) const;
  // For one call: what its grant, of the root block, names and nothing else.
  Result<std::vector<CallSecret>> release(const capsules::Capsule& capsule,
                                          const capsules::Grant& grant) const;
  // Whether a live task, or one whose results are kept, stands in this record.
  Result<bool> needs(const store::ReadTxn& txn, const capsules::Value& body) const;
  bool proof_holds(const ActivationRequest& request,
                   const capsules::VerifiedCapsule& capsule) const;
  Status check_proof(const ActivationRequest& request, const capsules::VerifiedCapsule& capsule);
  Status keep_evidence(const capsules::VerifiedCapsule& capsule, const Hash& known, const Now& now);
  // A refused activation: counted, and in the log with the next write that is due. Whoever asks
  // again and again fills no log.
  Error count_refusal(const Error& error, const Now& now);
  Result<Activation> make_task(Candidate candidate, const ActivationRequest& request,
                               const Now& now);
  // Spends no activation and gives no time back: the chain is charged where the others are.
  Status may_join(const LiveTask& task, const capsules::VerifiedCapsule& capsule,
                  const ActivationRequest& request) const;
  Status may_branch(const LiveTask& task, const capsules::VerifiedCapsule& capsule) const;
  Result<Activation> join(Candidate candidate, const ActivationRequest& request, const Now& now);
  // Ends every live task whose capsule no longer opens with the root, and every such branch.
  Status reverify(const Now& now);
  // Decisions made in memory, then durable together, then told; a commit that fails undoes them.
  // `stage_ended` is for a task that is not live any more.
  struct Staged;
  Result<Staged> stage(const CallRequest& request, const Tools& tools, const Now& now);
  Result<Staged> stage_ended(const CallRequest& request, const CallId& handle, const Hash& input,
                             const Now& now);
  Result<Staged> stage_case(LiveTask& task, Case& c);
  void stage_told(LiveTask& task, Case& c, Staged& staged);
  void stage_denial(LiveTask& task, Case& c, Staged& staged);
  Status stage_permit(LiveTask& task, Case& c, Staged& staged);
  // The call as it is with the permit: a new one, or the one that goes on.
  CallRecord call_record(const LiveTask& task, const Case& c) const;
  Result<store::Committed> commit_staged(const std::vector<Result<Staged>>& batch, const Now& now);
  // One decision that permits nothing, made durable: about a handle, or discovery.
  Result<Staged> tell(const AccessRequest& request, const Tools& tools, const Now& now);
  void decide_together(std::span<const CallRequest> requests, const Tools& tools, const Now& now,
                       std::vector<Result<Decision>>& out);
  // task_terminal or unknown_task, for a task that is not live.
  Error not_live(const TaskId& task) const;
};

Error refusal(Code code, std::string field, std::string expected, std::string got);

// As a chain sees it by its grant `grant`.
CallView view_of(const LiveTask& task, std::size_t number, std::size_t grant);
// For so long from now, cut by what is left to the chain; `kept` is a grant of its last block.
HandleRecord make_handle(const LiveTask& task, const Branch& branch, const Surroundings& around,
                         std::size_t kept, std::int64_t ttl_ms, const Now& now);
// The call waits for nothing any more, and nobody hears what it asked.
void end_waiting(CallRecord& call, Code code);

// The identity of the task, the verb and the clocks: the start of every record about a task.
// Without `caller` it tells of the chain that activated the task.
capsules::Object task_body(std::string_view verb, const TaskId& task, const TaskRecord& record,
                           const Now& now, const std::optional<Caller>& caller = {});
void add_error(capsules::Object& body, const Error& error);

// Steps inside a transaction. Each writes its audit record, charges the task's log for it and puts
// the task's record.
Status put_task(store::WriteTxn& txn, const TaskId& task, const TaskRecord& record);
Status append_for(store::WriteTxn& txn, store::LeafType type, const capsules::Object& body,
                  TaskRecord& record);
Status write_ending(store::WriteTxn& txn, const TaskId& task, EndReason reason, const Now& now,
                    TaskRecord& record, const Lapse& over = {}, const EndedBy& by = {});
// The outcome of a call that no sandbox reported. `root` is null where the capsule opens no more.
Status write_outcome(store::WriteTxn& txn, const TaskId& task, const capsules::Capsule* root,
                     std::size_t number, const CallRecord& call, const Now& now,
                     const Chains& chains, TaskRecord& record);
// Every call without an outcome becomes interrupted. Gives how many. One that waits for input goes
// on doing so only where its task goes on.
enum class Waiting : std::uint8_t { stays, ends };
Result<std::uint64_t> write_interrupted(store::WriteTxn& txn, const TaskId& task,
                                        const capsules::Capsule* root, const Now& now,
                                        const Chains& chains, Waiting waiting, TaskRecord& record,
                                        std::vector<CallRecord>& calls);
Status write_terminal(store::WriteTxn& txn, const TaskId& task, const Now& now, TaskRecord& record);
// With the terminal record: from now the results stay, where the capsule says so.
Status write_kept(store::WriteTxn& txn, const LiveTask& task, const TimeState& time,
                  const Now& now);
Result<bool> keeps_results(const store::ReadTxn& txn, const TaskId& task);

}  // namespace taper::authority
