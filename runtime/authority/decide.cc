#include "runtime/authority/decide.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/authority/command.h"
#include "runtime/authority/profile.h"
#include "runtime/base/text.h"

namespace taper::authority {
namespace {

using capsules::Grant;
using capsules::Object;

const Grant& chosen(const LiveTask& task, const Ruling& ruling) {
  return task.root().grants[ruling.line[0]];
}

Error denial(Code code, std::string field, std::string expected, std::string got) {
  return Error(code, {std::move(field), std::move(expected), std::move(got), ""});
}

Error lacks_verb(const LiveGrant& grant) {
  return denial(Code::verb_not_granted, "verb", "a verb of the grant " + grant.id, "another");
}

// Walks the blocks down from the root grant: in each, the first kept grant whose parent is the one
// chosen, which has the verb and whose rules hold.
Status descend(capsules::Verb verb, const Object& arguments, const capsules::Moment& moment,
               Ruling& ruling) {
  const std::vector<Level>& levels = ruling.branch->levels;
  while (ruling.depth < levels.size()) {
    const Level& level = levels[ruling.depth];
    const std::size_t parent = ruling.line[ruling.depth - 1];
    const LiveGrant* other_verb = nullptr;
    Status status;
    for (std::size_t i = 0; i < level.size() && !status.ok(); ++i) {
      if (level[i].parent != parent) continue;
      if (!has_verb(level[i], verb)) {
        other_verb = &level[i];
        continue;
      }
      ruling.line[ruling.depth] = i;
      status = capsules::check_arguments(level[i].args, ruling.tool->inputs, arguments, moment);
    }
    if (status.code() == Code::unset && other_verb != nullptr) return lacks_verb(*other_verb);
    if (status.code() == Code::unset)
      return denial(Code::tool_not_granted, "tool", "a grant that every block keeps",
                    levels[ruling.depth - 1][parent].id);
    if (!status) return status;
    ++ruling.depth;
  }
  return success();
}

// The first grant whose tool, verb and arguments match; when no arguments match, the last candidate
// and what is wrong with them there. Later questions never move a call to another grant.
Status choose(const LiveTask& task, const CallRequest& request, const Result<Object>& arguments,
              const capsules::Moment& moment, Ruling& ruling) {
  const std::vector<Grant>& grants = task.root().grants;
  const LiveGrant* other_verb = nullptr;
  Status mismatch;
  // What is asked about a call, and of grants, is decided by decide_access.
  const bool calls = request.verb == capsules::Verb::call || request.verb == capsules::Verb::retry;
  for (std::size_t i = 0; i < grants.size(); ++i) {
    if (grants[i].tool != request.tool) continue;
    if (!calls || !has_verb(ruling.branch->levels[0][i], request.verb)) {
      other_verb = &ruling.branch->levels[0][i];
      continue;
    }
    ruling.line[0] = i;
    ruling.depth = 1;
    if (ruling.tool == nullptr || !arguments) return success();
    mismatch = capsules::check_arguments(grants[i].args, ruling.tool->inputs, *arguments, moment);
    if (mismatch.ok()) return descend(request.verb, *arguments, moment, ruling);
  }
  if (ruling.depth != 0) return mismatch;
  if (other_verb != nullptr) return lacks_verb(*other_verb);
  return denial(Code::tool_not_granted, "tool", "a tool of the capsule", request.tool);
}

// What was chosen for a call holds for all of it: the grant that its handle stands for decides.
Status check_line(const CallRequest& request, const Object& arguments,
                  const capsules::Moment& moment, const Ruling& ruling) {
  const LiveGrant& leaf = grant_at(ruling, ruling.depth - 1);
  if (!has_verb(leaf, request.verb) || !has_verb(leaf, capsules::Verb::update))
    return lacks_verb(leaf);
  if (ruling.tool == nullptr) return success();
  return capsules::check_arguments(leaf.args, ruling.tool->inputs, arguments, moment);
}

Status check_tool(const LiveTask& task, const CallRequest& request, Ruling& ruling) {
  const Grant& grant = chosen(task, ruling);
  const Tool* tool = ruling.tool;
  if (tool == nullptr || !has_tool(*ruling.branch, ruling.line[0]))
    return denial(Code::tool_missing, "tool", request.tool, "none when the chain was attached");
  Status same = is_as_granted(*tool, grant);
  if (same.code() == Code::tool_digest && task.root().end_on.tool_drift)
    ruling.ends_task = EndReason::drift;
  return same;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A label is there from the permit on, so a call that is shut by one can only run beside a call
// that would add it where it began first.
Status check_labels(const LiveTask& task, const Ruling& ruling) {
  for (std::size_t level = 0; level < ruling.depth; ++level) {
    const LiveGrant& grant = grant_at(ruling, level);
    for (const std::string& label : grant.refuse_after) {
      if (task.labels.contains(label))
        return denial(Code::label_refused, grant.id, "a task without the label " + label, label);
    }
    for (const std::string& label : grant.labels) {
      for (const auto& [call, running] : task.running) {
        const bool beside = std::any_of(
            running.line.begin(), running.line.end(),
            [&label](const LiveGrant* other) { return has(other->refuse_after, label); });
        if (beside) return denial(Code::label_conflict, grant.id, "no such call", label);
      }
    }
  }
  return success();
}

Status check_after(const LiveTask& task, const Ruling& ruling) {
  const std::vector<Grant>& grants = task.root().grants;
  for (const std::string& id : chosen(task, ruling).after) {
    const auto named = std::find_if(grants.begin(), grants.end(),
                                    [&id](const Grant& grant) { return grant.id == id; });
    if (!task.done.contains(static_cast<std::size_t>(named - grants.begin())))
      return denial(Code::after_unmet, "after", "a call of the grant " + id + " done", "none");
  }
  return success();
}

Status spent(Code code, const LiveGrant& grant, std::string expected) {
  return denial(code, grant.id, std::move(expected), "all are spent");
}

// The argument's own value is not told: the log may have to keep it out.
Status check_sum(const LiveGrant& grant, const Object& arguments, std::int64_t left,
                 std::uint64_t& amount) {
  const std::string& name = grant.budget.sum->argument;
  for (const auto& [argument, value] : arguments) {
    const std::int64_t* whole = argument == name ? value.integer() : nullptr;
    if (whole == nullptr || *whole < 0) continue;
    if (*whole > left) break;
    amount = static_cast<std::uint64_t>(*whole);
    return success();
  }
  return denial(Code::budget_sum, grant.id,
                "a whole number " + name + ", at most " + std::to_string(left) + " more",
                "none, or more");
}

Status check_level(const LiveGrant& grant, const Object& arguments, const Now& now, Ruling& ruling,
                   std::uint64_t& amount) {
  const capsules::Budget& budget = grant.budget;
  const BudgetLeft left = budget_left(budget, *grant.spent, now);
  constexpr std::int64_t kSecond = 1000;  // what a cell's cap of time is counted in
  if (left.calls == 0)
    return spent(Code::budget_calls, grant, "at most " + std::to_string(*budget.calls) + " calls");
  if (left.rate == 0)
    return spent(Code::budget_rate, grant,
                 "at most " + std::to_string(budget.rate->count) + " calls in " +
                     format_duration_ms(budget.rate->per_ms));
  if (left.bytes == 0)
    return spent(Code::budget_bytes, grant, "at most " + std::to_string(*budget.bytes) + " bytes");
  if (left.cpu_ms && *left.cpu_ms < kSecond)
    return spent(Code::budget_cpu, grant, "a second left of " + format_duration_ms(*budget.cpu_ms));
  if (left.bytes)
    ruling.charge.bytes = std::min(ruling.charge.bytes, static_cast<std::uint64_t>(*left.bytes));
  if (left.cpu_ms)
    ruling.caps.cpu_s =
        std::min(ruling.caps.cpu_s, static_cast<std::uint64_t>(*left.cpu_ms / kSecond));
  ruling.charge.cpu_ms = ruling.caps.cpu_s * std::uint64_t{kSecond};
  return left.sum ? check_sum(grant, arguments, *left.sum, amount) : success();
}

Status check_budgets(const LiveTask& task, const Object& arguments, const Now& now,
                     Ruling& ruling) {
  ruling.caps = cell_caps(cell_limits(task, chosen(task, ruling).cell));
  ruling.charge.bytes = std::min<std::uint64_t>(ruling.caps.output_bytes, limits::kResultBytesMax);
  for (std::size_t level = 0; level < ruling.depth; ++level) {
    TAPER_CHECK(check_level(grant_at(ruling, level), arguments, now, ruling, ruling.sums[level]));
  }
  ruling.caps.output_bytes = std::min<std::size_t>(ruling.caps.output_bytes, ruling.charge.bytes);
  return success();
}

Status check_log_quota(const LiveTask& task, std::size_t arguments, Ruling& ruling) {
  const auto quota = static_cast<std::uint64_t>(task.root().log_quota_bytes);
  const std::uint64_t more = task.root().log_all_arguments ? arguments : 0;
  if (task.record.log_bytes + more < quota) return success();
  ruling.ends_task = EndReason::log_quota;
  return denial(Code::log_quota, "log", std::to_string(quota) + " bytes of records",
                std::to_string(task.record.log_bytes + more));
}

Status check_node(const LiveTask& task, const Surroundings& around) {
  if (around.node.tier >= task.root().min_tier) return success();
  return denial(Code::tier_unreachable, "tier", tier_name(task.root().min_tier),
                tier_name(around.node.tier));
}

// The tool takes a repeated id for the same effect. So it may come again where nobody knows whether
// the earlier call had its effect, and to retry one that failed.
bool may_repeat(CallState earlier, capsules::Verb verb) {
  if (earlier == CallState::interrupted) return true;
  return verb == capsules::Verb::retry &&
         (earlier == CallState::failed || earlier == CallState::killed);
}

Status check_once(const LiveTask& task, capsules::Verb verb, const Object& arguments,
                  Ruling& ruling) {
  const Grant& grant = chosen(task, ruling);
  for (const auto& [name, value] : arguments) {
    if (name != grant.idempotency) continue;
    // What the tool is given: 7 and "7" are one word to a command.
    const std::string id = capsules::write_canonical(word_text(value));
    const Bytes framed = ByteWriter().text(grant.id).text(id).bytes();
    ruling.once = crypto::hash(framed);
  }
  const auto earlier = task.once.find(ruling.once);
  if (earlier == task.once.end() || may_repeat(earlier->second, verb)) return success();
  if (ruling.about == About::next_phase) return success();  // its own
  return denial(Code::idempotency_reused, grant.idempotency, "an id of its own",
                "that of a call " + std::string(call_state_name(earlier->second)));
}

// `matched` is what choosing a grant found.
Status check_form(const LiveTask& task, capsules::Verb verb, const Result<Object>& arguments,
                  const Status& matched, Ruling& ruling) {
  if (!arguments) return arguments.error();
  if (!matched) return matched.error();
  if (!chosen(task, ruling).idempotency.empty()) {
    TAPER_CHECK(check_once(task, verb, *arguments, ruling));
  }
  if (ruling.tool->kind == ToolKind::builtin) return success();
  TAPER_TRY(ruling.argv, render_argv(*ruling.tool, *arguments));
  return success();
}

Status check_live(const LiveTask& task, const Branch* branch) {
  if (task.acting() && branch != nullptr) return success();
  return denial(
      Code::task_not_live, "task", "active",
      task.acting() ? "waiting for the chain's holder to prove itself" : "ended or ending");
}

Status check_lapse(const Lapse& lapse, Question question, Ruling& ruling) {
  if (lapse.question != question) return success();
  ruling.ends_task = lapse.ends_task;
  const bool task = lapse.ends_task != EndReason::none;
  return denial(lapse.code, task ? std::string(end_reason_name(lapse.ends_task)) : "time",
                lapse.expected.empty() ? "time left" : lapse.expected,
                lapse.expected.empty() ? "none" : lapse.got);
}

// What every decision begins with. False: one of these questions failed.
bool may_ask(const LiveTask& task, const Surroundings& around, const Hash& chain, const Now& now,
             Ruling& ruling) {
  ruling.branch = task.branch(chain);
  if (ruling.fails(Question::task_live, check_live(task, ruling.branch))) return false;
  const Lapse over = lapse(task, *ruling.branch, around, now);
  for (const Question question : {Question::time, Question::revocation, Question::node_policy}) {
    if (ruling.fails(question, check_lapse(over, question, ruling))) return false;
  }
  return !ruling.fails(Question::node_policy, check_node(task, around));
}

}  // namespace

bool Ruling::fails(Question question, const Status& status) {
  if (status.ok()) return false;
  failed = question;
  error = status.error();
  return true;
}

bool has_verb(const LiveGrant& grant, capsules::Verb verb) {
  return std::find(grant.verbs.begin(), grant.verbs.end(), verb) != grant.verbs.end();
}

Status is_as_granted(const Tool& tool, const Grant& grant) {
  const bool same =
      grant.digest_kind == capsules::DigestKind::unpinned ||
      (grant.digest_kind == capsules::DigestKind::pinned ? tool.digest == grant.digest
                                                         : tool.kind == ToolKind::builtin);
  if (!same) return denial(Code::tool_digest, "tool", grant.digest.hex(), tool.digest.hex());
  if (tool.kind == ToolKind::agent)
    return denial(Code::tool_missing, "tool", "a tool that is called", "an agent's program");
  if (tool.effect > grant.effect || tool.effect == capsules::Effect::unset)
    return denial(Code::effect_exceeds, "effect", "within the grant's effect", "a larger one");
  return success();
}

bool is_asked(About about, Question question) {
  const bool calls = about == About::call || about == About::next_phase;
  if (question == Question::handle) return about == About::handle || about == About::next_phase;
  if (question == Question::grant) return calls || about == About::handle;
  if (question == Question::tool_digest && about == About::agent) return true;
  const bool of_calls = question >= Question::tool_digest && question <= Question::budgets;
  return !of_calls || calls;
}

capsules::CellLimits cell_limits(const LiveTask& task, const capsules::CellLimits& own) {
  capsules::CellLimits out = task.root().cell;
  const auto lower = [](std::optional<std::int64_t>& cap, const std::optional<std::int64_t>& more) {
    if (more) cap = std::min(cap.value_or(*more), *more);
  };
  lower(out.output_bytes, own.output_bytes);
  lower(out.memory_bytes, own.memory_bytes);
  lower(out.processes, own.processes);
  lower(out.cpu_s, own.cpu_s);
  lower(out.wall_ms, own.wall_ms);
  return out;
}

Ruling decide(const LiveTask& task, const Surroundings& around, const CallRequest& request,
              const Result<Object>& arguments, const Tools& tools, const Now& now) {
  Ruling ruling;
  const auto tool = tools.find(request.tool);
  ruling.tool = tool == tools.end() ? nullptr : &tool->second;

  if (!may_ask(task, around, request.chain, now, ruling)) return ruling;
  if (ruling.tool != nullptr &&
      ruling.fails(Question::node_policy, check_policy(around.node.policy, *ruling.tool)))
    return ruling;
  const Estimate time = estimate(around.time, task.root().issued_at_s, now);
  const capsules::Moment moment{time.s, time.standing == TimeAssurance::anchored, false,
                                saturating_subtract(time.s, time.least_s)};
  if (request.goes_on) {
    ruling.about = About::next_phase;
    if (ruling.fails(Question::handle, find_waiting(task, request, arguments, now, ruling)))
      return ruling;
  }
  const Status matched = request.goes_on ? check_line(request, *arguments, moment, ruling)
                                         : choose(task, request, arguments, moment, ruling);
  const bool none = ruling.depth == 0 || matched.code() == Code::tool_not_granted ||
                    matched.code() == Code::verb_not_granted;
  if (none && ruling.fails(Question::grant, matched)) return ruling;
  if (ruling.fails(Question::tool_digest, check_tool(task, request, ruling))) return ruling;
  if (ruling.fails(Question::arguments, check_form(task, request.verb, arguments, matched, ruling)))
    return ruling;
  if (ruling.fails(Question::labels, check_labels(task, ruling))) return ruling;
  if (ruling.fails(Question::after, check_after(task, ruling))) return ruling;
  if (ruling.fails(Question::budgets, check_budgets(task, *arguments, now, ruling))) return ruling;
  if (ruling.fails(Question::log_quota, check_log_quota(task, request.arguments.size(), ruling)))
    return ruling;
  return ruling;
}

Ruling decide_access(const LiveTask& task, const Surroundings& around, const AccessRequest& request,
                     const Now& now) {
  Ruling ruling;
  const bool discovers = request.verb == capsules::Verb::discover;
  ruling.about = discovers ? About::grants : About::handle;
  if (!may_ask(task, around, request.chain, now, ruling)) return ruling;
  if (!discovers) {
    if (ruling.fails(Question::handle, find_handle(task, request, now, ruling))) return ruling;
    const LiveGrant& leaf = grant_at(ruling, ruling.depth - 1);
    if (!has_verb(leaf, request.verb)) {
      ruling.fails(Question::grant, lacks_verb(leaf));
      return ruling;
    }
    const bool updates = request.verb == capsules::Verb::update;
    if (updates && ruling.fails(Question::handle, wants_input(task.calls[ruling.number])))
      return ruling;
  }
  ruling.fails(Question::log_quota, check_log_quota(task, 0, ruling));
  return ruling;
}

Ruling decide_agent(const LiveTask& task, const Surroundings& around, const CallRequest& request,
                    const Tools& tools, const Now& now) {
  Ruling ruling;
  ruling.about = About::agent;
  const auto tool = tools.find(request.tool);
  ruling.tool = tool == tools.end() ? nullptr : &tool->second;
  if (!may_ask(task, around, request.chain, now, ruling)) return ruling;
  if (ruling.tool != nullptr &&
      ruling.fails(Question::node_policy, check_policy(around.node.policy, *ruling.tool)))
    return ruling;
  const capsules::AgentEntry& agent = task.root().agent_entry;
  Result<std::vector<GrantedTree>> trees = agent_trees(
      agent, tools, ruling.branch->trees, around.node.forbidden_trees, around.node.mount_points);
  if (trees.code() == Code::tool_digest && task.root().end_on.tool_drift)
    ruling.ends_task = EndReason::drift;
  if (!trees.ok()) {
    ruling.fails(Question::tool_digest, trees.error());
    return ruling;
  }
  if (ruling.fails(Question::log_quota, check_log_quota(task, 0, ruling))) return ruling;
  ruling.trees = std::move(*trees);
  ruling.caps = cell_caps(cell_limits(task, agent.cell));
  return ruling;
}

}  // namespace taper::authority
