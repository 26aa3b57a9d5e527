#include "runtime/authority/decide.h"

#include <algorithm>

#include "runtime/authority/command.h"
#include "runtime/authority/profile.h"

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

// Walks the blocks down from the root grant: in each, the first kept grant whose parent is the one
// chosen and whose rules hold.
Status descend(const LiveTask& task, const std::vector<capsules::InputSpec>& inputs,
               const Object& arguments, const capsules::Moment& moment, Ruling& ruling) {
  while (ruling.depth < task.levels.size()) {
    const Level& level = task.levels[ruling.depth];
    const std::size_t parent = ruling.line[ruling.depth - 1];
    Status status;
    for (std::size_t i = 0; i < level.size() && !status.ok(); ++i) {
      if (level[i].parent != parent) continue;
      ruling.line[ruling.depth] = i;
      status = capsules::check_arguments(level[i].args, inputs, arguments, moment);
    }
    if (status.code() == Code::unset)
      return denial(Code::tool_not_granted, "tool", "a grant that every block keeps",
                    task.levels[ruling.depth - 1][parent].id);
    if (!status) return status;
    ++ruling.depth;
  }
  return success();
}

bool has_verb(const Grant& grant, capsules::Verb verb) {
  return std::find(grant.verbs.begin(), grant.verbs.end(), verb) != grant.verbs.end();
}

// The first grant whose tool, verb and arguments match; when no arguments match, the last candidate
// and what is wrong with them there. Later questions never move a call to another grant.
Status choose(const LiveTask& task, const CallRequest& request, const Result<Object>& arguments,
              const capsules::Moment& moment, Ruling& ruling) {
  const std::vector<Grant>& grants = task.root().grants;
  const Grant* other_verb = nullptr;
  Status mismatch;
  for (std::size_t i = 0; i < grants.size(); ++i) {
    if (grants[i].tool != request.tool) continue;
    if (!has_verb(grants[i], request.verb)) {
      other_verb = &grants[i];
      continue;
    }
    ruling.line[0] = i;
    ruling.depth = 1;
    if (ruling.tool == nullptr || !arguments) return success();
    mismatch =
        capsules::check_arguments(task.levels[0][i].args, ruling.tool->inputs, *arguments, moment);
    if (mismatch.ok()) return descend(task, ruling.tool->inputs, *arguments, moment, ruling);
  }
  if (ruling.depth != 0) return mismatch;
  if (other_verb != nullptr)
    return denial(Code::verb_not_granted, "verb", "a verb of the grant " + other_verb->id,
                  "another");
  return denial(Code::tool_not_granted, "tool", "a tool of the capsule", request.tool);
}

Status check_tool(const LiveTask& task, const CallRequest& request, Ruling& ruling) {
  const Grant& grant = chosen(task, ruling);
  const Tool* tool = ruling.tool;
  if (tool == nullptr || !task.trees[ruling.line[0]])
    return denial(Code::tool_missing, "tool", request.tool, "none when the task was activated");
  const bool same =
      grant.digest_kind == capsules::DigestKind::unpinned ||
      (grant.digest_kind == capsules::DigestKind::pinned ? tool->digest == grant.digest
                                                         : tool->kind == ToolKind::builtin);
  if (!same) {
    if (task.root().end_on.tool_drift) ruling.ends_task = EndReason::drift;
    return denial(Code::tool_digest, "tool", grant.digest.hex(), tool->digest.hex());
  }
  if (tool->effect > grant.effect || tool->effect == capsules::Effect::unset)
    return denial(Code::effect_exceeds, "effect", "within the grant's effect", "a larger one");
  return success();
}

Status check_budgets(const LiveTask& task, Ruling& ruling) {
  const CellCaps caps = cell_caps(chosen(task, ruling).cell);
  ruling.reserve_bytes = std::min<std::uint64_t>(caps.output_bytes, limits::kResultBytesMax);
  for (std::size_t level = 0; level < ruling.depth; ++level) {
    const LiveGrant& grant = task.levels[level][ruling.line[level]];
    const auto left = [](const std::optional<std::int64_t>& limit, std::uint64_t spent) {
      const auto most = static_cast<std::uint64_t>(std::max<std::int64_t>(0, *limit));
      return most > spent ? most - spent : 0;
    };
    if (grant.budget.calls && left(grant.budget.calls, grant.spent.calls) == 0)
      return denial(Code::budget_calls, grant.id,
                    "at most " + std::to_string(*grant.budget.calls) + " calls", "all are spent");
    if (!grant.budget.bytes) continue;
    const std::uint64_t bytes = left(grant.budget.bytes, grant.spent.bytes);
    if (bytes == 0)
      return denial(Code::budget_bytes, grant.id,
                    "at most " + std::to_string(*grant.budget.bytes) + " bytes", "all are spent");
    ruling.reserve_bytes = std::min(ruling.reserve_bytes, bytes);
  }
  return success();
}

Status check_log_quota(const LiveTask& task, const CallRequest& request, Ruling& ruling) {
  const auto quota = static_cast<std::uint64_t>(task.root().log_quota_bytes);
  const std::uint64_t more = task.root().log_all_arguments ? request.arguments.size() : 0;
  if (task.record.log_bytes + more < quota) return success();
  ruling.ends_task = EndReason::log_quota;
  return denial(Code::log_quota, "log", std::to_string(quota) + " bytes of records",
                std::to_string(task.record.log_bytes + more));
}

Status check_node(const LiveTask& task, const Surroundings& around) {
  if (around.node.tier >= task.root().min_tier) return success();
  return denial(Code::tier_unreachable, "tier", "the capsule's tier", "a lower one");
}

// `matched` is what choosing a grant found.
Status check_form(const Result<Object>& arguments, const Status& matched, Ruling& ruling) {
  if (!arguments) return arguments.error();
  if (!matched) return matched.error();
  if (ruling.tool->kind != ToolKind::command) return success();
  TAPER_TRY(ruling.argv, render_argv(*ruling.tool, *arguments));
  return success();
}

Status check_live(const LiveTask& task) {
  if (task.acting()) return success();
  const bool waits = task.record.state == TaskState::active && !task.stopped;
  return denial(Code::task_not_live, "task", "active",
                waits ? "waiting for its holder to prove itself" : "ended or ending");
}

Status check_lapse(const Lapse& lapse, Question question, Ruling& ruling) {
  if (lapse.question != question) return success();
  ruling.ends_task = lapse.ends_task;
  return denial(lapse.code, std::string(end_reason_name(lapse.ends_task)), "time left", "none");
}

}  // namespace

Ruling decide(const LiveTask& task, const Surroundings& around, const CallRequest& request,
              const Result<Object>& arguments, const Tools& tools, const Now& now) {
  Ruling ruling;
  const auto fails = [&ruling](Question question, const Status& status) {
    if (status.ok()) return false;
    ruling.failed = question;
    ruling.error = status.error();
    return true;
  };
  const auto tool = tools.find(request.tool);
  ruling.tool = tool == tools.end() ? nullptr : &tool->second;
  const Lapse over = lapse(task, around, now);

  if (fails(Question::task_live, check_live(task))) return ruling;
  if (fails(Question::time, check_lapse(over, Question::time, ruling))) return ruling;
  if (fails(Question::revocation, check_lapse(over, Question::revocation, ruling))) return ruling;
  if (fails(Question::node_policy, check_node(task, around))) return ruling;
  // No signed source tells this node the time yet, so no moment is anchored.
  const capsules::Moment moment{estimate(around.anchor, task.root().issued_at_s, now).s, false};
  const Status matched = choose(task, request, arguments, moment, ruling);
  const bool none = ruling.depth == 0 || matched.code() == Code::tool_not_granted;
  if (none && fails(Question::grant, matched)) return ruling;
  if (fails(Question::tool_digest, check_tool(task, request, ruling))) return ruling;
  if (fails(Question::arguments, check_form(arguments, matched, ruling))) return ruling;
  if (fails(Question::budgets, check_budgets(task, ruling))) return ruling;
  if (fails(Question::log_quota, check_log_quota(task, request, ruling))) return ruling;
  return ruling;
}

}  // namespace taper::authority
