#include <algorithm>
#include <optional>

#include "capsules/author/author.h"
#include "capsules/author/lineage.h"
#include "capsules/author/lint.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kManyCalls = std::int64_t{1} << 40;

bool allows(const Grant& grant, Verb verb) {
  return std::ranges::find(grant.verbs, verb) != grant.verbs.end();
}

// What is known of a call before the plan runs: the literal arguments, and the names of the rest.
struct KnownCall {
  Object literals;
  std::set<std::string, std::less<>> filled_later;
};

KnownCall known_call(const Step& step) {
  KnownCall out;
  const Result<Object> arguments = parse_arguments(as_bytes(step.args));
  if (!arguments) return out;
  for (const auto& [name, value] : *arguments) {
    if (has_reference(value)) {
      out.filled_later.insert(name);
    } else {
      out.literals.emplace_back(name, value);
    }
  }
  return out;
}

Status may_pass(const Grant& grant, const KnownTool& tool, const KnownCall& call) {
  for (const std::string& name : call.filled_later) {
    if (std::ranges::find(grant.args, name, &ArgRule::name) != grant.args.end()) continue;
    return Error(Code::argument_unknown, {name, "only arguments that the grant names", "", ""});
  }
  std::vector<ArgRule> rules = grant.args;
  std::erase_if(rules,
                [&call](const ArgRule& rule) { return call.filled_later.contains(rule.name); });
  std::vector<InputSpec> inputs = tool.inputs;
  std::erase_if(inputs,
                [&call](const InputSpec& input) { return call.filled_later.contains(input.name); });
  return check_arguments(rules, inputs, call.literals, kAnyMoment);
}

struct Remark {
  std::string what, fix;
};

// Why the step's call passes none of the grants; empty: it may pass one.
std::optional<Remark> denied(const std::vector<Grant>& grants, const KnownTools& tools,
                             const Step& step) {
  std::optional<Error> first;
  bool granted = false;
  for (const Grant& grant : grants) {
    const auto tool = tools.find(grant.tool);
    if (grant.tool != step.tool || !allows(grant, Verb::call) || tool == tools.end()) continue;
    granted = true;
    const Status passed = may_pass(grant, tool->second, known_call(step));
    if (passed.ok()) return {};
    if (!first) first = passed.error();
  }
  if (!granted)
    return Remark{"this step will be denied: no grant allows calls of '" + step.tool + "'",
                  "add a [[grant]] for it, or leave the step out"};
  return Remark{"this step will be denied: " + to_line(*first),
                "change the step's args, or widen the grant"};
}

// A step that will be denied is remarked on, not refused: the denial is the node's, and a plan may
// be written to show it.
void lint_step(const Capsule& capsule, const KnownTools& tools, const Step& step,
               LintReport& report) {
  const std::optional<Remark> remark = denied(capsule.grants, tools, step);
  if (remark) report.note("plan.steps." + step.id, remark->what, remark->fix);
}

// The grants as the last level of the chain leaves them.
std::vector<Grant> grants_left(const Capsule& root, const std::vector<Block>& blocks) {
  const Lineage lineage = lineage_of(root, blocks);
  std::vector<Grant> out;
  for (const LineGrant& kept : lineage.back()) {
    std::size_t index = static_cast<std::size_t>(&kept - lineage.back().data());
    for (std::size_t level = lineage.size() - 1; level > 0; --level)
      index = lineage[level][index].parent;
    Grant grant = root.grants[index];
    grant.verbs = kept.verbs;
    grant.args = kept.args;
    out.push_back(std::move(grant));
  }
  return out;
}

// What a retry needs beside the first call's permission.
void lint_retry(const Capsule& capsule, const KnownTools& tools, const Step& step,
                LintReport& report) {
  if (step.on_error != OnError::retry) return;
  const std::string path = "plan.steps." + step.id + ".on_error";
  bool granted = false;
  for (const Grant& grant : capsule.grants) {
    if (grant.tool != step.tool || !allows(grant, Verb::retry)) continue;
    granted = true;
    const auto tool = tools.find(grant.tool);
    const Effect known = tool == tools.end() ? Effect::unset : tool->second.effect;
    if (std::max(grant.effect, known) != Effect::irreversible || !grant.idempotency.empty())
      continue;
    report.error(Code::source_invalid, path,
                 "the grant '" + grant.id + "' cannot be undone and its calls carry no id",
                 "add idempotency = \"ARGUMENT\" to the grant, or do not retry");
  }
  if (!granted)
    report.error(Code::verb_not_granted, path,
                 "no grant of '" + step.tool + "' includes the verb 'retry'",
                 "add verbs = [\"call\", \"retry\"] to the grant");
  if (capsule.end_on.failure)
    report.note(path, "the capsule ends the task at the first failure, so nothing is retried",
                "leave failure out of end_on");
  if (step.backoff_ms >= capsule.lease_idle_ms)
    report.note(path, "the task idles out while this step waits to retry",
                "shorten the backoff, or lengthen idle");
}

// How often the step calls its tool, as far as that is known.
std::size_t calls_of(const Step& step) {
  if (step.for_each.empty()) return 1;
  const Result<Value> items = parse_value(as_bytes(step.for_each), limits::kCapsuleBytesMax);
  const Array* list = items ? items->array() : nullptr;
  return list == nullptr ? step.for_each_max : list->size();
}

void lint_items(const Step& step, LintReport& report) {
  const std::size_t calls = calls_of(step);
  if (calls <= step.for_each_max || step.for_each.empty()) return;
  report.error(Code::source_invalid, "plan.steps." + step.id + ".for_each",
               std::to_string(calls) + " items are more than for_each_max, " +
                   std::to_string(step.for_each_max) + ": the step would fail",
               "raise for_each_max, or leave it out");
}

void lint_result(const Capsule& capsule, LintReport& report) {
  if (!capsule.result || capsule.result->retention_ms <= limits::kLongRetentionMs) return;
  report.note("capsule.result.retention",
              "results that stay for " + format_duration_ms(capsule.result->retention_ms) +
                  " after the task's end stay long",
              "they need only last until their readers came");
}

void lint_calls(const Capsule& capsule, LintReport& report) {
  std::map<std::string, std::size_t> steps;
  for (const Step& step : capsule.plan.steps) steps[step.tool] += calls_of(step);
  for (const auto& [tool, count] : steps) {
    std::int64_t allowed = 0;
    bool bounded = false;
    for (const Grant& grant : capsule.grants) {
      if (grant.tool != tool) continue;
      bounded = grant.budget.calls.has_value();
      if (!bounded) break;
      // Far above what the steps can add up to, and far below an overflow.
      allowed = std::min(allowed, kManyCalls) + std::min(*grant.budget.calls, kManyCalls);
    }
    if (!bounded || std::cmp_less_equal(count, allowed)) continue;
    report.note("plan.steps",
                "the plan calls '" + tool + "' " + std::to_string(count) +
                    " times, its budget is " + std::to_string(allowed),
                "raise calls in the grant's budget");
  }
}

}  // namespace

bool has_reference(const Value& value) {
  if (const Array* array = value.array()) return std::ranges::any_of(*array, has_reference);
  const Object* object = value.object();
  if (object == nullptr) return false;
  return std::ranges::any_of(*object, [](const auto& member) {
    return member.first.starts_with('$') || has_reference(member.second);
  });
}

void lint_plan(const Capsule& capsule, const KnownTools& tools, LintReport& report) {
  for (const Step& step : capsule.plan.steps) {
    lint_step(capsule, tools, step, report);
    lint_retry(capsule, tools, step, report);
    lint_items(step, report);
  }
  lint_calls(capsule, report);
  lint_result(capsule, report);
}

std::vector<Finding> lint_narrowed_plan(const UntrustedCapsule& narrowed, const KnownTools& tools) {
  std::vector<Finding> notes;
  if (narrowed.root.entry != EntryKind::plan) return notes;
  const std::vector<Grant> left = grants_left(narrowed.root, narrowed.blocks);
  for (const Step& step : narrowed.root.plan.steps) {
    const std::optional<Remark> remark = denied(left, tools, step);
    if (!remark || denied(narrowed.root.grants, tools, step)) continue;
    notes.push_back({Severity::note, Code::ok, "plan.steps." + step.id, remark->what,
                     "keep what it needs, or let the holder before run the plan"});
  }
  return notes;
}

}  // namespace taper::capsules
