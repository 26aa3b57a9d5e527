// A plan's steps: which comes next, what of it was done in an earlier life of the task, and what
// follows from how it went.
#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/broker/arguments.h"
#include "runtime/broker/outcome.h"
#include "runtime/broker/task_run.h"

namespace taper::broker {

using authority::CallState;
using authority::EndReason;
using capsules::OnError;

TaskRun::TaskRun(Parts parts, const authority::Activation& activation)
    : parts_(std::move(parts)),
      capsule_(*parts_.authority.capsule(activation.task)),
      inputs_(*parts_.authority.inputs(activation.task)),
      chain_(activation.chain),
      holder_(activation.holder) {
  report_.task = activation.task;
  report_.resumed = activation.resumed;
  report_.joined = activation.joined;
  for (authority::PastCall& call : parts_.authority.past_calls(activation.task)) {
    Made& made = made_[call.step];
    ++made.calls;
    made.failed = made.failed || call.state == CallState::failed || call.state == CallState::killed;
    made.past = std::move(call);
  }
}

bool TaskRun::ready() const {
  if (over_ || plan_done_ || running_ || ending_ != EndReason::none) return false;
  return !waiting_ || waiting_->until_boot_ms <= now().boot_ms;
}

void TaskRun::advance() {
  if (!ready()) return;
  if (waiting_) {
    const Unit unit = std::exchange(waiting_, std::nullopt)->unit;
    return decide(unit);
  }
  if (items_) return take_item();
  if (next_ == plan().steps.size()) return plan_done();
  take_step(next_++);
}

void TaskRun::plan_done() {
  plan_done_ = true;
  // Without this tripwire the task lives on, until it idles or its lease ends.
  if (capsule_.root().end_on.completion) (void)end(EndReason::completion);
}

void TaskRun::take_step(std::size_t index) {
  const Unit unit{index, step(index).id};
  if (!needs_met(step(index))) {
    StepReport report = begin_report(unit);
    report.verdict = "skipped";
    return publish(std::move(report));
  }
  if (!step(index).for_each.empty()) return begin_items(index);
  take_up(unit);
}

void TaskRun::begin_items(std::size_t index) {
  const Sources sources{inputs_, [this](std::string_view id) { return result_of(id); }};
  Result<std::vector<capsules::Value>> values = items_of(step(index), sources);
  if (!values.ok()) return unresolved({index, step(index).id}, values.error());
  items_.emplace(index, std::move(*values));
  if (!items_->values.empty()) return;
  StepReport report = begin_report({index, step(index).id});
  report.outcome = "done";
  report.result = "[]";
  publish(std::move(report));
}

// The step is done where all its items are.
void TaskRun::take_item() {
  const capsules::Step& current = step(items_->step);
  if (items_->next < items_->values.size()) {
    const std::size_t item = items_->next++;
    return take_up({items_->step, item_name(current.id, item), item});
  }
  const Items over = *std::exchange(items_, std::nullopt);
  if (over.done.size() == over.values.size()) done_[current.id] = {over.done, true};
}

// The last call of an earlier life binds the unit. One that was interrupted binds too, unless its
// tool only reads.
void TaskRun::take_up(const Unit& unit) {
  const std::optional<authority::PastCall> past = made_[unit.id].past;
  if (!past) return decide(unit);
  const bool open = past->state == CallState::interrupted || past->state == CallState::authorised;
  const bool counted = step(unit.step).on_error == OnError::retry;
  if (open && past->repeatable && (!counted || may_call_again(unit))) return decide(unit);
  take_past(unit, *past);
}

// Every call that was made counts, whatever became of it: a crash gives no more of them.
bool TaskRun::may_call_again(const Unit& unit) const {
  const capsules::Step& current = step(unit.step);
  return current.on_error == OnError::retry && made_.at(unit.id).calls <= current.retries;
}

bool TaskRun::needs_met(const capsules::Step& step) const {
  return std::all_of(step.needs.begin(), step.needs.end(),
                     [&](const std::string& need) { return done_.contains(need); });
}

Result<std::optional<std::string>> TaskRun::result_of(std::string_view id) const {
  const std::optional<std::string> none;
  const auto found = done_.find(id);
  if (found == done_.end()) return none;
  std::string all;
  for (const Left& left : found->second.calls) {
    TAPER_TRY(const Bytes bytes, parts_.results.read(report_.task, left.call, left.result));
    if (all.size() + bytes.size() > limits::kResultBytesMax) return none;
    if (!all.empty()) all += ',';
    all += as_text(bytes);
  }
  return std::optional(found->second.each ? "[" + all + "]" : all);
}

StepReport TaskRun::begin_report(const Unit& unit) const {
  StepReport report;
  report.id = unit.id;
  report.tool = step(unit.step).tool;
  return report;
}

void TaskRun::publish(StepReport report) {
  if (parts_.on_step) parts_.on_step(report);
  // Thousands of items each have a result: what is kept of all together is bounded too.
  report.result = shown_result(report.result, shown_left_);
  shown_left_ -= std::min(shown_left_, report.result.size());
  if (report.err.size() > shown_left_) report.err.clear();
  shown_left_ -= report.err.size();
  report_.steps.push_back(std::move(report));
}

void TaskRun::take_past(const Unit& unit, const authority::PastCall& past) {
  StepReport report = begin_report(unit);
  report.decision = past.decision;
  report.verdict = "allow";
  const bool done = past.state == CallState::done;
  const bool open = past.state == CallState::authorised || past.state == CallState::interrupted;
  report.outcome = open ? "interrupted" : std::string(authority::call_state_name(past.state));
  report.code = done ? Code::ok : open ? Code::call_interrupted : past.code;
  if (done && past.holder == holder_) {
    const Result<Bytes> kept = parts_.results.read(report_.task, past.call, past.result);
    if (!kept.ok()) return fail(kept.error());
    report.result = shown_result(as_text(*kept));
  }
  if (!done) report.error = Error(report.code);
  const Code code = report.code;
  publish(std::move(report));
  if (done) return unit_done(unit, {past.call, past.result});
  went_wrong(unit, past.call, code);
}

void TaskRun::decide(const Unit& unit) {
  const capsules::Step& current = step(unit.step);
  const Sources sources{inputs_, [this](std::string_view id) { return result_of(id); },
                        unit.item ? &items_->values[*unit.item] : nullptr};
  const Result<Bytes> arguments = fill_arguments(current.args, sources);
  if (!arguments.ok()) return unresolved(unit, arguments.error());
  // A tool whose file went bad is off the shelf, and the decision says that it is missing. A host
  // that cannot look decides nothing.
  const Status loaded = parts_.tools.load(current.tool);
  if (!loaded.ok() && loaded.code() != Code::tool_file_malformed) return fail(loaded.error());
  authority::CallRequest request{
      .task = report_.task,
      .chain = chain_,
      .verb = made_[unit.id].failed ? capsules::Verb::retry : capsules::Verb::call,
      .tool = current.tool,
      .arguments = to_bytes(*arguments),
      .step = unit.id};
  Result<authority::Decision> decision =
      parts_.authority.authorise(request, parts_.tools.tools(), now());
  if (!decision.ok()) return fail(decision.error());
  if (const auto* denial = std::get_if<authority::Denial>(&*decision)) return denied(unit, *denial);
  start(unit, std::get<authority::Allowed>(std::move(*decision)));
}

// Nothing was asked, so there is nothing to retry. Results that cannot be read, or are not those
// that were committed, are nothing that a plan goes on from.
void TaskRun::unresolved(const Unit& unit, const Error& error) {
  const Kind kind = describe(error.code()).kind;
  if (kind == Kind::unavailable || kind == Kind::corrupt) return fail(error);
  StepReport report = begin_report(unit);
  report.outcome = "failed";
  report.code = error.code();
  report.error = error;
  publish(std::move(report));
  step_failed(step(unit.step), error.code());
}

void TaskRun::denied(const Unit& unit, const authority::Denial& denial) {
  StepReport report = begin_report(unit);
  report.decision = denial.decision;
  report.verdict = "deny";
  report.code = denial.error.code();
  report.error = denial.error;
  publish(std::move(report));
  EndReason reason = denial.ends_task;
  if (reason == EndReason::none && chain_over()) return fail(denial.error);
  if (reason == EndReason::none) reason = parts_.authority.check_time(report_.task, now());
  if (reason == EndReason::none && step(unit.step).on_error != OnError::carry_on) {
    const bool spent = describe(denial.error.code()).kind == Kind::exhausted;
    reason = spent ? EndReason::budget : EndReason::step_denied;
  }
  if (reason == EndReason::none) return;
  if (reason == EndReason::budget) ending_code_ = denial.error.code();
  (void)end(reason);
}

void TaskRun::unit_done(const Unit& unit, const Left& left) {
  if (unit.item) {
    items_->done.push_back(left);
  } else {
    done_[unit.id] = {{left}, false};
  }
}

// What was seen to fail is tried again where the step says so; what was interrupted, and what broke
// its sandbox, never is.
void TaskRun::went_wrong(const Unit& unit, const CallId& call, Code code) {
  const bool known = may_repeat(call, code);
  if (known) made_[unit.id].failed = true;
  if (!known || !may_call_again(unit) || capsule_.root().end_on.failure)
    return step_failed(step(unit.step), code);
  waiting_ = {unit, now().boot_ms + step(unit.step).backoff_ms};
}

// A tool that wrote too much, or no JSON where it promised some, may have done its work for all
// that: again only where doing it twice does no harm.
bool TaskRun::may_repeat(const CallId& call, Code code) const {
  if (code == Code::call_interrupted || code == Code::violation) return false;
  if (code != Code::output_cap && code != Code::tool_output_malformed) return true;
  const std::vector<authority::PastCall> calls = parts_.authority.past_calls(report_.task);
  return std::ranges::any_of(
      calls, [&](const authority::PastCall& past) { return past.call == call && past.repeatable; });
}

}  // namespace taper::broker
