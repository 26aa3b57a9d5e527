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

#include "runtime/broker/embedded.h"
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

  bool ready() const;  // nothing runs and the plan is not over: `advance` has something to do
  void advance();      // takes the plan's next step
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
  struct Running {
    std::size_t step = 0;
    CallId call;
    StepReport report;
    std::uint64_t output_bytes = 0;  // the most that its result may bear
    std::int64_t deadline_boot_ms = 0;
  };

  Now now() const { return parts_.clock.now(); }
  const capsules::Plan& plan() const { return capsule_.root().plan; }
  const capsules::Step& step(std::size_t index) const { return plan().steps[index]; }
  const authority::PastCall* past_of(const std::string& step) const;
  bool needs_met(const capsules::Step& step) const;
  std::optional<std::string> result_of(std::string_view step) const;
  StepReport begin_report(const capsules::Step& step) const;
  void publish(StepReport report);

  void take_past(const capsules::Step& step, const authority::PastCall& past);
  void decide(std::size_t index);
  void denied(const capsules::Step& step, const authority::Denial& denial);
  void start(std::size_t index, authority::Allowed&& allowed);
  void take_report_of(const sandbox::RunReport& report);
  void keep_result(const sandbox::RunReport& report, authority::Outcome& outcome);
  void settle(authority::Outcome outcome);
  void step_failed(const capsules::Step& step, Code code);
  void spawner_lost(const Error& error);
  void plan_done();
  void try_finish();
  Status finish();

  Parts parts_;
  capsules::VerifiedCapsule capsule_;
  std::map<std::string, std::string> inputs_;
  std::vector<authority::PastCall> past_;
  std::map<std::string, CallId, std::less<>> done_;  // steps whose result may be used
  std::size_t next_ = 0;
  bool plan_done_ = false;
  std::optional<Running> running_;
  std::optional<sandbox::RunReport> lost_;
  authority::EndReason ending_ = authority::EndReason::none;
  Code ending_code_ = Code::ok;
  std::int64_t confirm_by_boot_ms_ = 0;
  bool over_ = false;
  std::optional<Error> failure_;
  RunReport report_;
};

}  // namespace taper::broker
