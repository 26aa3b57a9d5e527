#include "capsules/author/lineage.h"

#include <algorithm>

namespace taper::capsules {
namespace {

Error denial(Code code, std::string field, std::string expected, std::string got) {
  return Error(code, {std::move(field), std::move(expected), std::move(got), ""});
}

// Adds the level's choice to the line; false: the walk ends there.
bool descend(const std::vector<LineGrant>& level, const Call& call,
             const std::vector<InputSpec>& inputs, const std::string& above, Route& route) {
  const std::size_t parent = route.line.back();
  bool kept = false;
  const std::string* other_verb = nullptr;
  ++route.asked;
  for (std::size_t i = 0; i < level.size(); ++i) {
    if (level[i].parent != parent) continue;
    if (std::ranges::find(level[i].verbs, call.verb) == level[i].verbs.end()) {
      if (!kept) other_verb = &level[i].id;
      continue;
    }
    if (kept) route.line.pop_back();
    kept = true;
    route.line.push_back(i);
    route.status = check_arguments(level[i].args, inputs, call.arguments, call.moment);
    if (route.status.ok()) return true;
  }
  if (!kept && other_verb != nullptr) {
    route.status = denial(Code::verb_not_granted, "verb", "a verb of the kept grant " + *other_verb,
                          "another");
  } else if (!kept) {
    route.status = denial(Code::tool_not_granted, "tool", "a grant that every block keeps", above);
  }
  return false;
}

Route choose_root(const Capsule& root, const Lineage& lineage, const Call& call,
                  const std::vector<InputSpec>& inputs) {
  Route route{
      {},
      1,
      denial(Code::tool_not_granted, "tool", "a tool of the capsule", std::string(call.tool))};
  for (std::size_t i = 0; i < root.grants.size(); ++i) {
    const Grant& grant = root.grants[i];
    if (grant.tool != call.tool) continue;
    if (std::ranges::find(grant.verbs, call.verb) == grant.verbs.end()) {
      if (!route.line.empty()) continue;
      route.status =
          denial(Code::verb_not_granted, "verb", "a verb of the grant " + grant.id, "another");
      continue;
    }
    route.line = {i};
    route.status = check_arguments(lineage[0][i].args, inputs, call.arguments, call.moment);
    if (route.status.ok()) break;
  }
  return route;
}

}  // namespace

std::vector<Verb> narrowed_verbs(std::vector<Verb> verbs, const std::vector<Verb>& own) {
  if (own.empty()) return verbs;
  std::erase_if(verbs, [&own](Verb verb) { return std::ranges::find(own, verb) == own.end(); });
  return verbs;
}

std::vector<ArgRule> narrowed_rules(std::vector<ArgRule> args,
                                    const std::vector<ArgRule>& further) {
  for (const ArgRule& rule : further) {
    const auto same = std::ranges::find(args, rule.name, &ArgRule::name);
    if (same == args.end()) {
      args.push_back(rule);
      continue;
    }
    same->optional = same->optional && rule.optional;
    same->all.insert(same->all.end(), rule.all.begin(), rule.all.end());
  }
  return args;
}

Lineage lineage_of(const Capsule& root, const std::vector<Block>& blocks) {
  Lineage levels(1);
  for (const Grant& grant : root.grants) {
    levels[0].push_back(
        {grant.id, 0, grant.verbs, grant.args, grant.budget, grant.labels, grant.refuse_after});
  }
  for (const Block& block : blocks) {
    const std::vector<LineGrant>& above = levels.back();
    std::vector<LineGrant> level;
    for (const KeptGrant& kept : block.grants) {
      const auto parent = std::ranges::find(above, kept.parent, &LineGrant::id);
      if (parent == above.end()) continue;
      level.push_back({kept.id, static_cast<std::size_t>(parent - above.begin()),
                       narrowed_verbs(parent->verbs, kept.verbs),
                       narrowed_rules(parent->args, kept.args), kept.budget, kept.labels,
                       kept.refuse_after});
    }
    levels.push_back(std::move(level));
  }
  return levels;
}

Capsule with_shortened_times(Capsule root, const std::vector<Block>& blocks) {
  const auto lower = [](std::int64_t& value, const std::optional<std::int64_t>& other) {
    value = std::min(value, other.value_or(value));
  };
  for (const Block& block : blocks) {
    root.not_before_s = std::max(root.not_before_s, block.not_before_s.value_or(root.not_before_s));
    lower(root.not_after_s, block.not_after_s);
    lower(root.lease_ttl_ms, block.lease_ttl_ms);
    lower(root.lease_idle_ms, block.lease_idle_ms);
  }
  return root;
}

Route find_route(const Capsule& root, const Lineage& lineage, const Call& call,
                 const std::vector<InputSpec>& inputs) {
  Route route = choose_root(root, lineage, call, inputs);
  if (!route.status.ok()) return route;
  for (std::size_t level = 1; level < lineage.size(); ++level) {
    const std::string above = lineage[level - 1][route.line.back()].id;
    if (!descend(lineage[level], call, inputs, above, route)) break;
  }
  return route;
}

}  // namespace taper::capsules
