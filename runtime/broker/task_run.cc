#include "runtime/broker/task_run.h"

#include <algorithm>

#include "runtime/authority/result_text.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/outcome.h"
#include "runtime/broker/owned_state.h"

namespace taper::broker {

using authority::CallState;
using authority::EndReason;

Code code_of(EndReason reason) {
  switch (reason) {
    case EndReason::completion: return Code::ok;
    case EndReason::failure: return Code::task_failed;
    case EndReason::cancelled:
    case EndReason::operator_kill: return Code::cancelled;
    case EndReason::ttl: return Code::lease_ended;
    case EndReason::idle: return Code::idle_ended;
    case EndReason::window: return Code::window_ended;
    case EndReason::denials: return Code::denials_ended;
    case EndReason::violation: return Code::violation;
    case EndReason::drift: return Code::drift_ended;
    case EndReason::clock: return Code::clock_ended;
    case EndReason::stale: return Code::stale_ended;
    case EndReason::step_denied: return Code::step_denied;
    case EndReason::budget: return Code::budget_calls;
    case EndReason::log_quota: return Code::log_quota;
    case EndReason::revocation: return Code::revoked;
    case EndReason::none: break;
  }
  return Code::internal;
}

void TaskRun::start(const Unit& unit, authority::Allowed&& allowed) {
  Running running{.unit = unit,
                  .call = allowed.call,
                  .report = begin_report(unit),
                  .output_bytes = allowed.permit.facts().caps.output_bytes,
                  .deadline_boot_ms = allowed.permit.facts().deadline_boot_ms,
                  .masker = Masker(allowed.permit.secrets())};
  running.report.decision = allowed.decision;
  running.report.verdict = "allow";
  running_ = std::move(running);
  ++made_[unit.id].calls;
  const Status started =
      parts_.spawner.run(std::move(allowed.permit), parts_.tools.program(step(unit.step).tool));
  if (started.ok()) return;
  if (started.code() == Code::spawner_lost) return spawner_lost(started.error());
  running_->report.error = started.error();
  settle(outcome_without_run(CallState::failed, started.error()));
}

void TaskRun::spawner_reported() {
  while (!over_) {
    Result<std::vector<sandbox::RunReport>> reports = parts_.spawner.poll();
    if (!reports.ok()) return spawner_lost(reports.error());
    if (reports->empty()) break;
    for (sandbox::RunReport& report : *reports) {
      if (!running_ || running_->call != report.call) continue;
      // Whether the cell alone is gone or the spawner with it shows the next poll.
      if (report.end == sandbox::RunEnd::lost) {
        lost_ = std::move(report);
      } else {
        take_report_of(std::move(report));
      }
    }
  }
  if (lost_ && running_) take_report_of(*std::exchange(lost_, std::nullopt));
  try_finish();
}

void TaskRun::take_report_of(sandbox::RunReport report) {
  report.error = running_->masker.masked(report.error);
  if (report.end == sandbox::RunEnd::deadline && ending_ == EndReason::none) {
    // The cell keeps the lease's deadline too and may be first; the lease is then the reason.
    const Now at = now();
    EndReason reason = parts_.authority.check_time(report_.task, at);
    const std::optional<authority::Authority::Due> due =
        parts_.authority.next_due(report_.task, at);
    if (reason == EndReason::none && due && due->boot_ms <= running_->deadline_boot_ms)
      reason = due->reason;
    if (reason != EndReason::none) (void)end(reason);
    if (over_) return;
  }
  authority::Outcome outcome = outcome_of(report);
  running_->report.error = report.end == sandbox::RunEnd::done ? Error(Code::ok) : report.error;
  if (report.end != sandbox::RunEnd::done) {
    // Masked whole: what is cut first may end in half a secret.
    running_->masker.mask(report.err);
    running_->report.err = escape_text(report.err.substr(0, limits::kStderrShownBytes));
  }
  if (report.end == sandbox::RunEnd::killed && ending_ != EndReason::none)
    outcome.code = code_of(ending_);
  Status kept = success();
  if (outcome.state == CallState::done && ending_ == EndReason::none)
    kept = keep_result(std::move(report), outcome);
  settle(std::move(outcome), kept);
}

// Writes the result's file, so that it is durable before the outcome that names it. A tool that was
// done has not failed where the host cannot write: the error is the run's, and the call counts as
// interrupted, which keeps all its charges and never is a reason to make it again.
Status TaskRun::keep_result(sandbox::RunReport report, authority::Outcome& outcome) {
  const authority::Tool* tool = parts_.tools.find(step(running_->unit.step).tool);
  TAPER_ASSERT(tool != nullptr);
  Result<RenderedResult> rendered =
      render_result(*tool, std::move(report), std::move(running_->masker));
  // A builtin's worker knows no cap: what goes beyond the bytes reserved is not released.
  if (rendered.ok() && rendered->result_bytes > running_->output_bytes)
    rendered = Error(Code::output_cap,
                     {.field = "result",
                      .expected = "at most " + std::to_string(running_->output_bytes) + " bytes",
                      .got = std::to_string(rendered->result_bytes),
                      .fix = ""});
  Status written =
      rendered.ok() ? parts_.results.write(report_.task, running_->call, as_bytes(rendered->json))
                    : Status(rendered.error());
  if (!written.ok()) {
    outcome.state = rendered.ok() ? CallState::interrupted : CallState::failed;
    outcome.code = written.code();
    outcome.detail = to_line(written.error());
    running_->report.error = written.error();
    return rendered.ok() ? std::move(written) : success();
  }
  outcome.result_bytes = rendered->result_bytes;
  outcome.result = authority::result_hash(rendered->json);
  running_->report.result = shown_result(rendered->json);
  return success();
}

void TaskRun::settle(authority::Outcome outcome, const Status& kept) {
  Running finished = std::move(*running_);
  running_.reset();
  const Result<EndReason> settled = parts_.authority.settle(finished.call, outcome, now());
  if (!settled.ok() && ending_ == EndReason::none) return fail(settled.error());
  const bool done = outcome.state == CallState::done;
  finished.report.outcome = authority::call_state_name(outcome.state);
  finished.report.code = outcome.code;
  if (!done && finished.report.error.code() == Code::ok)
    finished.report.error = Error(outcome.code);
  publish(std::move(finished.report));
  if (ending_ != EndReason::none) return try_finish();
  if (!kept.ok()) return fail(kept.error());
  if (settled.ok() && *settled != EndReason::none) {
    (void)end(*settled);
  } else if (!done && chain_over()) {
    look_at_time();
  } else if (done) {
    unit_done(finished.unit, {finished.call, outcome.result});
  } else {
    went_wrong(finished.unit, finished.call, outcome.code);
  }
}

void TaskRun::step_failed(const capsules::Step& step, Code code) {
  const bool stops = step.on_error != capsules::OnError::carry_on || capsule_.root().end_on.failure;
  if (code == Code::violation && capsule_.root().end_on.violation) {
    (void)end(EndReason::violation);
  } else if (stops) {
    // A host that cannot run tools at all is another matter than a tool that failed.
    if (code == Code::sandbox_layer || code == Code::sandbox_setup) ending_code_ = code;
    (void)end(EndReason::failure);
  }
}

void TaskRun::spawner_lost(const Error& error) {
  lost_.reset();
  if (running_) {
    running_->report.error = Error(Code::call_interrupted);
    Running finished = std::move(*running_);
    running_.reset();
    const Error interrupted(Code::call_interrupted, error.detail());
    const authority::Outcome outcome = outcome_without_run(CallState::interrupted, interrupted);
    const Result<EndReason> settled = parts_.authority.settle(finished.call, outcome, now());
    if (!settled.ok() && ending_ == EndReason::none) return fail(settled.error());
    finished.report.outcome = "interrupted";
    finished.report.code = Code::call_interrupted;
    publish(std::move(finished.report));
  }
  if (ending_ == EndReason::none) return fail(error);
  try_finish();
}

void TaskRun::look_at_time() {
  if (over_) return;
  const Now at = now();
  if (ending_ == EndReason::none) {
    const EndReason reason = parts_.authority.check_time(report_.task, at);
    if (reason != EndReason::none) {
      (void)end(reason);
    } else if (!running_ && chain_over()) {
      fail(Error(Code::lease_over, {.field = "the chain's blocks",
                                    .expected = "time left",
                                    .got = "none",
                                    .fix = "narrow again with a longer lease"}));
    }
    return;
  }
  spawner_reported();
  if (!over_ && at.boot_ms >= confirm_by_boot_ms_) fail(Error(Code::kill_unconfirmed));
}

bool TaskRun::chain_over() const {
  const Now at = now();
  const std::optional<std::int64_t> due = parts_.authority.chain_due(report_.task, chain_, at);
  return due && *due <= at.boot_ms;
}

std::optional<std::int64_t> TaskRun::wake_boot_ms() const {
  if (over_) return std::nullopt;
  const Now at = now();
  if (ending_ != EndReason::none) return at.boot_ms + limits::kKillLookMs;
  const std::optional<authority::Authority::Due> due = parts_.authority.next_due(report_.task, at);
  if (!due) return std::nullopt;
  std::int64_t wake = due->boot_ms;
  const auto own = parts_.authority.chain_due(report_.task, chain_, at);
  // What runs dies at its own deadline, which is no later.
  if (own)
    wake = std::min(wake, running_ ? std::max(*own, at.boot_ms + limits::kKillLookMs) : *own);
  if (waiting_ && !running_) wake = std::min(wake, waiting_->until_boot_ms);
  return std::max(wake, at.boot_ms + 1);
}

Status TaskRun::end(EndReason reason) {
  if (failure_) return Status(Error(*failure_));
  if (ending_ != EndReason::none) return success();
  ending_ = reason;
  // A lost spawner has taken its cells along; poll says so.
  const Status killed = parts_.spawner.kill_task(report_.task);
  confirm_by_boot_ms_ = now().boot_ms + limits::kKillConfirmMs;
  const Status durable = parts_.authority.begin_ending(report_.task, reason, now());
  if (!durable.ok()) {
    fail(durable.error());
    return durable.error();
  }
  try_finish();
  return success();
}

void TaskRun::try_finish() {
  if (over_ || ending_ == EndReason::none || running_) return;
  if (parts_.spawner.cells_alive(report_.task) > 0) return;
  const Status finished = finish();
  if (!finished.ok()) return fail(finished.error());
  over_ = true;
}

Status TaskRun::finish() {
  TAPER_CHECK(end_results(parts_.authority, parts_.results, report_.task));
  TAPER_TRY(report_.state, parts_.authority.finish(report_.task, now()));
  TAPER_CHECK(parts_.store.sync_marker());
  report_.reason = ending_;
  report_.code = ending_code_ != Code::ok ? ending_code_ : code_of(ending_);
  for (; next_ < plan().steps.size(); ++next_) {
    StepReport report = begin_report({next_, step(next_).id});
    report.verdict = "skipped";
    publish(std::move(report));
  }
  return success();
}

void TaskRun::fail(Error error) {
  if (over_) return;
  failure_ = std::move(error);
  over_ = true;
  // Best effort: the spawner's end kills whatever this does not reach.
  const Status killed = parts_.spawner.kill_task(report_.task);
}

Result<RunReport> TaskRun::take_report() {
  TAPER_ASSERT(over_);
  if (failure_) return Error(*failure_);
  return std::move(report_);
}

}  // namespace taper::broker
