// A plan's steps: which comes next, what of it was done in an earlier life of the task, and what
// follows from how it went.
#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/broker/arguments.h"
#include "runtime/broker/outcome.h"
#include "runtime/broker/plan_run.h"

namespace taper::broker {

using authority::CallState;
using authority::EndReason;
using capsules::OnError;

PlanRun::PlanRun(std::shared_ptr<TaskLife> life, const authority::Activation& activation,
                 std::function<void(const StepReport&)> on_step, Steps steps)
    : life_(std::move(life)),
      on_step_(std::move(on_step)),
      capsule_(*life_->parts().authority.capsule(activation.task)),
      inputs_(*life_->parts().authority.inputs(activation.task)),
      chain_(activation.chain),
      holder_(activation.holder),
      keeps_(steps) {
  report_.task = activation.task;
  report_.resumed = activation.resumed;
  report_.joined = activation.joined;
  for (authority::PastCall& call : life_->parts().authority.past_calls(activation.task)) {
    Made& made = made_[call.step];
    ++made.calls;
    const bool went_wrong = call.state == CallState::failed || call.state == CallState::killed;
    made.failed = made.failed || (went_wrong && !authority::never_ran(call.state, call.code));
    last_ = call.call;
    made.past = std::move(call);
  }
}

bool PlanRun::ready() const {
  if (over() || plan_done_ || calling_ || life_->ending()) return false;
  return !waiting_ || waiting_->until_boot_ms <= now().boot_ms;
}

void PlanRun::advance() {
  if (!ready()) return;
  if (waiting_) {
    const Unit unit = std::exchange(waiting_, std::nullopt)->unit;
    return decide(unit);
  }
  if (items_) return take_item();
  if (next_ == plan().steps.size()) return plan_done();
  take_step(next_++);
}

void PlanRun::take_step(std::size_t index) {
  const Unit unit{index, step(index).id};
  if (!needs_met(step(index))) {
    StepReport report = begin_report(unit);
    report.verdict = "skipped";
    return publish(std::move(report));
  }
  if (!step(index).for_each.empty()) return begin_items(index);
  take_up(unit);
}

void PlanRun::begin_items(std::size_t index) {
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
void PlanRun::take_item() {
  const capsules::Step& current = step(items_->step);
  if (items_->next < items_->values.size()) {
    const std::size_t item = items_->next++;
    return take_up({items_->step, item_name(current.id, item), item});
  }
  const Items over = *std::exchange(items_, std::nullopt);
  if (over.done.size() == over.values.size()) done_[current.id] = {over.done, true};
}

// The last call of an earlier life binds the unit. One that was interrupted binds too, unless its
// tool only reads; one that never ran does not, unless the plan went on without it.
void PlanRun::take_up(const Unit& unit) {
  const std::optional<authority::PastCall> past = made_[unit.id].past;
  if (!past) return decide(unit);
  const bool open = past->state == CallState::interrupted || past->state == CallState::authorised;
  const bool counted = step(unit.step).on_error == OnError::retry;
  const bool again = open ? past->repeatable
                          : past->call == last_ && authority::never_ran(past->state, past->code);
  if (again && (!counted || may_call_again(unit))) return decide(unit);
  take_past(unit, *past);
}

// Every call that was made counts, whatever became of it: a crash gives no more of them.
bool PlanRun::may_call_again(const Unit& unit) const {
  const capsules::Step& current = step(unit.step);
  return current.on_error == OnError::retry && made_.at(unit.id).calls <= current.retries;
}

bool PlanRun::needs_met(const capsules::Step& step) const {
  return std::all_of(step.needs.begin(), step.needs.end(),
                     [&](const std::string& need) { return done_.contains(need); });
}

Result<std::optional<std::string>> PlanRun::result_of(std::string_view id) const {
  const std::optional<std::string> none;
  const auto found = done_.find(id);
  if (found == done_.end()) return none;
  std::string all;
  for (const Left& left : found->second.calls) {
    TAPER_TRY(const Bytes bytes, life_->parts().results.read(task(), left.call, left.result));
    if (all.size() + bytes.size() > limits::kResultBytesMax) return none;
    if (!all.empty()) all += ',';
    all += as_text(bytes);
  }
  return std::optional(found->second.each ? "[" + all + "]" : all);
}

StepReport PlanRun::begin_report(const Unit& unit) const {
  StepReport report;
  report.id = unit.id;
  report.tool = step(unit.step).tool;
  return report;
}

void PlanRun::publish(StepReport report) {
  if (on_step_) on_step_(report);
  if (keeps_ == Steps::kept) steps_.keep(std::move(report));
}

void PlanRun::take_past(const Unit& unit, const authority::PastCall& past) {
  StepReport report = begin_report(unit);
  report.decision = past.decision;
  report.verdict = "allow";
  const bool done = past.state == CallState::done;
  const bool open = past.state == CallState::authorised || past.state == CallState::interrupted;
  report.outcome = open ? "interrupted" : std::string(authority::call_state_name(past.state));
  report.code = done ? Code::ok : open ? Code::call_interrupted : past.code;
  if (done && past.holder == holder_) {
    const Result<Bytes> kept = life_->parts().results.read(task(), past.call, past.result);
    if (!kept.ok()) return fail(kept.error());
    report.result = shown_result(as_text(*kept));
  }
  if (!done) report.error = Error(report.code);
  const Code code = report.code;
  publish(std::move(report));
  if (done) return unit_done(unit, {past.call, past.result});
  went_wrong(unit, past.call, code);
}

void PlanRun::decide(const Unit& unit) {
  const capsules::Step& current = step(unit.step);
  const Sources sources{inputs_, [this](std::string_view id) { return result_of(id); },
                        unit.item ? &items_->values[*unit.item] : nullptr};
  const Result<Bytes> arguments = fill_arguments(current.args, sources);
  if (!arguments.ok()) return unresolved(unit, arguments.error());
  authority::CallRequest request{
      .task = task(),
      .chain = chain_,
      .verb = made_[unit.id].failed ? capsules::Verb::retry : capsules::Verb::call,
      .tool = current.tool,
      .arguments = to_bytes(*arguments),
      .step = unit.id};
  calling_ = true;
  const Result<TaskLife::Answer> answer =
      life_->call(request, [this, unit](const CallId&, Result<CallEnd> end) {
        calling_ = false;
        if (end.ok()) call_over(unit, std::move(*end));
      });
  if (answer.ok() && std::holds_alternative<TaskLife::Started>(*answer)) return;
  calling_ = false;
  if (!answer.ok()) return fail(answer.error());
  denied(unit, std::get<authority::Denial>(*answer));
}

}  // namespace taper::broker
