// One live task in this process: the calls that run in it, and its end. It is told what happened
// and never waits; who asks for its calls (a plan, a session) is told how each went.
//
// Ending, in this order: no call is decided any more; every cell is sent its death without waiting
// for the disk; `ending` is committed; the death of every cell is confirmed; results are erased;
// the terminal state is committed.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "runtime/authority/authority.h"
#include "runtime/broker/masker.h"
#include "runtime/broker/tool_shelf.h"
#include "runtime/sandbox/spawner.h"
#include "store/results.h"

namespace taper::broker {

// Why a task that ended for this reason was not completed; ok for completion.
Code code_of(authority::EndReason reason);

// How one call went. Told once its outcome is durable.
struct CallEnd {
  CallId call;
  DecisionId decision = {};
  authority::CallState state = authority::CallState::unset;
  Code code = Code::ok;
  Error error{Code::ok};    // for the operator; ok where the call is done
  std::string json = {};    // what it gave, whole; empty where it is not done, or waits
  Hash result = {};         // of that; zero: none
  std::string err = {};     // of what is not done: its stderr, or its words; masked, cut, escaped
  Status host = success();  // an error: this host had no room to run it, or to keep what it gave
  bool acts = true;         // the task goes on, as far as this call is concerned
};

// Which phase of its call begins.
struct CallPhase {
  std::uint64_t round = 1;  // number of what it may ask now among the call's own questions
  // Of one that goes on.
  Hash question = {};      // that is answered, as the store has it
  bool by_handle = false;  // its result is asked for by its handle; else given once
};

class TaskLife {
 public:
  struct Parts {  // all outlive it
    authority::Authority& authority;
    sandbox::Spawner& spawner;
    store::Store& store;
    store::ResultFiles& results;
    ToolShelf& tools;
    const Clock& clock;
  };
  TaskLife(Parts parts, const TaskId& task);  // of a live task
  TaskLife(const TaskLife&) = delete;
  TaskLife& operator=(const TaskLife&) = delete;

  // Told once for each call that was allowed, perhaps before `call` returns. An error: its outcome
  // could not be made durable, so nothing of it is released.
  using Ended = std::function<void(const CallId& call, Result<CallEnd> end)>;
  // Of a call that runs, as often as it is told; what it says is masked as its result is.
  using Progressed = std::function<void(const CallId& call, const sandbox::ToolProgress& progress)>;
  struct Started {
    CallId call;
    DecisionId decision;
    std::size_t grant = 0;  // as authority::Allowed
  };
  using Answer = std::variant<Started, authority::Denial>;
  // Has the authority decide, and runs what it allows. A denial that names an end is followed by
  // `end`, by the caller, who first tells whoever asked. Errors: the tool cannot be looked at; the
  // decision could not be made durable, and then the life has failed. A call of a server's tool may
  // end in waiting for input, where the request offers to give some. One that goes on, and whose
  // cell the host has no room for, waits on with the same question; where that is known at once, it
  // is the error, and `ended` is told all the same.
  Result<Answer> call(const authority::CallRequest& request, Ended ended,
                      Progressed progressed = nullptr, const CallPhase& phase = {});
  // Whether one more call of this chain may wait for input.
  bool may_wait(const Hash& chain) const;
  // The call bears no handle any more; nothing where it bears none.
  Status forget(const CallId& call, authority::Forget which);
  // Has the authority decide on the start of the program that is the task's agent, and starts it.
  // `ended` is told as for a call, with a call that is no other's; that ends nothing by itself. At
  // most one at a time (asserted). Errors: as of `call`; the cell could not be made, and then it is
  // recorded and `ended` is not told.
  struct AgentStarted {
    DecisionId decision;
    Fd channel;  // to what speaks with the program, in frames of bare SessionMessages
  };
  using AgentAnswer = std::variant<AgentStarted, authority::Denial>;
  Result<AgentAnswer> start_agent(const Hash& chain, Ended ended);
  // Sends its cell its death; nothing where it does not run.
  void kill_agent();
  bool agent_runs() const { return agent_.has_value(); }
  // Sends one call its death: it is cancelled then, even where it is done meanwhile. Nothing where
  // it does not run.
  void cancel_call(const CallId& call);
  void cancel_calls();  // all of them

  // The task stops acting. Success means that its ending is durable; the first reason stays.
  Status end(authority::EndReason reason, const authority::EndedBy& by = {});
  // This process cannot go on with it; the task stays as the store has it, for a later life.
  void fail(Error error);

  void take_progress(sandbox::ProgressReport report);
  void take_report(sandbox::RunReport report);
  void look_at_time();
  void try_finish();  // when cells may have died
  void spawner_lost(const Error& error);

  const Parts& parts() const { return parts_; }
  const TaskId& task() const { return task_; }
  bool running() const { return !running_.empty() || agent_; }  // a call, or the agent
  std::size_t calls() const { return running_.size(); }         // that run
  bool ending() const { return ending_ != authority::EndReason::none; }
  bool over() const { return over_; }  // terminal, or failed
  const std::optional<Error>& failure() const { return failure_; }
  authority::TaskState state() const { return state_; }  // once over and not failed
  authority::EndReason reason() const { return ending_; }
  // When to look at the time again, on the boot clock.
  std::optional<std::int64_t> wake_boot_ms() const;

 private:
  struct Running {
    DecisionId decision;
    authority::Tool tool;  // as it was when the call was allowed
    Ended ended;
    Progressed progressed;           // may be empty
    std::uint64_t output_bytes = 0;  // the most that its result may bear
    std::int64_t deadline_boot_ms = 0;
    bool asked_later = true;  // its result, by a later step, by its handle, by a reader
    bool by_handle = false;   // by its handle
    Masker masker;            // of what the call was given
    authority::Input input = authority::Input::none;  // what can be answered, should it ask
    Bytes arguments;                                  // as they came, where it may ask
    Hash chain;                                       // that asked
    CallPhase phase;
    bool cancelled = false;
  };

  struct Agent {
    Hash chain;
    CallId call;  // of its permit
    DecisionId decision;
    std::int64_t deadline_boot_ms = 0;
    Ended ended;
  };

  Now now() const { return parts_.clock.now(); }
  Status record_agent(const Agent& agent, const authority::Outcome& outcome);
  void take_agent_report(const sandbox::RunReport& report);
  Status start(authority::Allowed&& allowed, const std::string& tool);
  bool waits_on(const Running& running, authority::Outcome& outcome) const;
  void end_by_time(std::int64_t deadline_boot_ms);
  Status look_at_handles(const Now& at);
  void keep_result(Running& running, sandbox::RunReport report, authority::Outcome& outcome,
                   CallEnd& end) const;
  void keep_failure(const Running& running, authority::Outcome& outcome, const CallEnd& end) const;
  void keep_question(Running& running, const std::string& asked, authority::Outcome& outcome,
                     CallEnd& end) const;
  void settle(const authority::Outcome& outcome, CallEnd end);
  Status finish();

  Parts parts_;
  TaskId task_;
  std::map<CallId, Running> running_;
  std::optional<Agent> agent_;  // whose program runs
  authority::EndReason ending_ = authority::EndReason::none;
  authority::TaskState state_ = authority::TaskState::unset;
  std::int64_t confirm_by_boot_ms_ = 0;
  bool over_ = false;
  std::optional<Error> failure_;
};

}  // namespace taper::broker
