#include "runtime/broker/task_run.h"

#include <algorithm>

#include "runtime/authority/plan.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/outcome.h"

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

TaskRun::TaskRun(Parts parts, const authority::Activation& activation)
    : parts_(std::move(parts)),
      capsule_(*parts_.authority.capsule(activation.task)),
      inputs_(*parts_.authority.inputs(activation.task)),
      past_(parts_.authority.past_calls(activation.task)) {
  report_.task = activation.task;
  report_.resumed = activation.resumed;
}

bool TaskRun::ready() const {
  return !over_ && !plan_done_ && !running_ && ending_ == EndReason::none;
}

void TaskRun::advance() {
  if (!ready()) return;
  if (next_ == plan().steps.size()) return plan_done();
  const std::size_t index = next_++;
  const authority::PastCall* past = past_of(step(index).id);
  if (past != nullptr) return take_past(step(index), *past);
  if (needs_met(step(index))) return decide(index);
  StepReport report = begin_report(step(index));
  report.verdict = "skipped";
  publish(std::move(report));
}

void TaskRun::plan_done() {
  plan_done_ = true;
  // Without this tripwire the task lives on, until it idles or its lease ends.
  if (capsule_.root().end_on.completion) (void)end(EndReason::completion);
}

// The last call of an earlier life that binds this step. An interrupted one binds unless its tool
// only reads.
const authority::PastCall* TaskRun::past_of(const std::string& id) const {
  const auto found = std::find_if(past_.rbegin(), past_.rend(),
                                  [&](const authority::PastCall& call) { return call.step == id; });
  if (found == past_.rend()) return nullptr;
  const bool open = found->state == CallState::interrupted || found->state == CallState::authorised;
  return open && found->read_only ? nullptr : &*found;
}

bool TaskRun::needs_met(const capsules::Step& step) const {
  return std::all_of(step.needs.begin(), step.needs.end(),
                     [&](const std::string& need) { return done_.contains(need); });
}

std::optional<std::string> TaskRun::result_of(std::string_view id) const {
  const auto found = done_.find(id);
  if (found == done_.end()) return std::nullopt;
  const Result<Bytes> bytes = parts_.results.read(report_.task, found->second);
  if (!bytes.ok()) return std::nullopt;
  return std::string(as_text(*bytes));
}

StepReport TaskRun::begin_report(const capsules::Step& step) const {
  StepReport report;
  report.id = step.id;
  report.tool = step.tool;
  return report;
}

void TaskRun::publish(StepReport report) {
  if (parts_.on_step) parts_.on_step(report);
  report_.steps.push_back(std::move(report));
}

void TaskRun::take_past(const capsules::Step& step, const authority::PastCall& past) {
  StepReport report = begin_report(step);
  report.decision = past.decision;
  report.verdict = "allow";
  const bool done = past.state == CallState::done;
  const bool open = past.state == CallState::authorised || past.state == CallState::interrupted;
  report.outcome = open ? "interrupted" : std::string(authority::call_state_name(past.state));
  report.code = done ? Code::ok : open ? Code::call_interrupted : past.code;
  if (done) {
    done_.emplace(step.id, past.call);
    report.result = shown_result(result_of(step.id).value_or(""));
  } else {
    report.error = Error(report.code);
  }
  const Code code = report.code;
  publish(std::move(report));
  if (!done) step_failed(step, code);
}

void TaskRun::decide(std::size_t index) {
  const capsules::Step& current = step(index);
  const Result<Bytes> arguments = authority::fill_arguments(
      current.args, inputs_, [this](std::string_view id) { return result_of(id); });
  if (!arguments.ok()) {
    StepReport report = begin_report(current);
    report.outcome = "failed";
    report.code = arguments.code();
    report.error = arguments.error();
    publish(std::move(report));
    return step_failed(current, arguments.code());
  }
  // A tool whose file went bad is off the shelf, and the decision says that it is missing.
  const Status loaded = parts_.tools.load(current.tool);
  authority::CallRequest request{.task = report_.task,
                                 .verb = capsules::Verb::call,
                                 .tool = current.tool,
                                 .arguments = to_bytes(*arguments),
                                 .step = current.id};
  Result<authority::Decision> decision =
      parts_.authority.authorise(request, parts_.tools.tools(), now());
  if (!decision.ok()) return fail(decision.error());
  if (const auto* denial = std::get_if<authority::Denial>(&*decision)) {
    return denied(current, *denial);
  }
  start(index, std::get<authority::Allowed>(std::move(*decision)));
}

void TaskRun::denied(const capsules::Step& step, const authority::Denial& denial) {
  StepReport report = begin_report(step);
  report.decision = denial.decision;
  report.verdict = "deny";
  report.code = denial.error.code();
  report.error = denial.error;
  publish(std::move(report));
  EndReason reason = denial.ends_task;
  if (reason == EndReason::none) reason = parts_.authority.check_time(report_.task, now());
  if (reason == EndReason::none && step.on_error == capsules::OnError::stop) {
    const bool spent = describe(denial.error.code()).kind == Kind::exhausted;
    reason = spent ? EndReason::budget : EndReason::step_denied;
  }
  if (reason == EndReason::none) return;
  if (reason == EndReason::budget) ending_code_ = denial.error.code();
  (void)end(reason);
}

void TaskRun::start(std::size_t index, authority::Allowed&& allowed) {
  Running running{.step = index,
                  .call = allowed.call,
                  .report = begin_report(step(index)),
                  .output_bytes = allowed.permit.facts().caps.output_bytes,
                  .deadline_boot_ms = allowed.permit.facts().deadline_boot_ms};
  running.report.decision = allowed.decision;
  running.report.verdict = "allow";
  running_ = std::move(running);
  const Status started =
      parts_.spawner.run(std::move(allowed.permit), parts_.tools.program(step(index).tool));
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
    for (const sandbox::RunReport& report : *reports) {
      if (!running_ || running_->call != report.call) continue;
      // Whether the cell alone is gone or the spawner with it shows the next poll.
      if (report.end == sandbox::RunEnd::lost) {
        lost_ = report;
      } else {
        take_report_of(report);
      }
    }
  }
  if (lost_ && running_) take_report_of(*std::exchange(lost_, std::nullopt));
  try_finish();
}

void TaskRun::take_report_of(const sandbox::RunReport& report) {
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
  if (report.end != sandbox::RunEnd::done)
    running_->report.err = escape_text(report.err.substr(0, limits::kStderrShownBytes));
  if (report.end == sandbox::RunEnd::killed && ending_ != EndReason::none)
    outcome.code = code_of(ending_);
  if (outcome.state == CallState::done && ending_ == EndReason::none) keep_result(report, outcome);
  settle(std::move(outcome));
}

// Writes the result's file, so that it is durable before the outcome that names it.
void TaskRun::keep_result(const sandbox::RunReport& report, authority::Outcome& outcome) {
  const authority::Tool* tool = parts_.tools.find(step(running_->step).tool);
  TAPER_ASSERT(tool != nullptr);
  Result<RenderedResult> rendered = render_result(*tool, report);
  // A builtin's worker knows no cap: what goes beyond the bytes reserved is not released.
  if (rendered.ok() && rendered->result_bytes > running_->output_bytes)
    rendered = Error(Code::output_cap,
                     {.field = "result",
                      .expected = "at most " + std::to_string(running_->output_bytes) + " bytes",
                      .got = std::to_string(rendered->result_bytes),
                      .fix = ""});
  const Status written =
      rendered.ok() ? parts_.results.write(report_.task, running_->call, as_bytes(rendered->json))
                    : Status(rendered.error());
  if (!written.ok()) {
    outcome.state = CallState::failed;
    outcome.code = written.code();
    outcome.detail = to_line(written.error());
    running_->report.error = written.error();
    return;
  }
  outcome.result_bytes = rendered->result_bytes;
  outcome.result = authority::result_hash(rendered->json);
  running_->report.result = shown_result(rendered->json);
}

void TaskRun::settle(authority::Outcome outcome) {
  Running finished = std::move(*running_);
  running_.reset();
  const Result<EndReason> settled = parts_.authority.settle(finished.call, outcome, now());
  if (!settled.ok() && ending_ == EndReason::none) return fail(settled.error());
  const bool done = outcome.state == CallState::done;
  finished.report.outcome = authority::call_state_name(outcome.state);
  finished.report.code = outcome.code;
  if (!done && finished.report.error.code() == Code::ok)
    finished.report.error = Error(outcome.code);
  if (done && ending_ == EndReason::none) done_.emplace(finished.report.id, finished.call);
  publish(std::move(finished.report));
  if (ending_ != EndReason::none) return try_finish();
  if (settled.ok() && *settled != EndReason::none) {
    (void)end(*settled);
  } else if (!done) {
    step_failed(step(finished.step), outcome.code);
  }
}

void TaskRun::step_failed(const capsules::Step& step, Code code) {
  const bool stops = step.on_error == capsules::OnError::stop || capsule_.root().end_on.failure;
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
    if (reason != EndReason::none) (void)end(reason);
    return;
  }
  spawner_reported();
  if (!over_ && at.boot_ms >= confirm_by_boot_ms_) fail(Error(Code::kill_unconfirmed));
}

std::optional<std::int64_t> TaskRun::wake_boot_ms() const {
  if (over_) return std::nullopt;
  const Now at = now();
  if (ending_ != EndReason::none) return at.boot_ms + limits::kKillLookMs;
  const std::optional<authority::Authority::Due> due = parts_.authority.next_due(report_.task, at);
  if (!due) return std::nullopt;
  return std::max(due->boot_ms, at.boot_ms + 1);
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
  TAPER_CHECK(parts_.results.erase_task(report_.task));
  TAPER_TRY(report_.state, parts_.authority.finish(report_.task, now()));
  TAPER_CHECK(parts_.store.sync_marker());
  report_.reason = ending_;
  report_.code = ending_code_ != Code::ok ? ending_code_ : code_of(ending_);
  for (; next_ < plan().steps.size(); ++next_) {
    StepReport report = begin_report(step(next_));
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
