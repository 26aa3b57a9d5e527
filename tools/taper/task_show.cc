#include "tools/taper/task_show.h"

#include <algorithm>

#include "capsules/author/words.h"
#include "crypto/key_file.h"
#include "runtime/base/text.h"
#include "tools/taper/answers/task_facts.h"

namespace taper::tools {
namespace {

using authority::TaskView;
using capsules::Array;
using capsules::Object;
using capsules::Value;

constexpr std::int64_t kMsPerS = 1000;

Value maybe(const std::optional<std::int64_t>& number) { return number ? Value(*number) : Value(); }

Value maybe_time(const std::optional<std::int64_t>& at_s) {
  return at_s ? Value(format_utc_s(*at_s)) : Value();
}

Array texts(const std::vector<std::string>& list) {
  Array out;
  for (const std::string& text : list) out.push_back(text_value(text));
  return out;
}

Value count(std::uint64_t number) { return Value(static_cast<std::int64_t>(number)); }

std::vector<std::string> verb_words(const TaskView::GrantView& grant) {
  std::vector<std::string> out;
  for (const capsules::Verb verb : grant.verbs) out.emplace_back(capsules::word(verb));
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + escape_text(word);
  return out;
}

Array grants_value(const TaskView& view) {
  Array out;
  for (const TaskView::GrantView& grant : view.grants)
    out.push_back(Object{{"block", count(grant.block)},
                         {"chain", grant.chain.hex()},
                         {"id", text_value(grant.id)},
                         {"tool", text_value(grant.tool)},
                         {"verbs", texts(verb_words(grant))},
                         {"effect", capsules::word(grant.effect)},
                         {"standing", standing(view, grant)},
                         {"waits_for", texts(grant.waits_for)},
                         {"calls_left", maybe(grant.left.calls)},
                         {"rate_left", maybe(grant.left.rate)},
                         {"bytes_left", maybe(grant.left.bytes)},
                         {"cpu_ms_left", maybe(grant.left.cpu_ms)},
                         {"sum_left", maybe(grant.left.sum)},
                         {"shut_by", text_value(grant.shut_by)}});
  return out;
}

Array chains_value(const TaskView& view) {
  Array out;
  for (const TaskView::ChainView& chain : view.chains)
    out.push_back(Object{{"chain", chain.chain.hex()},
                         {"holder", crypto::public_key_text(chain.holder)},
                         {"ended", chain.ended}});
  return out;
}

// Empty where the capsule is not known any more.
std::string tool_of(const TaskView& view, const authority::PastCall& call) {
  const bool known = view.said && call.grant < view.said->root.grants.size();
  return known ? view.said->root.grants[call.grant].tool : "";
}

Array calls_value(const TaskView& view) {
  Array out;
  for (const authority::PastCall& call : view.calls)
    out.push_back(
        Object{{"step", text_value(call.step)},
               {"tool", text_value(tool_of(view, call))},
               {"call", call.call.hex()},
               {"decision", call.decision.hex()},
               {"state", authority::call_state_name(call.state)},
               {"number", call.code == Code::ok ? std::int64_t{0}
                                                : std::int64_t{describe(call.code).number}}});
  return out;
}

Array refused_value(const TaskView& view) {
  Array out;
  for (const TaskView::RefusedCall& call : view.refused)
    out.push_back(Object{{"step", text_value(call.step)},
                         {"tool", text_value(call.tool)},
                         {"verb", text_value(call.verb)},
                         {"decision", call.decision.hex()},
                         {"number", call.number},
                         {"name", text_value(call.name)},
                         {"at", text_value(call.at)}});
  return out;
}

Array steps_value(const TaskView& view) {
  Array out;
  for (const StepFact& step : plan_steps(view))
    out.push_back(Object{{"id", text_value(step.id)},
                         {"tool", text_value(step.tool)},
                         {"state", step.state},
                         {"done", step.done},
                         {"waits_for", texts(step.waits_for)}});
  return out;
}

Array revokers_value(const TaskView& view) {
  Array out;
  for (const Revoker& revoker : revokers(view))
    out.push_back(Object{{"kind", revoker.kind},
                         {"at", maybe_time(revoker.at_s)},
                         {"left_ms", maybe(revoker.left_ms)},
                         {"used", maybe(revoker.used)},
                         {"of", maybe(revoker.of)},
                         {"what", revoker.what}});
  return out;
}

Value stopped_value(const TaskView& view) {
  if (view.stopped == Code::ok) return {};
  return Object{{"number", std::int64_t{describe(view.stopped).number}},
                {"why", text_value(view.stopped_why)},
                {"ends", authority::end_reason_name(view.due)}};
}

// When the results of an ended task are erased; none while it lives, and without results.
std::optional<std::int64_t> results_until(const TaskView& view) {
  if (!view.said || !view.said->root.result || !authority::is_terminal(view.state))
    return std::nullopt;
  return view.seen.wall_s + view.said->root.result->retention_ms / kMsPerS;
}

Value results_value(const TaskView& view) {
  if (!view.said || !view.said->root.result) return {};
  const capsules::ResultRule& rule = *view.said->root.result;
  Array readers;
  for (const Hash& reader : rule.readers) readers.push_back(reader.hex());
  return Object{{"readers", std::move(readers)},
                {"retention_ms", rule.retention_ms},
                {"reads", count(rule.reads)},
                {"until", maybe_time(results_until(view))}};
}

void show_owner(const TaskView& view, const Output& out) {
  out.line("task       " + view.task.hex());
  out.line("state      " + state_words(view));
  if (authority::is_terminal(view.state))
    out.line("ended      " + format_utc_s(view.seen.wall_s) + ", by " +
             std::string(authority::end_reason_name(view.reason)) + "; it is never resumed");
  out.line("purpose    " + escape_text(view.purpose));
  out.line("requester  " + escape_text(view.requester));
  out.line("agent      " + escape_text(view.agent) + ", tenant " + escape_text(view.tenant));
  out.line("holder     " + crypto::public_key_text(view.holder));
  out.line("issuer     " + view.issuer.hex() + ", serial " + std::to_string(view.serial) +
           ", under root version " + std::to_string(view.root_version));
  std::string spent;
  if (view.said)
    spent = ", " + std::to_string(std::min(view.activations_spent, view.said->root.activations)) +
            " of " + std::to_string(view.said->root.activations) + " activations spent";
  out.line("capsule    " + view.capsule.hex() + spent);
  out.line("activated  " + format_utc_s(view.activated_s) + ", not after " +
           format_utc_s(view.not_after_s));
  out.line("lease      " + lease_words(view));
  if (view.long_lease)
    out.line(coloured("LONG LEASE", kYellow) + " " +
             "longer than a day: its issuer declared the exception");
  for (const TaskView::ChainView& chain : view.chains)
    out.line("chain      " + chain.chain.hex() + "  " + crypto::public_key_text(chain.holder) +
             (chain.ended ? "  ended" : ""));
  if (!view.labels.empty()) out.line("labels     " + joined(view.labels));
}

std::string left_words(const authority::BudgetLeft& left) {
  std::string out;
  const auto part = [&out](const std::optional<std::int64_t>& number, const char* unit) {
    if (number) out += "  " + std::to_string(*number) + unit;
  };
  part(left.calls, " calls left");
  part(left.rate, " calls at once");
  part(left.bytes, " bytes left");
  part(left.cpu_ms, " ms of processor time left");
  part(left.sum, " left of the sum");
  return out;
}

void show_grants(const TaskView& view, const Output& out) {
  if (!view.said) out.line("grants     unknown: the capsule's file does not open here any more");
  for (const TaskView::GrantView& grant : view.grants) {
    const std::string state = standing(view, grant);
    std::string line = "grant      " + escape_text(grant.id) + "  " + escape_text(grant.tool);
    if (grant.block != 0) line += "  (block " + std::to_string(grant.block) + ")";
    line += "  " + state;
    if (state == "waits") line += " for a call of " + joined(grant.waits_for);
    line += "  " + std::string(capsules::word(grant.effect)) + ": " + joined(verb_words(grant));
    line += left_words(grant.left);
    if (!grant.shut_by.empty()) line += "  shut by the label " + escape_text(grant.shut_by);
    out.line(line);
  }
}

void show_steps(const TaskView& view, const Output& out) {
  const std::vector<StepFact> steps = plan_steps(view);
  if (steps.empty()) return;
  const auto done =
      std::ranges::count_if(steps, [](const StepFact& step) { return step.done > 0; });
  out.line("plan       " + std::to_string(done) + " of " + std::to_string(steps.size()) +
           " steps done");
  for (const StepFact& step : steps) {
    std::string line = "step       " + escape_text(step.id) + "  " + escape_text(step.tool) + "  ";
    line += step.state == "none" ? "not called" : step.state;
    if (step.done > 1) line += ", " + std::to_string(step.done) + " items done";
    if (!step.waits_for.empty()) line += "  after " + joined(step.waits_for);
    out.line(line);
  }
}

void show_calls(const TaskView& view, const Output& out) {
  for (const authority::PastCall& call : view.calls) {
    // One of a session has no step, and is asked about by its own id.
    std::string line = "call       ";
    line += call.step.empty() ? escape_text(tool_of(view, call)) + "  " + call.call.hex()
                              : escape_text(call.step);
    line += "  ";
    line += authority::call_state_name(call.state);
    if (call.code != Code::ok) {
      const CodeInfo& info = describe(call.code);
      line += "  E" + std::to_string(info.number) + " " + info.name;
    }
    out.line(line + "  decision " + call.decision.hex());
  }
}

// A handle that is not there has no tool.
const std::string& what_was_asked(const TaskView::RefusedCall& call) {
  if (!call.step.empty()) return call.step;
  return call.tool.empty() ? call.verb : call.tool;
}

void show_refused(const TaskView& view, const Output& out) {
  if (view.denials > 0)
    out.line("denials    " + std::to_string(view.denials) + " of " +
             std::to_string(view.end_on.denials));
  for (const TaskView::RefusedCall& call : view.refused)
    out.line("refused    " + escape_text(what_was_asked(call)) + "  E" +
             std::to_string(call.number) + " " + escape_text(call.name) + "  taper why " +
             call.decision.hex());
}

void show_revokers(const TaskView& view, const Output& out) {
  if (view.stopped != Code::ok)
    out.line("stopped    " + stopped_words(view) +
             (view.stopped_why.empty() ? "" : "; " + escape_text(view.stopped_why)));
  for (const Revoker& revoker : revokers(view)) {
    std::string line = "revoker    " + revoker.kind + "  ";
    if (revoker.at_s)
      line +=
          format_utc_s(*revoker.at_s) + " (" + format_duration_ms(*revoker.left_ms) + " left)  ";
    if (revoker.of)
      line += std::to_string(*revoker.used) + " of " + std::to_string(*revoker.of) + "  ";
    out.line(line + revoker.what);
  }
}

void show_results(const TaskView& view, const Output& out) {
  if (!view.said) return;
  if (!view.said->root.result) return out.line("results    nobody's: erased with the task's end");
  const capsules::ResultRule& rule = *view.said->root.result;
  const std::optional<std::int64_t> until = results_until(view);
  out.line("results    kept for " + format_duration_ms(rule.retention_ms) + " after the end" +
           (until ? ", until " + format_utc_s(*until) : "") + ", " + std::to_string(rule.reads) +
           " reads each");
  for (const Hash& reader : rule.readers) out.line("reader     " + reader.hex());
}

}  // namespace

std::string stopped_words(const TaskView& view) {
  const CodeInfo& info = describe(view.stopped);
  const std::string what = "E" + std::to_string(info.number) + " " + info.name;
  if (view.due == authority::EndReason::none) return what + ": it may not act now";
  return what + ": the next look of its owner ends it (" +
         std::string(authority::end_reason_name(view.due)) + ")";
}

std::string state_words(const TaskView& view) {
  std::string words(authority::task_state_name(view.state));
  if (view.reason != authority::EndReason::none)
    words += " (" + std::string(authority::end_reason_name(view.reason)) + ")";
  return words;
}

std::string lease_words(const TaskView& view) {
  const std::int64_t whole_ms = view.ttl_cap_ms;
  const std::string used =
      format_duration_ms(view.active_ms) + " of " + format_duration_ms(whole_ms) + " used";
  if (authority::is_terminal(view.state)) return used;
  return used + ", " + format_duration_ms(std::max<std::int64_t>(0, whole_ms - view.active_ms)) +
         " left" + (view.stopped == Code::ok ? "" : "; " + stopped_words(view));
}

Object task_value(const TaskView& view) {
  const bool ended = authority::is_terminal(view.state);
  return Object{{"task", view.task.hex()},
                {"capsule", view.capsule.hex()},
                {"state", authority::task_state_name(view.state)},
                {"reason", authority::end_reason_name(view.reason)},
                {"ended", ended ? Value(format_utc_s(view.seen.wall_s)) : Value()},
                {"purpose", text_value(view.purpose)},
                {"requester", text_value(view.requester)},
                {"agent", text_value(view.agent)},
                {"tenant", text_value(view.tenant)},
                {"holder", crypto::public_key_text(view.holder)},
                {"issuer", view.issuer.hex()},
                {"serial", std::to_string(view.serial)},
                {"root_version", count(view.root_version)},
                {"activated", format_utc_s(view.activated_s)},
                {"activations", view.said ? count(view.said->root.activations) : Value()},
                {"activations_spent", count(view.activations_spent)},
                {"not_after", format_utc_s(view.not_after_s)},
                {"ttl_ms", view.ttl_ms},
                {"active_ms", view.active_ms},
                {"idle_ms", view.idle_ms},
                {"long_lease", view.long_lease},
                {"denials", count(view.denials)},
                {"labels", texts(view.labels)},
                {"chains", chains_value(view)},
                {"grants", grants_value(view)},
                {"steps", steps_value(view)},
                {"calls", calls_value(view)},
                {"refused", refused_value(view)},
                {"stopped", stopped_value(view)},
                {"revokers", revokers_value(view)},
                {"results", results_value(view)}};
}

void show_task(const TaskView& view, const Output& out) {
  show_owner(view, out);
  show_grants(view, out);
  show_steps(view, out);
  show_calls(view, out);
  show_refused(view, out);
  show_revokers(view, out);
  show_results(view, out);
}

}  // namespace taper::tools
