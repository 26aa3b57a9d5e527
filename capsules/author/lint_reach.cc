// What a node meets only where something was brought to it, or not in this version: signed all the
// same.
#include "capsules/author/each_constraint.h"
#include "capsules/author/lint.h"
#include "capsules/author/words.h"

namespace taper::capsules {

bool asks_time_of_day(const ArgRule& rule) {
  bool asks = false;
  each_constraint(rule, [&asks](const ArgRule&, const Constraint& constraint) {
    asks = asks || std::holds_alternative<TimeOfDay>(constraint);
  });
  return asks;
}

void lint_reach(const Capsule& capsule, LintReport& report) {
  if (capsule.time_assurance == TimeAssurance::anchored) {
    report.note("capsule.freshness.time", std::string(kNeedsSignedTime), std::string(kBringTime));
    if (capsule.offline)
      report.note("capsule.offline", "it never holds: without an anchor nothing is allowed",
                  "leave it out, or ask for time = \"bounded\"");
  }
  if (capsule.min_tier > Tier::t2) {
    report.note("capsule.min_tier",
                "no node reaches " + std::string(word(capsule.min_tier)) +
                    " yet, so none takes this capsule up",
                "\"t2\" is the strongest today");
  }
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    for (const ArgRule& rule : capsule.grants[i].args) {
      if (!asks_time_of_day(rule)) continue;
      report.note("grant[" + std::to_string(i) + "].args." + rule.name,
                  std::string(kNeedsSignedTime), std::string(kBringTime));
    }
  }
}

}  // namespace taper::capsules
