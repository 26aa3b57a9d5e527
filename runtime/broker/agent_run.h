// One run of a task whose agent is a program: starts it in its cell, answers what is asked over the
// channel to it as a session's requests are answered, and ends the task when the program has ended.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/broker/session_host.h"
#include "runtime/broker/task_run.h"

namespace taper::broker {

class AgentRun final : public TaskRun {
 public:
  // `activation` is of the live task whose life is `life`; `owned` and `tasks` outlive it.
  AgentRun(const OwnedState& owned, TaskHost& tasks, std::shared_ptr<TaskLife> life,
           const authority::Activation& activation, ServeChannel serve, OnStep on_step,
           Steps steps = Steps::kept);

  bool ready() const override;  // the program is to be started, or there is something to tell it
  void advance() override;
  void look_at_time() override;
  std::optional<std::int64_t> wake_boot_ms() const override;
  void interrupted() override;  // cancels the task
  void fail(const Error& error) override { life_->fail(error); }
  bool over() const override { return life_->over() || (failure_ && !life_->running()); }
  bool calling() const override { return false; }  // nothing runs any more when it is over
  Result<RunReport> take_report() override;

 private:
  Now now() const { return life_->parts().clock.now(); }
  const TaskId& task() const { return life_->task(); }
  void start();
  void denied(const authority::Denial& denial);
  void program_over(const CallEnd& end);
  bool chain_over() const;
  // This run goes no further, and the task stays: what runs is killed, settled, and then it is
  // over.
  void leave(const Error& error);
  void end_chain();
  void publish(StepReport report);

  SessionHost sessions_;
  std::shared_ptr<TaskLife> life_;
  ServeChannel serve_;
  OnStep on_step_;
  Hash chain_;
  std::string program_;
  capsules::EndOn end_on_;
  bool started_ = false;
  bool killed_ = false;                               // the program, for what became of its channel
  std::optional<std::int64_t> channel_gone_boot_ms_;  // since when
  std::optional<Error> failure_;
  RunReport report_;
  Steps keeps_;
  StepReports steps_;
  std::unique_ptr<AgentServer> channel_;  // goes before the sessions
};

}  // namespace taper::broker
