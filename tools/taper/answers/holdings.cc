#include "tools/taper/answers/holdings.h"

#include <algorithm>

#include "capsules/constraints.h"
#include "runtime/base/text.h"
#include "tools/taper/answers/task_facts.h"

namespace taper::tools {
namespace {

using authority::TaskView;

constexpr std::int64_t kMsPerS = 1000;

void take_least(std::optional<std::int64_t>& least, const std::optional<std::int64_t>& other) {
  if (other && (!least || *other < *least)) least = other;
}

// The grant that a kept one comes from: of the block before, which for the first is the root's.
const TaskView::GrantView* parent_of(const TaskView& view, const TaskView::GrantView& grant) {
  if (grant.block == 0) return nullptr;
  for (const TaskView::GrantView& other : view.grants) {
    const bool before =
        other.block + 1 == grant.block && (other.block == 0 || other.chain == grant.chain);
    if (before && other.id == grant.parent) return &other;
  }
  return nullptr;
}

bool is_refused(const OwnRules& own, const std::string& name) {
  const auto found = own.tools.find(name);
  if (found != own.tools.end()) return !authority::check_policy(own.policy, found->second).ok();
  authority::Tool any;  // not known here: only its name says something
  any.name = name;
  any.effect = capsules::Effect::read;
  return !authority::check_policy(own.policy, any).ok();
}

Holding holding_of(const TaskView& view, const TaskView::ChainView& chain,
                   const TaskView::GrantView& grant, const OwnRules& own) {
  Holding out{.task = &view,
              .chain = &chain,
              .grant = grant.id,
              .root_grant = grant.id,
              .tool = grant.tool,
              .verbs = grant.verbs,
              .args = grant.args,
              .left = grant.left,
              .standing = {},
              .waits_for = grant.waits_for,
              .shut_by = grant.shut_by};
  for (const auto* above = parent_of(view, grant); above != nullptr;
       above = parent_of(view, *above)) {
    out.root_grant = above->id;
    take_least(out.left.calls, above->left.calls);
    take_least(out.left.rate, above->left.rate);
    take_least(out.left.bytes, above->left.bytes);
    take_least(out.left.cpu_ms, above->left.cpu_ms);
    take_least(out.left.sum, above->left.sum);
  }
  if (view.stopped != Code::ok) {
    out.standing = "stopped";
  } else if (is_refused(own, grant.tool)) {
    out.standing = "refused";
  } else if (!grant.shut_by.empty()) {
    out.standing = "shut";
  } else if (!grant.waits_for.empty()) {
    out.standing = "waits";
  } else {
    out.standing = grant.spent ? "spent" : "open";
  }
  const bool narrowed = chain.blocks > 0;
  const std::int64_t ttl_ms = narrowed ? std::min(chain.ttl_ms, view.ttl_cap_ms) : view.ttl_cap_ms;
  const std::int64_t ends_s =
      narrowed ? std::min(chain.not_after_s, view.not_after_s) : view.not_after_s;
  out.lease_left_ms = std::max<std::int64_t>(0, ttl_ms - view.active_ms);
  out.until_s = std::min(ends_s, view.known_s + out.lease_left_ms / kMsPerS);
  return out;
}

}  // namespace

bool Holding::may(capsules::Verb verb) const {
  return std::ranges::find(verbs, verb) != verbs.end();
}

OwnRules own_rules(const std::string& state, const broker::OwnPolicy& own) {
  Result<authority::Tools> tools = broker::tools_list(state);
  return {own.policy, tools.ok() ? std::move(*tools) : authority::Tools{}};
}

std::vector<Holding> who_can(const std::vector<TaskView>& tasks, const OwnRules& own,
                             std::optional<std::string_view> tool) {
  std::vector<Holding> out;
  for (const TaskView& view : tasks) {
    // What is due to end, whoever owns the state ends with his next look.
    const bool over = view.due != authority::EndReason::none;
    if (view.state != authority::TaskState::active || over) continue;
    for (const TaskView::ChainView& chain : view.chains) {
      if (chain.ended) continue;
      for (const TaskView::GrantView& grant : view.grants) {
        const bool last =
            grant.block == chain.blocks && (grant.block == 0 || grant.chain == chain.chain);
        if (last && (!tool || grant.tool == *tool))
          out.push_back(holding_of(view, chain, grant, own));
      }
    }
  }
  return out;
}

std::string rule_words(const std::vector<capsules::ArgRule>& rules) {
  std::string out;
  for (const capsules::ArgRule& rule : rules) {
    std::string words;
    for (const capsules::Constraint& constraint : rule.all)
      words += (words.empty() ? "" : " and ") + capsules::describe_constraint(constraint);
    if (rule.optional) words += ", may be left out";
    out += (out.empty() ? "" : "; ") + escape_text(rule.name + ": " + words);
  }
  return out.empty() ? "no arguments" : out;
}

}  // namespace taper::tools
