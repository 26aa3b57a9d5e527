#include <algorithm>

#include "capsules/author/lint.h"
#include "capsules/grants.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

std::string place_of(std::size_t grant) { return "grant[" + std::to_string(grant) + "]"; }

void lint_labels(const Capsule& capsule, LintReport& report) {
  std::set<std::string, std::less<>> added;
  for (const Grant& grant : capsule.grants) added.insert(grant.labels.begin(), grant.labels.end());
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    for (const std::string& label : capsule.grants[i].refuse_after) {
      if (added.contains(label)) continue;
      const std::string near = nearest(label, added);
      report.note(place_of(i) + ".refuse_after", "no grant adds the label '" + label + "'",
                  near.empty() ? "add labels = [\"" + label + "\"] to the grants it is about"
                               : "did you mean '" + near + "'?");
    }
  }
}

void lint_sum(const Grant& grant, const KnownTools& tools, const std::string& path,
              LintReport& report) {
  const auto tool = tools.find(grant.tool);
  if (!grant.budget.sum || tool == tools.end()) return;
  for (const InputSpec& input : tool->second.inputs) {
    if (input.name != grant.budget.sum->argument) continue;
    if (input.type == InputType::integer || input.type == InputType::json) return;
    report.error(Code::source_invalid, path + ".budget.sum.argument",
                 "'" + input.name + "' is no whole number, so every call would be refused",
                 "name an argument that the tool takes as a whole number");
  }
}

void lint_log(const Capsule& capsule, LintReport& report) {
  for (const std::string& name : capsule.log_except) {
    const bool named = std::ranges::any_of(capsule.grants, [&name](const Grant& grant) {
      return std::ranges::find(grant.args, name, &ArgRule::name) != grant.args.end();
    });
    if (named) continue;
    report.note("capsule.log.except", "no grant names an argument '" + name + "'", "leave it out");
  }
}

}  // namespace

void lint_grants(const Capsule& capsule, const KnownTools& tools, LintReport& report) {
  if (const auto fault = grant_fault(capsule.grants)) {
    report.error(Code::source_invalid, place_of(fault->grant) + "." + fault->field,
                 "expected " + fault->expected + ", got '" + fault->got + "'",
                 "see docs/CAPSULES.md, [[grant]]");
  }
  lint_labels(capsule, report);
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    const Grant& grant = capsule.grants[i];
    lint_sum(grant, tools, place_of(i), report);
    const std::int64_t calls = grant.budget.calls.value_or(0);
    if (grant.budget.rate && grant.budget.calls && calls <= grant.budget.rate->count) {
      report.note(place_of(i) + ".budget.rate", "the rate never bounds: calls are spent before it",
                  "leave the rate out, or lower its count");
    }
  }
  lint_log(capsule, report);
}

}  // namespace taper::capsules
