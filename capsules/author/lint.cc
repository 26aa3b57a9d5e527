#include "capsules/author/lint.h"
#include "capsules/author/words.h"

#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kMsPerS = 1000;

void lint_texts(const Capsule& capsule, LintReport& report) {
  const auto required = [&report](const std::string& text, const char* name) {
    if (!text.empty()) return;
    report.error(Code::field_missing, std::string("capsule.") + name,
                 std::string("'") + name + "' is required", "every record of the log carries it");
  };
  required(capsule.purpose, "purpose");
  required(capsule.requester, "requester");
  required(capsule.agent, "agent");
}

void lint_times(const Draft& draft, LintReport& report) {
  const Capsule& capsule = draft.capsule;
  const std::string lease = format_duration_ms(capsule.lease_ttl_ms);
  if (capsule.lease_ttl_ms > limits::kLeaseRemarkMs) {
    report.note("capsule.lease.ttl", "a lease of " + lease + " is long",
                "a stolen or confused agent acts for as long as this");
  }
  const std::string bound = format_duration_ms(limits::kLongLeaseMs);
  if (capsule.lease_ttl_ms > limits::kLongLeaseMs && !capsule.long_lease) {
    report.error(Code::long_lease, "capsule.lease.ttl",
                 "a lease of " + lease + " is above " + bound + " and not declared as long",
                 "shorten it, or write long = true beside it: every record then says so");
  } else if (capsule.long_lease && capsule.lease_ttl_ms <= limits::kLongLeaseMs) {
    report.error(Code::long_lease, "capsule.lease.long",
                 "a lease of " + lease + " is not above " + bound, "leave long out");
  }
  if (draft.window_for_s > limits::kLongWindowS) {
    report.note("capsule.window.for",
                "a window of " + format_duration_ms(draft.window_for_s * kMsPerS) + " is long",
                "it need only last as long as the transport to the node");
  }
  if (draft.window_for_s > 0 && capsule.lease_ttl_ms > draft.window_for_s * kMsPerS) {
    report.note("capsule.lease.ttl", "the lease is longer than the window, whose end ends it",
                "shorten the lease, or lengthen the window");
  }
  if (!capsule.end_on.violation) {
    report.note("capsule.end_on.violation", "a tool that breaks its sandbox does not end the task",
                "leave it out: it is true by default");
  }
  if (capsule.log_all_arguments) {
    report.note("capsule.log.arguments", "every argument is written in the log in full",
                "\"digest\" proves them without showing them");
  }
}

void lint_issuer(const Draft& draft, const TrustRoot* root, const KeyId* id, LintReport& report) {
  if (root == nullptr || id == nullptr) return;
  const Issuer* issuer = root->issuer(*id);
  if (issuer == nullptr) {
    report.error(Code::signer_unknown, "capsule", "the key is not an issuer of this trust root",
                 "sign with a key that 'taper root show' lists as an issuer");
    return;
  }
  const Capsule& capsule = draft.capsule;
  const IssuerLimits& most = issuer->limits;
  const auto above = [&report](const char* path, std::int64_t ms, std::int64_t limit_ms) {
    if (ms <= limit_ms) return;
    report.error(
        Code::issuer_limit, path,
        format_duration_ms(ms) + " is above the issuer's limit of " + format_duration_ms(limit_ms),
        "use at most " + format_duration_ms(limit_ms) + ", or have the root raise the limit");
  };
  above("capsule.lease.ttl", capsule.lease_ttl_ms, most.max_ttl_ms);
  if (capsule.long_lease && !most.long_leases) {
    report.error(Code::issuer_limit, "capsule.lease.long", "this issuer may not give long leases",
                 "use at most " + format_duration_ms(limits::kLongLeaseMs) +
                     ", or have the root allow it ('taper root init --long-leases')");
  }
  above("capsule.window.for", draft.window_for_s * kMsPerS, most.max_validity_s * kMsPerS);
  above("capsule.freshness.max_revocation_age", capsule.max_revocation_age_s * kMsPerS,
        most.max_revocation_age_s * kMsPerS);
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    const std::string& tool = capsule.grants[i].tool;
    if (most.all_tools || std::ranges::find(most.tools, tool) != most.tools.end()) continue;
    report.error(Code::issuer_limit, "grant[" + std::to_string(i) + "].tool",
                 "this issuer may not grant '" + tool + "'",
                 "'taper root show' lists the tools it may grant");
  }
}

void lint_effect(const Grant& grant, const KnownTool& tool, const std::string& path,
                 LintReport& report) {
  const std::string words = "the tool's effect is '" + std::string(word(tool.effect)) +
                            "', the grant says '" + std::string(word(grant.effect)) + "'";
  if (grant.effect < tool.effect) {
    report.error(Code::effect_exceeds, path + ".effect", words,
                 "write effect = \"" + std::string(word(tool.effect)) + "\"");
  } else if (grant.effect > tool.effect) {
    report.note(path + ".effect", words, "state the tool's own effect");
  }
}

void lint_pin(const Grant& grant, const KnownTool& tool, const std::string& path,
              LintReport& report) {
  if (grant.digest_kind == DigestKind::unpinned) {
    report.note(path + ".digest", "the tool is not pinned: whatever has its name will run",
                tool.digest ? "write digest = \"" + tool.digest->hex() + "\""
                            : "pin it by the digest of 'taper tools list --json'");
  }
  if (grant.digest_kind == DigestKind::pinned && tool.digest && *tool.digest != grant.digest) {
    report.error(Code::tool_digest, path + ".digest", "the node's tool has another digest",
                 "write digest = \"" + tool.digest->hex() + "\" if that tool is the one meant");
  }
}

void lint_arguments(const Grant& grant, const KnownTool& tool, const std::string& path,
                    LintReport& report) {
  std::set<std::string, std::less<>> names;
  for (const InputSpec& input : tool.inputs) names.insert(input.name);
  const bool irreversible = std::max(grant.effect, tool.effect) == Effect::irreversible;
  for (const ArgRule& rule : grant.args) {
    const std::string place = path + ".args." + rule.name;
    const auto input = std::ranges::find(tool.inputs, rule.name, &InputSpec::name);
    if (input == tool.inputs.end()) {
      const std::string near = nearest(rule.name, names);
      std::string known = "the tool takes:";
      for (const std::string& name : names) known += " " + name;
      report.error(Code::tool_input, place,
                   "'" + grant.tool + "' has no argument '" + rule.name + "'",
                   near.empty() ? known : "did you mean '" + near + "'?");
      continue;
    }
    if (irreversible && is_wildcard(rule.all)) {
      report.error(Code::source_invalid, place, "\"any\" on a tool whose effect cannot be undone",
                   "name the values that are meant: equals, one_of, under or bounds");
    }
    lint_rule(rule, *input, place, report);
    lint_trees(rule, tool, place, report);
  }
  for (const InputSpec& input : tool.inputs) {
    if (input.optional ||
        std::ranges::find(grant.args, input.name, &ArgRule::name) != grant.args.end()) {
      continue;
    }
    report.error(Code::argument_missing, path + ".args",
                 "the tool needs '" + input.name + "', which this grant never allows",
                 "add " + input.name + " = { … } to args");
  }
}

void lint_grant(const Grant& grant, const KnownTools& tools, const std::string& path,
                LintReport& report) {
  const auto found = tools.find(grant.tool);
  if (found == tools.end()) {
    report.error(Code::tool_missing, path + ".tool", "the tool '" + grant.tool + "' is not known",
                 "give the node's tools with --tools FILE ('taper tools list --json')");
    return;
  }
  const KnownTool& tool = found->second;
  if (tool.agent) {
    report.error(Code::tool_missing, path + ".tool",
                 "'" + grant.tool + "' is an agent's program, which nobody calls",
                 "name it in [agent], or grant a tool");
    return;
  }
  lint_effect(grant, tool, path, report);
  lint_pin(grant, tool, path, report);
  lint_arguments(grant, tool, path, report);
  lint_released(grant, tool, path, report);
  if (grant.effect != Effect::read && !grant.budget.calls) {
    report.note(path + ".budget", "calls that write are not counted",
                "add budget = { calls = … }: the lease alone bounds them");
  }
  if (std::ranges::find(grant.verbs, Verb::call) == grant.verbs.end()) {
    report.note(path + ".verbs", "without the verb 'call' the tool is never run",
                "add \"call\", or leave verbs out");
  }
}

// Pinned always, so that what its author saw is what runs.
void lint_agent(const AgentEntry& agent, const KnownTools& tools, LintReport& report) {
  const auto found = tools.find(agent.program);
  if (found == tools.end() || !found->second.agent) {
    report.error(
        Code::tool_missing, "agent.program", "the program '" + agent.program + "' is not known",
        "declare it on the node (kind = \"agent\"), and give the node's tools with --tools "
        "FILE ('taper tools list --json')");
  } else if (found->second.digest && *found->second.digest != agent.digest) {
    report.error(
        Code::tool_digest, "agent.digest", "the node's program has another digest",
        "write digest = \"" + found->second.digest->hex() + "\" if that program is the one meant");
  }
}

// An agent asks for what it is shown.
void lint_session(const Capsule& capsule, LintReport& report) {
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    if (std::ranges::find(capsule.grants[i].verbs, Verb::discover) != capsule.grants[i].verbs.end())
      continue;
    report.note("grant[" + std::to_string(i) + "].verbs",
                "without the verb 'discover' the agent is not shown the tool",
                "add \"discover\", or leave verbs out");
  }
}

}  // namespace

Place LintReport::place(const std::string& path) const {
  std::string part = path;
  while (true) {
    const auto found = draft_.lines.find(part);
    if (found != draft_.lines.end() && found->second != 0) return {path, found->second};
    const std::size_t dot = part.rfind('.');
    if (dot == part.npos) return {path, 0};
    part.resize(dot);
  }
}

std::vector<Finding> lint(const Draft& draft, const KnownTools& tools, const TrustRoot* root,
                          const KeyId* issuer) {
  LintReport report(draft);
  const Capsule& capsule = draft.capsule;
  lint_texts(capsule, report);
  lint_times(draft, report);
  lint_issuer(draft, root, issuer, report);
  if (capsule.grants.empty()) {
    report.error(Code::field_missing, "grant", "no [[grant]]: nothing would be allowed",
                 "add a [[grant]] for each tool");
  }
  for (std::size_t i = 0; i < capsule.grants.size(); ++i) {
    lint_grant(capsule.grants[i], tools, "grant[" + std::to_string(i) + "]", report);
  }
  lint_grants(capsule, tools, report);
  lint_secrets(capsule, report);
  lint_reach(capsule, report);
  if (capsule.entry == EntryKind::plan) lint_plan(capsule, tools, report);
  if (capsule.entry != EntryKind::plan) lint_session(capsule, report);
  if (capsule.entry == EntryKind::agent) lint_agent(capsule.agent_entry, tools, report);
  return report.take();
}

}  // namespace taper::capsules
