#include <algorithm>

#include "capsules/author/author.h"
#include "capsules/author/each_constraint.h"
#include "capsules/author/lineage.h"
#include "capsules/author/words.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

using Verdict = ExplainAnswer::Verdict;

class Path {
 public:
  void passed(std::string question, std::string expected, std::string got) {
    add(std::move(question), Verdict::passed, std::move(expected), std::move(got), Code::ok);
  }
  void needs_node(std::string question, std::string expected) {
    add(std::move(question), Verdict::needs_node, std::move(expected), "", Code::ok);
  }
  void failed(std::string question, Code code, std::string expected, std::string got) {
    if (out_.code == Code::ok) out_.code = code;
    add(std::move(question), Verdict::failed, std::move(expected), std::move(got), code);
  }
  bool good() const { return out_.code == Code::ok; }
  Explanation& out() { return out_; }

 private:
  void add(std::string question, Verdict verdict, std::string expected, std::string got,
           Code code) {
    out_.answers.push_back(
        {std::move(question), verdict, std::move(expected), std::move(got), code});
  }
  Explanation out_;
};

void ask_time(const Capsule& capsule, std::optional<std::int64_t> at_s, Path& path) {
  const std::string window =
      format_utc_s(capsule.not_before_s) + " to " + format_utc_s(capsule.not_after_s);
  if (!at_s) {
    path.needs_node("time", "started within " + window + ", lease of " +
                                format_duration_ms(capsule.lease_ttl_ms) + " not over");
    return;
  }
  const std::string got = format_utc_s(*at_s);
  if (*at_s < capsule.not_before_s) {
    path.failed("time", Code::window_not_open, window, got);
  } else if (*at_s >= capsule.not_after_s) {
    path.failed("time", Code::window_closed, window, got);
  } else {
    path.passed("time", window, got);
    path.needs_node("lease", "lease of " + format_duration_ms(capsule.lease_ttl_ms) +
                                 " not over, counted from the task's start");
  }
}

// Without the tool's own inputs each named argument may be of any type.
std::vector<InputSpec> inputs_of(const KnownTool* tool, const std::vector<ArgRule>& args) {
  if (tool != nullptr) return tool->inputs;
  std::vector<InputSpec> inputs;
  for (const ArgRule& rule : args) inputs.push_back({rule.name, InputType::json, true});
  return inputs;
}

struct Found {
  const Grant* grant = nullptr;
  Status arguments = success();
};

// The first grant whose arguments match; else the first of the tool, with why not.
Found find_grant(const std::vector<const Grant*>& candidates, const KnownTool* tool,
                 const Object& arguments, const Moment& moment) {
  Found first;
  for (const Grant* grant : candidates) {
    Status checked = check_arguments(grant->args, inputs_of(tool, grant->args), arguments, moment);
    if (checked.ok()) return {grant, std::move(checked)};
    if (first.grant == nullptr) first = {grant, std::move(checked)};
  }
  return first;
}

std::vector<const Grant*> grants_of(const Capsule& capsule, std::string_view tool, bool with_call) {
  std::vector<const Grant*> out;
  for (const Grant& grant : capsule.grants) {
    const bool calls = std::ranges::find(grant.verbs, Verb::call) != grant.verbs.end();
    if (grant.tool == tool && (calls || !with_call)) out.push_back(&grant);
  }
  return out;
}

std::string granted_tools(const Capsule& capsule) {
  std::string out;
  for (const Grant& grant : capsule.grants) out += (out.empty() ? "" : ", ") + grant.tool;
  return out.empty() ? "no tool at all" : "one of " + out;
}

void ask_digest(const Grant& grant, const KnownTool* tool, Path& path) {
  switch (grant.digest_kind) {
    case DigestKind::builtin:
      path.passed("tool digest", "the builtin of the node's version", "builtin");
      return;
    case DigestKind::unpinned: path.needs_node("tool digest", "any tool of this name"); return;
    case DigestKind::pinned:
      if (tool == nullptr || !tool->digest) {
        path.needs_node("tool digest", grant.digest.hex());
      } else if (*tool->digest == grant.digest) {
        path.passed("tool digest", grant.digest.hex(), tool->digest->hex());
      } else {
        path.failed("tool digest", Code::tool_digest, grant.digest.hex(), tool->digest->hex());
      }
      return;
    case DigestKind::unset: break;
  }
  path.failed("tool digest", Code::tool_digest, "a pinned tool", "nothing");
}

void ask_arguments(const Found& found, Path& path) {
  if (found.arguments.ok()) {
    path.passed("arguments", "every constraint of grant " + found.grant->id, "all hold");
    return;
  }
  const Error& error = found.arguments.error();
  const ErrorDetail& detail = error.detail();
  path.failed("arguments", error.code(), detail.field + ": " + detail.expected, detail.got);
}

// Only a node knows whether its time comes from a signed source, which time_of_day asks for.
void ask_time_of_day(const std::string& question, const std::vector<ArgRule>& args, Path& path) {
  std::string times;
  for (const ArgRule& whole : args) {
    each_constraint(whole, [&times](const ArgRule& rule, const Constraint& constraint) {
      if (!std::holds_alternative<TimeOfDay>(constraint)) return;
      times += (times.empty() ? "" : ", ") + rule.name + ": " + describe_constraint(constraint);
    });
  }
  if (!times.empty()) path.needs_node(question, "an anchored time; " + times);
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

// Each block in turn, until one refuses what all before it allow.
void ask_blocks(const Capsule& capsule, const std::vector<Block>& blocks, const Grant& grant,
                const KnownTool* tool, const Call& call, Path& path) {
  const Lineage lineage = lineage_of(capsule, blocks);
  const Route route = find_route(capsule, lineage, call, inputs_of(tool, grant.args));
  for (std::size_t level = 1; level < route.asked; ++level) {
    const std::string question = "block " + std::to_string(level);
    const bool refused = level + 1 == route.asked && !route.status.ok();
    if (refused) {
      const Error& error = route.status.error();
      path.failed(question, error.code(), error.detail().field + ": " + error.detail().expected,
                  error.detail().got);
      return;
    }
    const LineGrant& kept = lineage[level][route.line[level]];
    path.passed(question, "a kept grant whose rules hold", "kept grant " + kept.id);
    const auto own = std::ranges::find(blocks[level - 1].grants, kept.id, &KeptGrant::id);
    ask_time_of_day(question + " time of day", own->args, path);
    if (kept.budget.calls || kept.budget.rate || kept.budget.bytes || kept.budget.cpu_ms ||
        kept.budget.sum) {
      path.needs_node(question + " budgets", "not spent: those of kept grant " + kept.id);
    }
    if (!kept.refuse_after.empty()) {
      path.needs_node(question + " labels", "none that shuts kept grant " + kept.id);
    }
  }
}

void ask_history(const Grant& grant, Path& path) {
  if (grant.refuse_after.empty()) {
    path.passed("labels", "shut by no label", "open");
  } else {
    path.needs_node("labels", "the task bears none of " + listed(grant.refuse_after));
  }
  if (grant.after.empty()) {
    path.passed("after", "no call that must come first", "none");
  } else {
    path.needs_node("after", "a call of each done in this task: " + listed(grant.after));
  }
}

void ask_budgets(const Grant& grant, Path& path) {
  const Budget& budget = grant.budget;
  std::vector<std::string> most;
  if (budget.calls) most.push_back(std::to_string(*budget.calls) + " calls");
  if (budget.rate) {
    most.push_back(std::to_string(budget.rate->count) + " calls in " +
                   format_duration_ms(budget.rate->per_ms));
  }
  if (budget.bytes) most.push_back(std::to_string(*budget.bytes) + " bytes");
  if (budget.cpu_ms) most.push_back(format_duration_ms(*budget.cpu_ms) + " of processor time");
  if (budget.sum) {
    most.push_back("a sum of " + budget.sum->argument + " of " + std::to_string(budget.sum->most));
  }
  if (most.empty()) {
    path.passed("budgets", "no budget: lease and log quota bound it", "none to spend");
  } else {
    path.needs_node("budgets", "not spent: " + listed(most));
  }
}

// Grant, tool digest, arguments, labels, after, budgets. What follows a grant cannot be asked
// without one.
void ask_call(const Capsule& capsule, std::string_view tool_name, ByteSpan arguments,
              const KnownTools& tools, const Moment& moment, const std::vector<Block>& blocks,
              Path& path) {
  const std::vector<const Grant*> candidates = grants_of(capsule, tool_name, true);
  if (candidates.empty()) {
    const bool other_verbs = !grants_of(capsule, tool_name, false).empty();
    path.failed("grant", other_verbs ? Code::verb_not_granted : Code::tool_not_granted,
                other_verbs ? "a grant of this tool with the verb 'call'" : granted_tools(capsule),
                std::string(tool_name));
    return;
  }
  const auto known = tools.find(tool_name);
  const KnownTool* tool = known == tools.end() ? nullptr : &known->second;
  const Result<Object> parsed = parse_arguments(arguments);
  Found found{candidates.front(), success()};
  if (parsed.ok()) {
    found = find_grant(candidates, tool, *parsed, moment);
  } else {
    found.arguments = Error(parsed.error());
  }
  path.passed("grant", "a grant of " + std::string(tool_name), "grant " + found.grant->id);
  ask_digest(*found.grant, tool, path);
  ask_arguments(found, path);
  if (found.arguments.ok()) {
    path.out().grant = found.grant->id;
    ask_time_of_day("time of day", found.grant->args, path);
  }
  if (!found.grant->idempotency.empty()) {
    path.needs_node("call id", "no call made already with this '" + found.grant->idempotency +
                                   "', or only interrupted ones");
  }
  ask_history(*found.grant, path);
  ask_budgets(*found.grant, path);
  if (parsed.ok() && found.arguments.ok()) {
    ask_blocks(capsule, blocks, *found.grant, tool, {Verb::call, tool_name, *parsed, moment}, path);
  }
}

}  // namespace

Explanation explain(const Capsule& capsule, std::string_view tool, ByteSpan arguments,
                    const KnownTools& tools, std::optional<std::int64_t> at_s,
                    const std::vector<Block>& blocks) {
  Path path;
  path.needs_node("session and proof", "the holder's key, node and incarnation of the capsule");
  path.needs_node("task live", "an activation that has not ended; at most " +
                                   std::to_string(capsule.activations));
  ask_time(with_shortened_times(capsule, blocks), at_s, path);
  path.needs_node("revocation", "not revoked; news at most " +
                                    format_duration_ms(capsule.max_revocation_age_s * 1000) +
                                    " old, time " + std::string(word(capsule.time_assurance)));
  path.needs_node("node policy", "no refusal by the node; sandbox tier " +
                                     std::string(word(capsule.min_tier)) + " or stronger");
  ask_call(capsule, tool, arguments, tools, at_s ? Moment{*at_s, true} : kAnyMoment, blocks, path);
  return std::move(path.out());
}

}  // namespace taper::capsules
