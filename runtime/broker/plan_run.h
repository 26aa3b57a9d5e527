// The state machine of one plan, from the activated task to its last step. It is told what happened
// and never waits. Of its own calls one runs at a time; the task may have others.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/task_life.h"
#include "runtime/broker/task_run.h"

namespace taper::broker {

class PlanRun final : public TaskRun {
 public:
  // `activation` is of the live task with a plan whose life is `life`; `on_step` may be empty.
  PlanRun(std::shared_ptr<TaskLife> life, const authority::Activation& activation,
          std::function<void(const StepReport&)> on_step, Steps steps = Steps::kept);

  bool ready() const override;  // nothing runs or waits, and the plan is not over
  void advance() override;      // takes the plan's next step, item or retry
  void look_at_time() override;
  std::optional<std::int64_t> wake_boot_ms() const override;
  void interrupted() override;  // cancels the task
  void fail(const Error& error) override;
  bool over() const override { return life_->over() || failure_; }
  bool calling() const override { return calling_; }
  Result<RunReport> take_report() override;  // the last steps are published here

 private:
  // What one call is made for: a step, or one item of it.
  struct Unit {
    std::size_t step = 0;
    std::string id;  // of the step, or "step[3]"
    std::optional<std::size_t> item = std::nullopt;
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

  Now now() const { return life_->parts().clock.now(); }
  const TaskId& task() const { return life_->task(); }
  const capsules::Plan& plan() const { return capsule_.root().plan; }
  const capsules::Step& step(std::size_t index) const { return plan().steps[index]; }
  bool needs_met(const capsules::Step& step) const;
  Result<std::optional<std::string>> result_of(std::string_view step) const;
  StepReport begin_report(const Unit& unit) const;
  void publish(StepReport report);

  void take_step(std::size_t index);
  void begin_items(std::size_t index);
  void take_item();
  void take_up(const Unit& unit);
  bool may_call_again(const Unit& unit) const;
  void take_past(const Unit& unit, const authority::PastCall& past);
  void decide(const Unit& unit);

  // plan_outcomes.cc
  void call_over(const Unit& unit, CallEnd end);
  void unresolved(const Unit& unit, const Error& error);
  void denied(const Unit& unit, const authority::Denial& denial);
  void unit_done(const Unit& unit, const Left& left);
  void went_wrong(const Unit& unit, const CallId& call, Code code);
  bool may_repeat(const CallId& call, Code code) const;
  void step_failed(const capsules::Step& step, Code code);
  void plan_done();
  // The blocks of the own chain have ended it; the task goes on without this run.
  bool chain_over() const;

  std::shared_ptr<TaskLife> life_;
  std::function<void(const StepReport&)> on_step_;
  capsules::VerifiedCapsule capsule_;
  std::map<std::string, std::string> inputs_;
  std::map<std::string, Made> made_;  // by unit
  CallId last_;                       // of all calls of earlier lives
  std::map<std::string, Done, std::less<>> done_;
  std::size_t next_ = 0;
  std::optional<Items> items_;
  std::optional<Retry> waiting_;
  Hash chain_;        // whose blocks every step is decided with
  PublicKey holder_;  // of that chain
  bool plan_done_ = false;
  bool calling_ = false;  // a call of its own runs
  Code ending_code_ = Code::ok;
  std::optional<Error> failure_;
  RunReport report_;
  Steps keeps_;
  StepReports steps_;
};

}  // namespace taper::broker
