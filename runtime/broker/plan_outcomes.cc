// What follows from how a plan's calls went: results, retries, the end of the task, the report.
#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/broker/diagnostics.h"
#include "runtime/broker/outcome.h"
#include "runtime/broker/plan_run.h"

namespace taper::broker {

using authority::CallState;
using authority::EndReason;
using capsules::OnError;

void PlanRun::call_over(const Unit& unit, CallEnd end) {
  ++made_[unit.id].calls;
  const bool done = end.state == CallState::done;
  StepReport report = begin_report(unit);
  report.decision = end.decision;
  report.verdict = "allow";
  report.outcome = authority::call_state_name(end.state);
  report.code = end.code;
  report.error = end.error;
  report.err = std::move(end.err);
  if (done) report.result = shown_result(end.json);
  publish(std::move(report));
  if (!end.host.ok()) return fail(end.host.error());
  if (!end.acts) return;
  if (!done && chain_over()) {
    look_at_time();
  } else if (done) {
    unit_done(unit, {end.call, end.result});
  } else {
    went_wrong(unit, end.call, end.code);
  }
}

// Nothing was asked, so there is nothing to retry. Results that cannot be read, or are not those
// that were committed, are nothing that a plan goes on from.
void PlanRun::unresolved(const Unit& unit, const Error& error) {
  const Kind kind = describe(error.code()).kind;
  if (kind == Kind::unavailable || kind == Kind::corrupt) return fail(error);
  StepReport report = begin_report(unit);
  report.outcome = "failed";
  report.code = error.code();
  report.error = error;
  publish(std::move(report));
  step_failed(step(unit.step), error.code());
}

void PlanRun::denied(const Unit& unit, const authority::Denial& denial) {
  StepReport report = begin_report(unit);
  report.decision = denial.decision;
  report.verdict = "deny";
  report.code = denial.error.code();
  report.error = denial.error;
  publish(std::move(report));
  EndReason reason = denial.ends_task;
  if (reason == EndReason::none && chain_over()) return fail(denial.error);
  if (reason == EndReason::none) reason = life_->parts().authority.check_time(task(), now());
  if (reason == EndReason::none && step(unit.step).on_error != OnError::carry_on) {
    const bool spent = describe(denial.error.code()).kind == Kind::exhausted;
    reason = spent ? EndReason::budget : EndReason::step_denied;
  }
  if (reason == EndReason::none) return;
  if (reason == EndReason::budget) ending_code_ = denial.error.code();
  (void)life_->end(reason);
}

void PlanRun::unit_done(const Unit& unit, const Left& left) {
  if (unit.item) {
    items_->done.push_back(left);
  } else {
    done_[unit.id] = {{left}, false};
  }
}

// What was seen to fail is tried again where the step says so; what was interrupted, and what broke
// its sandbox, never is.
void PlanRun::went_wrong(const Unit& unit, const CallId& call, Code code) {
  const bool known = may_repeat(call, code);
  if (known) made_[unit.id].failed = true;
  if (!known || !may_call_again(unit) || capsule_.root().end_on.failure)
    return step_failed(step(unit.step), code);
  waiting_ = {unit, now().boot_ms + step(unit.step).backoff_ms};
}

// A tool that wrote too much, or no JSON where it promised some, or a server that ended or drifted
// in a call, may have done its work for all that: again only where doing it twice does no harm.
bool PlanRun::may_repeat(const CallId& call, Code code) const {
  if (code == Code::call_interrupted || code == Code::violation) return false;
  if (code != Code::output_cap && code != Code::tool_output_malformed && code != Code::too_large &&
      code != Code::upstream_broken && code != Code::upstream_drift)
    return true;
  const std::vector<authority::PastCall> calls = life_->parts().authority.past_calls(task());
  return std::ranges::any_of(
      calls, [&](const authority::PastCall& past) { return past.call == call && past.repeatable; });
}

void PlanRun::step_failed(const capsules::Step& step, Code code) {
  const bool stops = step.on_error != capsules::OnError::carry_on || capsule_.root().end_on.failure;
  if (code == Code::violation && capsule_.root().end_on.violation) {
    (void)life_->end(EndReason::violation);
  } else if (stops) {
    (void)life_->end(EndReason::failure);
  }
}

void PlanRun::plan_done() {
  plan_done_ = true;
  // Without this tripwire the task lives on, until it idles or its lease ends.
  if (capsule_.root().end_on.completion) (void)life_->end(EndReason::completion);
}

bool PlanRun::chain_over() const {
  const Now at = now();
  const std::optional<std::int64_t> due = life_->parts().authority.chain_due(task(), chain_, at);
  return due && *due <= at.boot_ms;
}

void PlanRun::look_at_time() {
  if (over() || life_->ending() || calling_ || !chain_over()) return;
  fail(Error(Code::lease_over, {.field = "the chain's blocks",
                                .expected = "time left",
                                .got = "none",
                                .fix = "narrow again with a longer lease"}));
}

std::optional<std::int64_t> PlanRun::wake_boot_ms() const {
  if (over() || life_->ending()) return std::nullopt;
  const Now at = now();
  std::optional<std::int64_t> wake = life_->parts().authority.chain_due(task(), chain_, at);
  // What runs dies at its own deadline, which is no later.
  if (wake && calling_) wake = std::max(*wake, at.boot_ms + limits::kKillLookMs);
  if (waiting_ && !calling_)
    wake = std::min(wake.value_or(waiting_->until_boot_ms), waiting_->until_boot_ms);
  return wake;
}

void PlanRun::interrupted() {
  const Status ended = life_->end(EndReason::cancelled);
  if (!ended.ok()) warn(to_line(ended.error()));
}

void PlanRun::fail(const Error& error) {
  if (!over()) failure_ = error;
}

Result<RunReport> PlanRun::take_report() {
  TAPER_ASSERT(over());
  if (failure_) return Error(*failure_);
  if (life_->failure()) return Error(*life_->failure());
  report_.state = life_->state();
  report_.reason = life_->reason();
  report_.code = ending_code_ != Code::ok ? ending_code_ : code_of(life_->reason());
  for (; next_ < plan().steps.size(); ++next_) {
    StepReport report = begin_report({next_, step(next_).id});
    report.verdict = "skipped";
    publish(std::move(report));
  }
  report_.steps = steps_.take();
  return std::move(report_);
}

}  // namespace taper::broker
