#include <algorithm>

#include "capsules/author/lint.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

bool allows_calls(const Grant& grant) {
  return std::ranges::find(grant.verbs, Verb::call) != grant.verbs.end();
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
  return check_arguments(rules, inputs, call.literals);
}

// A step that will be denied is remarked on, not refused: the denial is the node's, and a plan may
// be written to show it.
void lint_step(const Capsule& capsule, const KnownTools& tools, const Step& step,
               LintReport& report) {
  const std::string path = "plan.steps." + step.id;
  std::optional<Error> first;
  bool granted = false;
  for (const Grant& grant : capsule.grants) {
    const auto tool = tools.find(grant.tool);
    if (grant.tool != step.tool || !allows_calls(grant) || tool == tools.end()) continue;
    granted = true;
    const Status passed = may_pass(grant, tool->second, known_call(step));
    if (passed.ok()) return;
    if (!first) first = passed.error();
  }
  if (!granted) {
    report.note(path, "this step will be denied: no grant allows calls of '" + step.tool + "'",
                "add a [[grant]] for it, or leave the step out");
    return;
  }
  report.note(path, "this step will be denied: " + to_line(*first),
              "change the step's args, or widen the grant");
}

void lint_calls(const Capsule& capsule, LintReport& report) {
  std::map<std::string, std::size_t> steps;
  for (const Step& step : capsule.plan.steps) ++steps[step.tool];
  for (const auto& [tool, count] : steps) {
    std::int64_t allowed = 0;
    bool bounded = false;
    for (const Grant& grant : capsule.grants) {
      if (grant.tool != tool) continue;
      bounded = grant.budget.calls.has_value();
      if (!bounded) break;
      if (std::cmp_less(allowed, limits::kStepsMax)) {
        allowed += std::min<std::int64_t>(*grant.budget.calls, limits::kStepsMax);
      }
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
  for (const Step& step : capsule.plan.steps) lint_step(capsule, tools, step, report);
  lint_calls(capsule, report);
}

}  // namespace taper::capsules
