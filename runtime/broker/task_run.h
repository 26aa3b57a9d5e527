// The state machine of one plan, from the activated task to its terminal state. It is told what
// happened and never waits: something else watches descriptors and clocks (event_loop.h).
//
// Ending, in this order: no step is decided any more; every cell is sent its death without waiting
// for the disk; `ending` is committed; the death of every cell is confirmed; results are erased;
// the terminal state is committed.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/masker.h"
#include "runtime/broker/tool_shelf.h"
#include "runtime/sandbox/spawner.h"
#include "store/results.h"

namespace taper::broker {

// Why a task that ended for this reason was not completed; ok for completion.
Code code_of(authority::EndReason reason);

class TaskRun {
 public:
  struct Parts {  // all outlive the run
    authority::Authority& authority;
    sandbox::Spawner& spawner;
    store::Store& store;
    store::ResultFiles& results;
    ToolShelf& tools;
    const Clock& clock;
    std::function<void(const StepReport&)> on_step;  // may be empty
  };
  // `activation` is of a live task with a plan.
  TaskRun(Parts parts, const authority::Activation& activation);

  bool ready() const;  // nothing runs or waits, the plan is not over: `advance` has something to do
  void advance();      // takes the plan's next step, item or retry
  void spawner_reported();
  void look_at_time();
  // The task stops acting. Success means that its ending is durable; the first reason stays.
  Status end(authority::EndReason reason);
  // The run cannot go on; the task stays as the store has it, for a later run to take up.
  void fail(Error error);

  bool over() const { return over_; }
  const TaskId& task() const { return report_.task; }
  // When to look at the time again, on the boot clock; at least one millisecond ahead.
  std::optional<std::int64_t> wake_boot_ms() const;
  Result<RunReport> take_report();  // once over

 private:
  // What one call is made for: a step, or one item of it.
  struct Unit {
    std::size_t step = 0;
    std::string id;  // of the step, or "step[3]"
    std::optional<std::size_t> item = std::nullopt;
  };
  struct Running {
    Unit unit;
    CallId call;
    StepReport report;
    std::uint64_t output_bytes = 0;  // the most that its result may bear
    std::int64_t deadline_boot_ms = 0;
    Masker masker;  // of what the call was given
  };
  // A call that is done, and the hash of what it left.
  struct Left {
    CallId call;
    Hash result;
  };
  // A step that goes through its items.
  struct Items {
    std::size_t step = 0;
    std::vector<capsules::Value> values;
    std::size_t next = 0;
    std::vector<Left> done;
  };
  struct Retry {
    Unit unit;
    std::int64_t until_boot_ms = 0;
  };
  // The calls that were made for a unit, in this life of the task and those before.
  struct Made {
    std::uint32_t calls = 0;
    bool failed = false;                      // one of them was seen to go wrong
    std::optional<authority::PastCall> past;  // the last of an earlier life
  };
  // Whose results later steps may use.
  struct Done {
    std::vector<Left> calls;
    bool each = false;  // an array of them
  };

  Now now() const { return parts_.clock.now(); }
  const capsules::Plan& plan() const { return capsule_.root().plan; }
  const capsules::Step& step(std::size_t index) const { return plan().steps[index]; }
  bool needs_met(const capsules::Step& step) const;
  Result<std::optional<std::string>> result_of(std::string_view step) const;
  StepReport begin_report(const Unit& unit) const;
  void publish(StepReport report);

  // task_steps.cc
  void take_step(std::size_t index);
  void begin_items(std::size_t index);
  void take_item();
  void take_up(const Unit& unit);
  bool may_call_again(const Unit& unit) const;
  void take_past(const Unit& unit, const authority::PastCall& past);
  void decide(const Unit& unit);
  void unresolved(const Unit& unit, const Error& error);
  void denied(const Unit& unit, const authority::Denial& denial);
  void unit_done(const Unit& unit, const Left& left);
  void went_wrong(const Unit& unit, const CallId& call, Code code);
  bool may_repeat(const CallId& call, Code code) const;

  // task_run.cc
  void start(const Unit& unit, authority::Allowed&& allowed);
  void take_report_of(sandbox::RunReport report);
  Status keep_result(sandbox::RunReport report, authority::Outcome& outcome);
  // `kept`: whether the host could keep what the tool gave; where not, nothing goes on.
  void settle(authority::Outcome outcome, const Status& kept = success());
  void step_failed(const capsules::Step& step, Code code);
  void spawner_lost(const Error& error);
  void plan_done();
  // The blocks of the own chain have ended it; the task goes on without this run.
  bool chain_over() const;
  void try_finish();
  Status finish();

  Parts parts_;
  capsules::VerifiedCapsule capsule_;
  std::map<std::string, std::string> inputs_;
  std::map<std::string, Made> made_;  // by unit
  std::map<std::string, Done, std::less<>> done_;
  std::size_t next_ = 0;
  std::optional<Items> items_;
  std::optional<Retry> waiting_;
  Hash chain_;        // whose blocks every step is decided with
  PublicKey holder_;  // of that chain
  bool plan_done_ = false;
  std::optional<Running> running_;
  std::optional<sandbox::RunReport> lost_;
  authority::EndReason ending_ = authority::EndReason::none;
  Code ending_code_ = Code::ok;
  std::int64_t confirm_by_boot_ms_ = 0;
  bool over_ = false;
  std::optional<Error> failure_;
  RunReport report_;
  std::size_t shown_left_ = limits::kRunResultsShownBytes;  // for results and stderr in it
};

}  // namespace taper::broker
