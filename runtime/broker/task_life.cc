#include "runtime/broker/task_life.h"

#include <algorithm>
#include <utility>

#include "runtime/authority/profile.h"
#include "runtime/authority/result_text.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/outcome.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/question.h"
#include "runtime/sandbox/builtin/message.h"

namespace taper::broker {

using authority::CallState;
using authority::EndReason;

namespace {

constexpr std::size_t kStderrLookedAtBytes = 16 * limits::kStderrShownBytes;

}  // namespace

Code code_of(EndReason reason) {
  switch (reason) {
    case EndReason::completion: return Code::ok;
    case EndReason::failure: return Code::task_failed;
    case EndReason::cancelled: return Code::cancelled;
    case EndReason::operator_kill: return Code::operator_killed;
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

TaskLife::TaskLife(Parts parts, const TaskId& task) : parts_(parts), task_(task) {}

Result<TaskLife::Answer> TaskLife::call(const authority::CallRequest& request, Ended ended,
                                        Progressed progressed, const CallPhase& phase) {
  TAPER_ASSERT(request.task == task_ && !over_);
  // A tool whose file went bad is off the shelf, and the decision says that it is missing. A host
  // that cannot look decides nothing.
  const Status loaded = parts_.tools.load(request.tool);
  if (!loaded.ok() && loaded.code() != Code::tool_file_malformed) return loaded.error();
  Result<authority::Decision> decision =
      parts_.authority.authorise(request, parts_.tools.tools(), now());
  if (!decision.ok()) {
    fail(decision.error());
    return decision.error();
  }
  if (auto* denial = std::get_if<authority::Denial>(&*decision)) return Answer(std::move(*denial));
  auto& allowed = std::get<authority::Allowed>(*decision);
  const Started started{allowed.call, allowed.decision, allowed.grant};
  const authority::PermitFacts& facts = allowed.permit.facts();
  // Nobody asks again for what a plain call of a session gave, unless its capsule has readers.
  const bool by_handle = request.handle_ttl_ms || phase.by_handle;
  const bool asked_later =
      by_handle || !request.step.empty() || parts_.authority.capsule(task_)->root().result;
  const bool may_ask = facts.kind == authority::ToolKind::upstream;
  running_[started.call] = {.decision = started.decision,
                            .tool = *parts_.tools.find(request.tool),
                            .ended = std::move(ended),
                            .progressed = std::move(progressed),
                            .output_bytes = facts.caps.output_bytes,
                            .deadline_boot_ms = facts.deadline_boot_ms,
                            .asked_later = asked_later,
                            .by_handle = by_handle,
                            .masker = Masker(allowed.permit.secrets()),
                            .input = request.input,
                            .arguments = may_ask ? request.arguments : Bytes(),
                            .chain = request.chain,
                            .phase = phase};
  const Status begun = start(std::move(allowed), request.tool);
  if (!begun.ok() && request.goes_on) return begun.error();
  return Answer(started);
}

Status TaskLife::start(authority::Allowed&& allowed, const std::string& tool) {
  const CallId call = allowed.call;
  const ToolShelf& tools = parts_.tools;
  const Status started =
      parts_.spawner.run(std::move(allowed.permit), tools.program(tool), tools.entry(tool));
  if (started.ok()) return success();
  if (started.code() == Code::spawner_lost) {
    spawner_lost(started.error());
    return success();
  }
  // The host has no room for a cell, which says nothing about the tool.
  const bool host = started.code() == Code::os_failure || started.code() == Code::sandbox_setup;
  const Error refused(host ? Code::sandbox_setup : started.code(), started.error().detail());
  authority::Outcome outcome = outcome_without_run(CallState::failed, refused);
  const bool waits = waits_on(running_.at(call), outcome);
  settle(outcome, {.call = call, .error = refused, .host = host ? Status(refused) : success()});
  return waits ? Status(refused) : success();
}

// A cell that could not be made took no answer: the question stands as it is kept.
bool TaskLife::waits_on(const Running& running, authority::Outcome& outcome) const {
  if (running.phase.question.is_zero() || running.cancelled || ending() ||
      !authority::never_ran(outcome.state, outcome.code))
    return false;
  outcome.state = CallState::waiting;
  outcome.result = running.phase.question;
  return true;
}

// As with the calls that run: one whom the capsule was handed to leaves places to its first holder.
bool TaskLife::may_wait(const Hash& chain) const {
  const auto holder_of = [&](const Hash& of) -> std::optional<PublicKey> {
    const capsules::VerifiedCapsule* capsule = parts_.authority.capsule(task_, of);
    if (capsule == nullptr) return std::nullopt;
    return authority::branch_holder(capsule->root(), capsule->blocks());
  };
  const PublicKey first = parts_.authority.capsule(task_)->root().holder;
  const std::optional<PublicKey> mine = holder_of(chain);
  std::size_t all = 0, same = 0, handed_on = 0;
  for (const authority::PastCall& call : parts_.authority.past_calls(task_)) {
    const auto view = call.state == CallState::waiting
                          ? parts_.authority.handle_view(task_, call.call)
                          : std::nullopt;
    if (!view) continue;
    const std::optional<PublicKey> other = holder_of(view->chain);
    ++all;
    same += other == mine ? 1 : 0;
    handed_on += other == first ? 0 : 1;
  }
  if (all >= limits::kCallsPerTaskMax) return false;
  return mine == first || (same < limits::kCallsPerBranchMax &&
                           handed_on + limits::kCallsForHolder < limits::kCallsPerTaskMax);
}

void TaskLife::cancel_call(const CallId& call) {
  const auto found = running_.find(call);
  if (found == running_.end()) return;
  found->second.cancelled = true;
  // A lost spawner has taken its cells along; poll says so.
  const Status killed = parts_.spawner.kill_call(call);
}

void TaskLife::cancel_calls() {
  for (auto& [call, running] : running_) cancel_call(call);
}

// The cell keeps the lease's deadline too and may be first; the lease is then the reason.
void TaskLife::end_by_time(std::int64_t deadline_boot_ms) {
  const Now at = now();
  EndReason reason = parts_.authority.check_time(task_, at);
  const std::optional<authority::Authority::Due> due = parts_.authority.next_due(task_, at);
  if (reason == EndReason::none && due && due->boot_ms <= deadline_boot_ms) reason = due->reason;
  if (reason != EndReason::none) (void)end(reason);
}

void TaskLife::take_progress(sandbox::ProgressReport report) {
  const auto found = running_.find(report.call);
  if (found == running_.end() || ending()) return;
  Running& running = found->second;
  if (!running.progressed || running.cancelled) return;
  running.masker.mask(report.progress.message);
  running.progressed(report.call, report.progress);
}

void TaskLife::take_report(sandbox::RunReport report) {
  if (agent_ && agent_->call == report.call) return take_agent_report(report);
  const auto found = running_.find(report.call);
  if (found == running_.end()) return;
  Running& running = found->second;
  if (running.tool.kind == authority::ToolKind::upstream) fail_by_answer(report);
  report.error = running.masker.masked(report.error);
  if (report.end == sandbox::RunEnd::deadline && !ending()) {
    end_by_time(running.deadline_boot_ms);
    if (over_) return;
  }
  authority::Outcome outcome = outcome_of(report, running.tool.kind);
  CallEnd end{.call = report.call};
  if (report.end != sandbox::RunEnd::done) {
    end.error = report.error;
    // Masked before it is cut to what is shown, which may end in half a secret. Of what is far
    // longer, as where its cap has cut it, the rest is not looked at.
    const bool cut = report.err.size() > kStderrLookedAtBytes;
    report.err.resize(std::min(report.err.size(), kStderrLookedAtBytes));
    if (cut || report.end == sandbox::RunEnd::output_cap) report.err += sandbox::kCutMark;
    running.masker.mask(report.err);
    report.err.resize(std::min(report.err.size(), limits::kStderrShownBytes));
    // What a server answers is its result, also where it says that it failed.
    if (running.tool.kind == authority::ToolKind::upstream) {
      report.err.resize(std::min<std::size_t>(report.err.size(), running.output_bytes));
      outcome.result_bytes = report.err.size();
    }
    end.err = escape_text(report.err);
  }
  if (report.end == sandbox::RunEnd::killed && ending()) outcome.code = code_of(ending_);
  // How it went wrong by itself is told as it is: a violation is not undone by a cancel.
  const bool by_cancel =
      report.end == sandbox::RunEnd::done || report.end == sandbox::RunEnd::killed;
  if (running.cancelled && by_cancel && !ending()) {
    outcome.state = CallState::killed;
    outcome.code = Code::call_cancelled;
    end.error = Error(Code::call_cancelled);
  }
  const bool may_ask = running.tool.kind == authority::ToolKind::upstream;
  const std::string* asked = may_ask ? asked_in(report) : nullptr;
  if (asked != nullptr && ending()) {
    outcome.state = CallState::killed;
    outcome.code = code_of(ending_);
  }
  if (authority::never_ran(outcome.state, outcome.code)) end.host = report.error;
  if (outcome.state == CallState::done && !ending())
    asked != nullptr ? keep_question(running, *asked, outcome, end)
                     : keep_result(running, std::move(report), outcome, end);
  (void)waits_on(running, outcome);
  if (outcome.state == CallState::failed && !ending()) keep_failure(running, outcome, end);
  settle(outcome, std::move(end));
}

// Writes the file of a result that is asked for later, so that it is durable before the outcome
// that names it. A tool that was done has not failed where the host cannot write: the call counts
// as interrupted, which keeps all its charges and never is a reason to make it again.
void TaskLife::keep_result(Running& running, sandbox::RunReport report, authority::Outcome& outcome,
                           CallEnd& end) const {
  Result<RenderedResult> rendered =
      render_result(running.tool, std::move(report), std::move(running.masker));
  // A builtin's worker knows no cap: what goes beyond the bytes reserved is not released.
  if (rendered.ok() && rendered->result_bytes > running.output_bytes)
    rendered = Error(Code::output_cap,
                     {.field = "result",
                      .expected = "at most " + std::to_string(running.output_bytes) + " bytes",
                      .got = std::to_string(rendered->result_bytes),
                      .fix = ""});
  Status written = rendered.ok() ? success() : Status(rendered.error());
  if (rendered.ok() && running.asked_later)
    written = parts_.results.write(task_, end.call, as_bytes(rendered->json));
  if (!written.ok()) {
    outcome.state = rendered.ok() ? CallState::interrupted : CallState::failed;
    outcome.code = written.code();
    outcome.detail = to_line(written.error());
    end.error = written.error();
    if (rendered.ok()) end.host = written.error();
    return;
  }
  outcome.result_bytes = rendered->result_bytes;
  outcome.result = authority::result_hash(rendered->json);
  end.json = std::move(rendered->json);
}

// The words of a failed call that is asked about later, in the place of its result. A host that
// cannot keep them has lost words alone.
void TaskLife::keep_failure(const Running& running, authority::Outcome& outcome,
                            const CallEnd& end) const {
  if (!running.by_handle || end.err.empty()) return;
  if (parts_.results.write(task_, end.call, as_bytes(end.err)).ok())
    outcome.result = authority::result_hash(end.err);
}

// What a server asks for is kept as a result is, with what it takes to go on. Where nobody can
// answer, the call has failed.
void TaskLife::keep_question(Running& running, const std::string& asked,
                             authority::Outcome& outcome, CallEnd& end) const {
  outcome.state = CallState::failed;
  outcome.code = Code::input_unanswered;
  const bool modern = running.tool.era == "2026-07-28" || running.tool.era == "auto";
  if (running.input == authority::Input::none || !modern) return;
  if (!may_wait(running.chain)) {
    end.error = Error(Code::input_unanswered, {.field = "the call",
                                               .expected = "a place to wait for input",
                                               .got = "none is left",
                                               .fix = ""});
    outcome.detail = end.err = to_line(end.error);
    return;
  }
  // A plain call's client names its arguments again.
  const Result<Question> question = make_question(
      asked, running.phase.round, running.by_handle ? std::move(running.arguments) : Bytes(),
      running.input, running.masker);
  const Bytes kept = question.ok() ? encode_question(*question) : Bytes();
  if (!question.ok() || kept.size() > running.output_bytes) {
    outcome.code = question.ok() ? Code::output_cap : question.code();
    return;
  }
  const Status written = parts_.results.write(task_, end.call, kept);
  if (!written.ok()) {
    outcome.state = CallState::interrupted;
    outcome.code = written.code();
    outcome.detail = to_line(written.error());
    end.error = written.error();
    end.host = written.error();
    return;
  }
  outcome.state = CallState::waiting;
  outcome.code = Code::ok;
  outcome.result_bytes = kept.size();
  outcome.result = authority::result_hash(as_text(kept));
}

void TaskLife::settle(const authority::Outcome& outcome, CallEnd end) {
  const Running finished = std::move(running_.extract(end.call).mapped());
  const Result<EndReason> settled = parts_.authority.settle(end.call, outcome, now());
  if (!settled.ok() && !ending()) {
    finished.ended(end.call, settled.error());
    return fail(settled.error());
  }
  const EndReason reason = settled.ok() ? *settled : EndReason::none;
  // What it asked is answered. Should the file stay, nothing names it any more.
  const bool file = finished.asked_later && !outcome.result.is_zero();
  if (!finished.phase.question.is_zero() && !file && outcome.state != CallState::waiting)
    (void)parts_.results.erase(task_, end.call);
  end.decision = finished.decision;
  end.state = outcome.state;
  end.code = outcome.code;
  end.result = outcome.result;
  const bool well = end.state == CallState::done || end.state == CallState::waiting;
  if (!well && end.error.code() == Code::ok) end.error = Error(end.code);
  end.acts = end.acts && !ending() && end.host.ok() && reason == EndReason::none;
  const CallId call = end.call;
  finished.ended(call, std::move(end));
  if (over_) return;
  if (reason != EndReason::none) (void)this->end(reason);
  try_finish();
}

void TaskLife::spawner_lost(const Error& error) {
  while (!running_.empty() && !over_) {
    const Error interrupted(Code::call_interrupted, error.detail());
    settle(
        outcome_without_run(CallState::interrupted, interrupted),
        {.call = running_.begin()->first, .error = Error(Code::call_interrupted), .acts = false});
  }
  if (agent_ && !over_) {
    sandbox::RunReport lost;
    lost.call = agent_->call;
    lost.end = sandbox::RunEnd::lost;
    take_agent_report(lost);
  }
  ending() ? try_finish() : fail(error);
}

void TaskLife::look_at_time() {
  if (over_) return;
  const Now at = now();
  if (!ending()) {
    const EndReason reason = parts_.authority.check_time(task_, at);
    if (reason != EndReason::none) (void)end(reason);
    const Status looked = reason == EndReason::none ? look_at_handles(at) : success();
    if (!looked.ok()) fail(looked.error());
    return;
  }
  try_finish();
  if (!over_ && at.boot_ms >= confirm_by_boot_ms_) fail(Error(Code::kill_unconfirmed));
}

// A call that runs on when nobody can ask about it any more is of no use: it is cancelled, settled,
// and then forgotten as the others are.
Status TaskLife::look_at_handles(const Now& at) {
  constexpr int kAtOnce = 16;  // each is a commit, and others wait
  int forgotten = 0;
  for (const CallId& call : parts_.authority.handles_due(task_, at).over) {
    if (running_.contains(call)) {
      cancel_call(call);
      continue;
    }
    if (++forgotten > kAtOnce) break;
    TAPER_CHECK(forget(call, authority::Forget::over));
  }
  return success();
}

Status TaskLife::forget(const CallId& call, authority::Forget which) {
  const auto view = parts_.authority.handle_view(task_, call);
  if (!view) return success();
  // What a call asked is no result, nor is what was left of it.
  const bool gave = view->state != CallState::waiting && !view->result.is_zero();
  if (!gave || !parts_.authority.capsule(task_)->root().result)
    TAPER_CHECK(parts_.results.erase(task_, call));
  return parts_.authority.forget_handle(task_, call, now(), which);
}

std::optional<std::int64_t> TaskLife::wake_boot_ms() const {
  if (over_) return std::nullopt;
  const Now at = now();
  if (ending()) return at.boot_ms + limits::kKillLookMs;
  const std::optional<authority::Authority::Due> due = parts_.authority.next_due(task_, at);
  std::optional<std::int64_t> wake;
  if (due) wake = due->boot_ms;
  // An end that an earlier life began.
  if (parts_.authority.check_time(task_, at) != EndReason::none) wake = at.boot_ms;
  // What runs beyond its handle's time has been sent its death and will be reported.
  const authority::HandlesDue handles = parts_.authority.handles_due(task_, at);
  std::optional<std::int64_t> handle = handles.next_boot_ms;
  if (std::ranges::any_of(handles.over, [this](const CallId& call) {
        const auto found = running_.find(call);
        return found == running_.end() || !found->second.cancelled;
      }))
    handle = at.boot_ms;
  if (handle) wake = std::min(wake.value_or(*handle), *handle);
  return wake;
}

Status TaskLife::end(EndReason reason, const authority::EndedBy& by) {
  if (failure_) return Status(Error(*failure_));
  if (ending()) return success();
  ending_ = reason;
  // A lost spawner has taken its cells along; poll says so.
  const Status killed = parts_.spawner.kill_task(task_);
  confirm_by_boot_ms_ = now().boot_ms + limits::kKillConfirmMs;
  const Status durable = parts_.authority.begin_ending(task_, reason, now(), by);
  if (!durable.ok()) {
    fail(durable.error());
    return durable.error();
  }
  try_finish();
  return success();
}

void TaskLife::try_finish() {
  if (over_ || !ending() || running()) return;
  if (parts_.spawner.cells_alive(task_) > 0) return;
  const Status finished = finish();
  if (!finished.ok()) return fail(finished.error());
  over_ = true;
}

Status TaskLife::finish() {
  TAPER_CHECK(end_results(parts_.authority, parts_.results, task_));
  TAPER_TRY(state_, parts_.authority.finish(task_, now()));
  return parts_.store.sync_marker();
}

void TaskLife::fail(Error error) {
  if (over_) return;
  over_ = true;
  failure_ = std::move(error);
  // Best effort: the spawner's end kills whatever this does not reach.
  const Status killed = parts_.spawner.kill_task(task_);
  if (const auto agent = std::exchange(agent_, std::nullopt))
    agent->ended(agent->call, Error(*failure_));
  for (auto& [call, running] : std::exchange(running_, {})) running.ended(call, Error(*failure_));
}

}  // namespace taper::broker
