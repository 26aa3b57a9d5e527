#include "runtime/broker/discover_body.h"

#include <algorithm>
#include <map>

#include "runtime/base/limits.h"
#include "runtime/broker/tool_schema.h"
#include "runtime/broker/tool_words.h"
#include "runtime/broker/upstream_words.h"

namespace taper::broker {
namespace {

using authority::BudgetLeft;
using authority::DiscoveredGrant;
using capsules::Array;
using capsules::Object;
using capsules::Value;
using capsules::Verb;

void put_budget(Object& out, const BudgetLeft& left) {
  const auto put = [&out](const char* name, const std::optional<std::int64_t>& count) {
    if (count) out.emplace_back(name, *count);
  };
  put("calls", left.calls);
  put("rate", left.rate);
  put("bytes", left.bytes);
  put("cpu_ms", left.cpu_ms);
  put("sum", left.sum);
}

Object ends(const capsules::EndOn& on) {
  return {{"completion", on.completion}, {"failure", on.failure},
          {"denials", on.denials},       {"violation", on.violation},
          {"tool_drift", on.tool_drift}, {"policy_drift", on.policy_drift},
          {"clock_step", on.clock_step}};
}

Value grant_body(const DiscoveredGrant& grant) {
  Array verbs;
  for (const Verb verb : grant.verbs) verbs.emplace_back(verb_name(verb));
  Object left;
  put_budget(left, grant.left);
  return Object{{"id", grant.id},
                {"tool", grant.tool->name},
                {"effect", word(grant.tool->effect)},
                {"verbs", std::move(verbs)},
                {"remaining", std::move(left)}};
}

bool has(const DiscoveredGrant& grant, Verb verb) {
  return std::ranges::find(grant.verbs, verb) != grant.verbs.end();
}

// Who makes a task must be able to ask how it went.
bool may_be_task(const std::vector<const DiscoveredGrant*>& grants) {
  return grants.front()->tool->kind != authority::ToolKind::builtin &&
         std::ranges::any_of(grants, [](const DiscoveredGrant* grant) {
           return has(*grant, Verb::call) && has(*grant, Verb::poll) && has(*grant, Verb::result);
         });
}

Repeats repeats(const std::vector<const DiscoveredGrant*>& grants) {
  const bool once = std::ranges::none_of(
      grants, [](const DiscoveredGrant* grant) { return grant->once.empty(); });
  return once ? Repeats::harmless : Repeats::unknown;
}

Value tool_body(const std::vector<const DiscoveredGrant*>& grants) {
  const authority::Tool& tool = *grants.front()->tool;
  // What may be discovered and not called is told only where nothing of it may be called.
  const bool calls = std::ranges::any_of(
      grants, [](const DiscoveredGrant* grant) { return has(*grant, Verb::call); });
  std::vector<GrantedArguments> ways;
  for (const DiscoveredGrant* grant : grants) {
    if (has(*grant, Verb::call) || !calls)
      ways.push_back({{&grant->args}, grant->sums, grant->once});
  }
  Object out{{"name", tool.name},
             {"input_schema", input_schema(tool, ways)},
             {"annotations", annotations(tool, repeats(grants))},
             {"task", may_be_task(grants) ? "may" : "never"}};
  if (std::string title = tool_title(tool); !title.empty())
    out.emplace_back("title", std::move(title));
  if (std::string words = tool_description(tool); !words.empty())
    out.emplace_back("description", std::move(words));
  if (std::optional<Value> output = pinned_output_schema(tool))
    out.emplace_back("output_schema", std::move(*output));
  return out;
}

}  // namespace

Value remaining_body(const authority::Remaining& remaining) {
  Object out{{"lease_ms", remaining.lease_ms},
             {"idle_ms", remaining.idle_ms},
             {"not_after_s", remaining.not_after_s}};
  put_budget(out, remaining.budget);
  return out;
}

std::string describe_body(const TaskFacts& facts, const std::vector<DiscoveredGrant>& grants,
                          const authority::Remaining& remaining) {
  Array list;
  for (const DiscoveredGrant& grant : grants) list.push_back(grant_body(grant));
  return write_canonical(Object{{"task", facts.task.hex()},
                                {"purpose", facts.purpose},
                                {"requester", facts.requester},
                                {"agent", facts.agent},
                                {"tenant", facts.tenant},
                                {"node", facts.node},
                                {"lease_ms", facts.lease_ms},
                                {"idle_ms", facts.idle_ms},
                                {"not_after_s", facts.not_after_s},
                                {"end_on", ends(facts.end_on)},
                                {"grants", std::move(list)},
                                {"remaining", remaining_body(remaining)}});
}

std::string discover_body(const std::vector<DiscoveredGrant>& grants,
                          const authority::Remaining& remaining) {
  std::map<std::string, std::vector<const DiscoveredGrant*>> by_tool;
  for (const DiscoveredGrant& grant : grants) by_tool[grant.tool->name].push_back(&grant);
  Array tools;
  for (const auto& [name, its_grants] : by_tool) tools.push_back(tool_body(its_grants));
  return write_canonical(
      Object{{"tools", std::move(tools)},
             {"fresh_ms", std::min(remaining.lease_ms, limits::kDiscoveryFreshMs)},
             {"remaining", remaining_body(remaining)}});
}

}  // namespace taper::broker
