#include <algorithm>
#include <limits>

#include "capsules/author/author.h"
#include "capsules/author/words.h"
#include "crypto/key_file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

constexpr std::int64_t kMsPerS = 1000;
constexpr std::size_t kColumn = 14;

// Lines of "label  value" in two columns. Values are escaped here, once.
class Page {
 public:
  void line(std::string_view label, std::string_view value, std::size_t indent = 0) {
    std::string left(indent, ' ');
    left += escape_text(label);
    if (left.size() < kColumn) left.resize(kColumn, ' ');
    out_ += left + ' ' + escape_text(value) + '\n';
  }
  void heading(std::string_view kind, std::string_view name) {
    out_ += '\n' + std::string(kind);
    if (!name.empty()) out_ += ' ' + escape_text(name);
    out_ += '\n';
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string added(const std::string& list, const std::string& item) {
  return list.empty() ? item : list + ", " + item;
}

std::string remaining(std::int64_t at_s, std::optional<std::int64_t> now_s) {
  if (!now_s) return "";
  if (at_s <= *now_s) return " (passed)";
  constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max() / (2 * kMsPerS);
  const std::int64_t left = std::min(at_s, kFar) - std::max(*now_s, -kFar);
  return " (in " + format_duration_ms(left * kMsPerS) + ")";
}

std::string ends_on(const EndOn& end) {
  std::string out;
  if (end.completion) out = added(out, "completion");
  if (end.failure) out = added(out, "failure");
  out = added(out, std::to_string(end.denials) + (end.denials == 1 ? " denial" : " denials"));
  if (end.violation) out = added(out, "violation");
  if (end.tool_drift) out = added(out, "tool drift");
  if (end.policy_drift) out = added(out, "policy drift");
  if (end.clock_step) out = added(out, "clock step");
  return out;
}

// Empty: nothing is bounded.
std::string bounds_text(const Budget& budget) {
  std::string out;
  if (budget.calls) out = added(out, "calls " + std::to_string(*budget.calls));
  if (budget.rate) {
    out = added(out, "rate " + std::to_string(budget.rate->count) + " in " +
                         format_duration_ms(budget.rate->per_ms));
  }
  if (budget.bytes) out = added(out, "bytes " + std::to_string(*budget.bytes));
  if (budget.cpu_ms) out = added(out, "cpu " + format_duration_ms(*budget.cpu_ms));
  if (budget.sum) {
    out = added(out, "sum of " + budget.sum->argument + " " + std::to_string(budget.sum->most));
  }
  return out;
}

std::string budget_text(const Budget& budget) {
  const std::string out = bounds_text(budget);
  return out.empty() ? "none: bounded by lease and log quota" : out;
}

std::string list_text(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out = added(out, name);
  return out;
}

void show_names(Page& page, std::string_view label, const std::vector<std::string>& names) {
  if (!names.empty()) page.line(label, list_text(names), 2);
}

std::string cell_text(const CellLimits& cell) {
  std::string out;
  if (cell.output_bytes) out = added(out, "output_bytes " + std::to_string(*cell.output_bytes));
  if (cell.memory_bytes) out = added(out, "memory_bytes " + std::to_string(*cell.memory_bytes));
  if (cell.processes) out = added(out, "processes " + std::to_string(*cell.processes));
  if (cell.cpu_s) out = added(out, "cpu " + format_duration_ms(*cell.cpu_s * kMsPerS));
  if (cell.wall_ms) out = added(out, "wall " + format_duration_ms(*cell.wall_ms));
  return out;
}

std::string digest_text(const Grant& grant) {
  switch (grant.digest_kind) {
    case DigestKind::builtin: return "builtin, pinned by version";
    case DigestKind::pinned: return grant.digest.hex();
    case DigestKind::unpinned: return "UNPINNED: any tool of this name";
    case DigestKind::unset: break;
  }
  return "unset";
}

void show_rules(Page& page, const std::vector<ArgRule>& rules) {
  if (rules.empty()) page.line("arguments", "none", 2);
  for (const ArgRule& rule : rules) {
    std::string text;
    for (const Constraint& constraint : rule.all) {
      text = added(text, describe_constraint(constraint));
    }
    page.line("arg " + rule.name, rule.optional ? added(text, "optional") : text, 2);
  }
}

void show_verbs(Page& page, const std::vector<Verb>& all) {
  std::string verbs;
  for (const Verb verb : all) verbs = added(verbs, std::string(word(verb)));
  page.line("verbs", verbs, 2);
}

void show_grant(Page& page, const Grant& grant) {
  page.heading("grant", grant.id);
  page.line("tool", grant.tool, 2);
  page.line("digest", digest_text(grant), 2);
  page.line("effect", word(grant.effect), 2);
  show_verbs(page, grant.verbs);
  show_rules(page, grant.args);
  page.line("budget", budget_text(grant.budget), 2);
  show_names(page, "labels", grant.labels);
  show_names(page, "refuse after", grant.refuse_after);
  show_names(page, "after", grant.after);
  if (!grant.idempotency.empty()) page.line("idempotency", grant.idempotency, 2);
  const std::string cell = cell_text(grant.cell);
  if (!cell.empty()) page.line("cell", cell, 2);
  std::string secrets;
  for (const std::string& name : grant.secrets) secrets = added(secrets, name);
  if (!secrets.empty()) page.line("secrets", secrets, 2);
}

std::string on_error_text(const Step& step) {
  if (step.on_error != OnError::retry) return std::string(word(step.on_error));
  const std::string calls = step.retries == 1 ? " more call" : " more calls";
  return "retry: at most " + std::to_string(step.retries) + calls + ", " +
         format_duration_ms(step.backoff_ms) + " before each; then stop";
}

void show_result(Page& page, const ResultRule& rule) {
  page.heading("result", "");
  page.line("kept for", format_duration_ms(rule.retention_ms) + " after the task's end", 2);
  page.line("reads", std::to_string(rule.reads) + " of each result", 2);
  for (const Hash& reader : rule.readers) page.line("reader", reader.hex(), 2);
}

void show_plan(Page& page, const Plan& plan) {
  page.heading("plan", "");
  std::string inputs;
  for (const std::string& input : plan.inputs) inputs = added(inputs, input);
  page.line("inputs", inputs.empty() ? "none" : inputs, 2);
  std::size_t number = 0;
  for (const Step& step : plan.steps) {
    page.line("step " + std::to_string(++number), step.id + ": " + step.tool + " " + step.args, 2);
    std::string needs;
    for (const std::string& need : step.needs) needs = added(needs, need);
    if (!needs.empty()) page.line("needs", needs, 4);
    if (step.on_error != OnError::stop) page.line("on_error", on_error_text(step), 4);
    if (step.for_each.empty()) continue;
    page.line("for each of", step.for_each, 4);
    page.line("items", "at most " + std::to_string(step.for_each_max), 4);
  }
}

void show_agent(Page& page, const AgentEntry& agent) {
  page.heading("agent", agent.program);
  page.line("digest", agent.digest.hex(), 2);
  const std::string cell = cell_text(agent.cell);
  if (!cell.empty()) page.line("cell", cell, 2);
}

void show_block(Page& page, const Block& block, std::size_t number,
                std::optional<std::int64_t> now_s) {
  page.heading("block", std::to_string(number));
  page.line("holder", crypto::public_key_text(block.holder), 2);
  page.line("previous", block.previous.hex(), 2);
  if (block.lease_ttl_ms) page.line("ttl", format_duration_ms(*block.lease_ttl_ms), 2);
  if (block.lease_idle_ms) page.line("idle", format_duration_ms(*block.lease_idle_ms), 2);
  if (block.not_before_s) {
    page.line("not before",
              format_utc_s(*block.not_before_s) + remaining(*block.not_before_s, now_s), 2);
  }
  if (block.not_after_s) {
    page.line("not after", format_utc_s(*block.not_after_s) + remaining(*block.not_after_s, now_s),
              2);
  }
  for (const KeptGrant& kept : block.grants) {
    page.line("keeps", kept.id + " (of " + kept.parent + ")", 2);
    if (!kept.verbs.empty()) show_verbs(page, kept.verbs);
    if (!kept.args.empty()) show_rules(page, kept.args);
    const std::string bounds = bounds_text(kept.budget);
    if (!bounds.empty()) page.line("budget", bounds, 2);
    show_names(page, "labels", kept.labels);
    show_names(page, "refuse after", kept.refuse_after);
  }
}

void show_identity(Page& page, const UntrustedCapsule& shown) {
  const Capsule& capsule = shown.root;
  page.line("capsule", shown.id.hex());
  page.line("issuer", capsule.issuer.hex());
  page.line("serial", std::to_string(capsule.serial));
  for (const KeyId& signer : shown.signers) page.line("signer", signer.hex());
  page.line("signatures", shown.signatures_checked ? "verified" : "NOT CHECKED");
  page.line("fleet", capsule.fleet.hex());
  page.line("tenant", capsule.tenant);
  page.line("purpose", capsule.purpose);
  page.line("requester", capsule.requester);
  page.line("agent", capsule.agent);
  page.line("holder", crypto::public_key_text(capsule.holder));
  page.line("node", crypto::public_key_text(capsule.audience.node));
  page.line("incarnation", capsule.audience.incarnation.hex());
}

void show_terms(Page& page, const Capsule& capsule, std::optional<std::int64_t> now_s) {
  page.line("issued at", format_utc_s(capsule.issued_at_s));
  page.line("not before",
            format_utc_s(capsule.not_before_s) + remaining(capsule.not_before_s, now_s));
  page.line("not after", format_utc_s(capsule.not_after_s) + remaining(capsule.not_after_s, now_s));
  page.line("activations", std::to_string(capsule.activations));
  page.line("lease", "ttl " + format_duration_ms(capsule.lease_ttl_ms) + ", idle " +
                         format_duration_ms(capsule.lease_idle_ms));
  if (capsule.long_lease)
    page.line("LONG LEASE", "above " + format_duration_ms(limits::kLongLeaseMs) +
                                ": an exception, in every record of its tasks");
  page.line("freshness", "news at most " +
                             format_duration_ms(capsule.max_revocation_age_s * kMsPerS) +
                             " old, time " + std::string(word(capsule.time_assurance)));
  if (capsule.offline)
    page.line("not anchored", "lease ttl " + format_duration_ms(capsule.offline->max_ttl_ms) +
                                  ", idle " + format_duration_ms(capsule.offline->max_idle_ms));
  page.line("ends on", ends_on(capsule.end_on));
  page.line("minimum tier", word(capsule.min_tier));
  page.line("entry", word(capsule.entry));
  page.line("delegation", "at most " + std::to_string(capsule.max_depth) + " blocks");
  std::string log = capsule.log_all_arguments ? "all arguments" : "argument digests";
  if (!capsule.log_except.empty()) log += " but " + list_text(capsule.log_except);
  page.line("log", log + ", at most " + std::to_string(capsule.log_quota_bytes) + " bytes");
  const std::string cell = cell_text(capsule.cell);
  if (!cell.empty()) page.line("cell", cell);
}

void show_keys(Page& page, std::string_view role, const std::vector<PublicKey>& keys) {
  for (const PublicKey& key : keys) page.line(role, crypto::public_key_text(key));
}

void show_issuer(Page& page, const Issuer& issuer) {
  page.heading("issuer", crypto::public_key_text(issuer.key));
  const IssuerLimits& limits = issuer.limits;
  if (issuer.not_before_s) page.line("from", format_utc_s(*issuer.not_before_s), 2);
  if (issuer.not_after_s) page.line("until", format_utc_s(*issuer.not_after_s), 2);
  if (issuer.device != crypto::Device::none) {
    page.line("key in", "a security key, user " + std::string(word(issuer.device)), 2);
  }
  page.line("max ttl", format_duration_ms(limits.max_ttl_ms), 2);
  page.line("max validity", format_duration_ms(limits.max_validity_s * kMsPerS), 2);
  page.line("max news age", format_duration_ms(limits.max_revocation_age_s * kMsPerS), 2);
  std::string tools;
  for (const std::string& tool : limits.tools) tools = added(tools, tool);
  if (limits.long_leases)
    page.line("long leases", "allowed, above " + format_duration_ms(taper::limits::kLongLeaseMs),
              2);
  page.line("tools", limits.all_tools ? "all" : tools.empty() ? "none" : tools, 2);
}

}  // namespace

std::string show_text(const UntrustedCapsule& capsule, std::optional<std::int64_t> now_s) {
  Page page;
  show_identity(page, capsule);
  show_terms(page, capsule.root, now_s);
  for (const Grant& grant : capsule.root.grants) show_grant(page, grant);
  for (const SealedSecret& secret : capsule.root.secrets) {
    page.heading("secret", secret.name);
    page.line("box", std::to_string(secret.box.size()) + " bytes, sealed: the node alone opens it",
              2);
  }
  if (capsule.root.entry == EntryKind::plan) show_plan(page, capsule.root.plan);
  if (capsule.root.entry == EntryKind::agent) show_agent(page, capsule.root.agent_entry);
  if (capsule.root.result) show_result(page, *capsule.root.result);
  std::size_t number = 0;
  for (const Block& block : capsule.blocks) show_block(page, block, ++number, now_s);
  return page.take();
}

std::string show_root_text(const TrustRoot& root) {
  const TrustRootData& data = root.data();
  Page page;
  page.line("fleet", root.fleet().hex());
  page.line("version", std::to_string(data.version));
  page.line("hash", root.hash().hex());
  if (data.previous) page.line("previous", data.previous->hex());
  page.line("issued at", format_utc_s(data.issued_at_s));
  page.line("expires", data.expires_s ? format_utc_s(*data.expires_s) : "never");
  if (data.time_reset)
    page.line("time reset", "what was signed about the time before counts no more");
  page.line("root threshold", std::to_string(data.root_threshold));
  show_keys(page, "root key", data.root_keys);
  page.line("threshold", std::to_string(data.issuer_threshold) + " issuer signatures a capsule");
  show_keys(page, "approver", data.approvers);
  show_keys(page, "publisher", data.publishers);
  show_keys(page, "revoker", data.revokers);
  show_keys(page, "registrar", data.registrars);
  show_keys(page, "time key", data.time_keys);
  show_keys(page, "auditor", data.auditors);
  show_keys(page, "allocator", data.allocators);
  for (const Issuer& issuer : data.issuers) show_issuer(page, issuer);
  return page.take();
}

}  // namespace taper::capsules
