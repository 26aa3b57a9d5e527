// Every constraint of a rule, however deep. Private to this folder.
#pragma once

#include <vector>

#include "capsules/capsule.h"

namespace taper::capsules {

// Calls use(rule, constraint), with the innermost rule around it: that of a member, not of the
// argument.
template <class Use>
void each_constraint(const ArgRule& rule, const std::vector<Constraint>& all, const Use& use) {
  for (const Constraint& one : all) {
    use(rule, one);
    if (const auto* argv = std::get_if<Argv>(&one)) each_constraint(rule, argv->words, use);
    if (const auto* each = std::get_if<Each>(&one)) each_constraint(rule, each->all, use);
    if (const auto* all_of = std::get_if<AllOf>(&one)) each_constraint(rule, all_of->all, use);
    if (const auto* any_of = std::get_if<AnyOf>(&one)) each_constraint(rule, any_of->any, use);
    const auto* fields = std::get_if<Fields>(&one);
    if (fields == nullptr) continue;
    for (const ArgRule& member : fields->rules) each_constraint(member, member.all, use);
  }
}
template <class Use>
void each_constraint(const ArgRule& rule, const Use& use) {
  each_constraint(rule, rule.all, use);
}

}  // namespace taper::capsules
