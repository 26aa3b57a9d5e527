// The parts of lint. Each adds to one report and never stops at the first finding.
#pragma once

#include <string>
#include <string_view>

#include "capsules/author/reader.h"

namespace taper::capsules {

class LintReport {
 public:
  explicit LintReport(const Draft& draft) : draft_(draft) {}
  // `path` names the field; its line is that of the nearest part of the source around it.
  void error(Code code, const std::string& path, std::string what, std::string fix) {
    report_.error(code, place(path), std::move(what), std::move(fix));
  }
  void note(const std::string& path, std::string what, std::string fix) {
    report_.note(place(path), std::move(what), std::move(fix));
  }
  std::vector<Finding> take() { return report_.take(); }

 private:
  Place place(const std::string& path) const;
  const Draft& draft_;
  Report report_;
};

// One argument's rule. `path` is where it stands.
void lint_rule(const ArgRule& rule, const InputSpec& input, const std::string& path,
               LintReport& report);
// Why no value at all passes the rule; empty: one may.
std::string never_holds(const ArgRule& rule, InputType type);
// The parts of it that look inside; `rule` is flattened.
std::string nested_contradiction(const ArgRule& rule, InputType type);
// The rule without all_of: their constraints stand beside the others.
ArgRule flattened(const ArgRule& rule);
// Nothing that the constraints ask for says which values are meant, at some place of the argument.
bool is_wildcard(const std::vector<Constraint>& all);
// What the sandbox would have to give to the tool for this rule.
void lint_trees(const ArgRule& rule, const KnownTool& tool, const std::string& path,
                LintReport& report);
// Texts that look like a password, a key or a token.
void lint_secrets(const Capsule& capsule, LintReport& report);
// A grant's sealed secrets against what its tool reads.
void lint_released(const Grant& grant, const KnownTool& tool, const std::string& path,
                   LintReport& report);
// What holds between grants: labels, after, sums, ids of calls; and what the log leaves out.
void lint_grants(const Capsule& capsule, const KnownTools& tools, LintReport& report);
// What can never act on today's nodes.
void lint_reach(const Capsule& capsule, LintReport& report);
bool asks_time_of_day(const ArgRule& rule);
inline constexpr std::string_view kNeedsSignedTime =
    "time_of_day and anchored time hold only by a signed source of time, for a day after each "
    "answer";
inline constexpr std::string_view kBringTime =
    "bring it with 'taper time challenge', 'taper time answer' and 'taper import'";
void lint_plan(const Capsule& capsule, const KnownTools& tools, LintReport& report);

// A step's argument that is filled in while the plan runs, whole or in part.
bool has_reference(const Value& value);

}  // namespace taper::capsules
