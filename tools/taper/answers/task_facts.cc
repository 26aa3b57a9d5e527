#include "tools/taper/answers/task_facts.h"

#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::tools {
namespace {

using authority::TaskView;

constexpr std::int64_t kMsPerS = 1000;

Revoker due_in(std::string kind, std::int64_t left_ms, const TaskView& view, std::string what) {
  const std::int64_t left = std::max<std::int64_t>(0, left_ms);
  return {std::move(kind), view.known_s + left / kMsPerS, left, {}, {}, std::move(what)};
}

Revoker due_at(std::string kind, std::int64_t at_s, const TaskView& view, std::string what) {
  const std::int64_t left_s = std::clamp<std::int64_t>(at_s - view.known_s, 0, limits::kTimeMaxS);
  return {std::move(kind), at_s, left_s * kMsPerS, {}, {}, std::move(what)};
}

std::string lease_words(std::int64_t cap_ms, std::int64_t whole_ms) {
  return format_duration_ms(cap_ms) +
         (cap_ms < whole_ms ? ", while no signed time anchors the node's," : "");
}

void add_times(const TaskView& view, std::vector<Revoker>& out) {
  out.push_back(
      due_in("ttl", view.ttl_cap_ms - view.active_ms, view,
             "the lease of " + lease_words(view.ttl_cap_ms, view.ttl_ms) + " ends the task"));
  const std::string idle =
      "doing nothing for " + lease_words(view.idle_cap_ms, view.idle_ms) + " ends it";
  if (view.call_runs) {
    out.push_back(
        {"idle", {}, {}, {}, {}, idle + "; a call is under way or waits, so it does not count"});
  } else {
    out.push_back(due_in("idle", view.idle_cap_ms - view.idle_used_ms, view, idle));
  }
  out.push_back(due_at("window", view.not_after_s, view, "the capsule's not_after ends it"));
  if (view.said && view.news_s) {
    const std::int64_t age_s = view.said->root.max_revocation_age_s;
    const std::int64_t at_s =
        *view.news_s > limits::kTimeMaxS - age_s ? limits::kTimeMaxS : *view.news_s + age_s;
    out.push_back(due_at("stale", at_s, view, "news on revocations older than this end it"));
  }
}

// What ends a narrowed chain before the task; the task goes on without it.
void add_chain_times(const TaskView& view, std::vector<Revoker>& out) {
  for (const TaskView::ChainView& chain : view.chains) {
    if (chain.ended || chain.blocks == 0) continue;
    const std::string whose = " of the chain " + chain.chain.hex();
    if (chain.ttl_ms < view.ttl_cap_ms)
      out.push_back(due_in("chain_ttl", chain.ttl_ms - view.active_ms, view,
                           "the lease" + whose + " ends it"));
    if (chain.idle_ms < view.idle_cap_ms && !view.call_runs)
      out.push_back(due_in("chain_idle", chain.idle_ms - view.idle_used_ms, view,
                           "the idle time" + whose + " ends it"));
    if (chain.not_after_s < view.not_after_s)
      out.push_back(
          due_at("chain_window", chain.not_after_s, view, "the window" + whose + " ends it"));
  }
}

void add_tripwires(const TaskView& view, std::vector<Revoker>& out) {
  const auto when = [&out](bool is, const char* kind, const char* what) {
    if (is) out.push_back({kind, {}, {}, {}, {}, what});
  };
  out.push_back({"denials",
                 {},
                 {},
                 static_cast<std::int64_t>(view.denials),
                 view.end_on.denials,
                 "so many refused calls end it"});
  const auto entry = view.said ? view.said->root.entry : capsules::EntryKind::plan;
  when(view.end_on.completion, "completion",
       entry == capsules::EntryKind::session ? "its holder's close ends it"
       : entry == capsules::EntryKind::agent ? "the end of its program ends it"
                                             : "the end of its plan ends it");
  when(view.end_on.failure, "failure", "a call that fails ends it");
  when(view.end_on.violation, "violation", "a tool that breaks its sandbox ends it");
  when(view.end_on.policy_drift, "policy", "another policy of the node's own ends it");
  when(view.end_on.tool_drift, "drift", "a tool that is not the one granted ends it");
  when(view.end_on.clock_step, "clock", "a clock that is set back ends it");
  when(true, "revocation", "a trust root that no longer bears its capsule ends it");
  when(true, "cancel", "'taper task cancel' ends it");
  when(true, "kill", "'taper task kill', or a revoker's order that is imported, ends it");
}

bool has_budget(const TaskView& view) {
  return std::ranges::any_of(view.grants, [](const TaskView::GrantView& grant) {
    const authority::BudgetLeft& left = grant.left;
    return left.calls || left.rate || left.bytes || left.cpu_ms || left.sum;
  });
}

// Whether a call is of the step, or of one of its items: "read", "read[3]".
bool is_of(const std::string& call, const std::string& step) {
  return call == step || (call.starts_with(step + "[") && call.ends_with("]"));
}

// A later block of the chain decides.
bool goes_on(const TaskView& view, const Hash& chain, std::size_t block) {
  return std::ranges::any_of(view.grants, [&](const TaskView::GrantView& grant) {
    return grant.chain == chain && grant.block > block;
  });
}

// The root block's grants stand once for all chains.
bool is_narrowed(const TaskView& view, const TaskView::GrantView& grant) {
  if (grant.block != 0) return goes_on(view, grant.chain, grant.block);
  return !view.chains.empty() &&
         std::ranges::none_of(view.chains, [&view](const TaskView::ChainView& chain) {
           return !chain.ended && !goes_on(view, chain.chain, 0);
         });
}

bool branch_ended(const TaskView& view, const TaskView::GrantView& grant) {
  return grant.block != 0 &&
         std::ranges::any_of(view.chains, [&grant](const TaskView::ChainView& chain) {
           return chain.chain == grant.chain && chain.ended;
         });
}

}  // namespace

std::vector<Revoker> revokers(const TaskView& view) {
  std::vector<Revoker> out;
  if (authority::is_terminal(view.state)) return out;
  add_times(view, out);
  add_chain_times(view, out);
  add_tripwires(view, out);
  if (has_budget(view))
    out.push_back({"budget", {}, {}, {}, {}, "a budget spent shuts its grant, and ends a plan"});
  if (view.said)
    out.push_back({"log_quota",
                   {},
                   {},
                   static_cast<std::int64_t>(view.log_bytes),
                   view.said->root.log_quota_bytes,
                   "so many bytes of log end it"});
  return out;
}

std::string standing(const TaskView& view, const TaskView::GrantView& grant) {
  if (view.state != authority::TaskState::active) return "ended";
  if (branch_ended(view, grant)) return "ended";
  if (is_narrowed(view, grant)) return "narrowed";
  if (!grant.shut_by.empty()) return "shut";
  if (!grant.waits_for.empty()) return "waits";
  return grant.spent ? "spent" : "open";
}

std::vector<StepFact> plan_steps(const TaskView& view) {
  std::vector<StepFact> out;
  if (!view.said) return out;
  for (const capsules::Step& step : view.said->root.plan.steps) {
    StepFact fact{step.id, step.tool, "none", 0, step.needs};
    for (const authority::PastCall& call : view.calls) {
      if (!is_of(call.step, step.id)) continue;
      fact.state = authority::call_state_name(call.state);
      if (call.state == authority::CallState::done) ++fact.done;
    }
    if (fact.state == "none") {
      const bool refused = std::ranges::any_of(
          view.refused, [&step](const auto& call) { return is_of(call.step, step.id); });
      if (refused) fact.state = "refused";
    }
    std::erase_if(fact.waits_for, [&view](const std::string& need) {
      return std::ranges::any_of(view.calls, [&need](const authority::PastCall& call) {
        return is_of(call.step, need) && call.state == authority::CallState::done;
      });
    });
    out.push_back(std::move(fact));
  }
  return out;
}

}  // namespace taper::tools
