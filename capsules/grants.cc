#include "capsules/grants.h"

#include <algorithm>

namespace taper::capsules {
namespace {

using Places = std::vector<std::size_t>;

std::optional<GrantFault> fault_of_arguments(const Grant& grant, std::size_t place) {
  const auto rule_of = [&grant](const std::string& name) {
    return std::find_if(grant.args.begin(), grant.args.end(),
                        [&name](const ArgRule& rule) { return rule.name == name; });
  };
  const auto& sum = grant.budget.sum;
  if (sum && rule_of(sum->argument) == grant.args.end())
    return GrantFault{place, "budget.sum.argument", "an argument named in args", sum->argument};
  if (grant.idempotency.empty()) return std::nullopt;
  const auto rule = rule_of(grant.idempotency);
  if (rule == grant.args.end() || rule->optional)
    return GrantFault{place, "idempotency", "an argument named in args that is not optional",
                      grant.idempotency};
  return std::nullopt;
}

// A grant is settled when all that it waits for are; what never settles waits in a circle.
std::optional<GrantFault> circle(const std::vector<Grant>& grants,
                                 const std::vector<Places>& after) {
  std::vector<bool> settled(grants.size());
  for (bool more = true; more;) {
    more = false;
    for (std::size_t i = 0; i < grants.size(); ++i) {
      if (settled[i]) continue;
      const bool free = std::all_of(after[i].begin(), after[i].end(),
                                    [&settled](std::size_t one) { return settled[one]; });
      settled[i] = free;
      more = more || free;
    }
  }
  const auto waits = std::find(settled.begin(), settled.end(), false);
  if (waits == settled.end()) return std::nullopt;
  const auto place = static_cast<std::size_t>(waits - settled.begin());
  return GrantFault{place, "after", "no circle", grants[place].id};
}

}  // namespace

std::optional<GrantFault> grant_fault(const std::vector<Grant>& grants) {
  std::vector<Places> after(grants.size());
  for (std::size_t i = 0; i < grants.size(); ++i) {
    for (const std::string& id : grants[i].after) {
      const auto named = std::find_if(grants.begin(), grants.end(),
                                      [&id](const Grant& grant) { return grant.id == id; });
      const auto place = static_cast<std::size_t>(named - grants.begin());
      if (named == grants.end() || place == i)
        return GrantFault{i, "after", "ids of other grants", id};
      after[i].push_back(place);
    }
    if (auto fault = fault_of_arguments(grants[i], i)) return fault;
  }
  return circle(grants, after);
}

}  // namespace taper::capsules
