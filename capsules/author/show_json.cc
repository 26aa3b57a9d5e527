#include <boost/json.hpp>

#include "capsules/author/author.h"
#include "capsules/author/show_rules.h"
#include "capsules/author/words.h"
#include "crypto/key_file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

namespace json = boost::json;

json::value optional_json(const std::optional<std::int64_t>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::value time_json(const std::optional<std::int64_t>& unix_s) {
  return unix_s ? json::value(text_json(format_utc_s(*unix_s))) : json::value(nullptr);
}

json::array keys_json(const std::vector<PublicKey>& keys) {
  json::array out;
  for (const PublicKey& key : keys) out.emplace_back(text_json(crypto::public_key_text(key)));
  return out;
}

json::object budget_json(const Budget& budget) {
  json::value rate = nullptr;
  if (budget.rate) {
    rate = json::object{{"count", budget.rate->count}, {"per_ms", budget.rate->per_ms}};
  }
  json::value sum = nullptr;
  if (budget.sum) {
    sum = json::object{{"argument", text_json(budget.sum->argument)}, {"most", budget.sum->most}};
  }
  return {{"calls", optional_json(budget.calls)},
          {"rate", std::move(rate)},
          {"bytes", optional_json(budget.bytes)},
          {"cpu_ms", optional_json(budget.cpu_ms)},
          {"sum", std::move(sum)}};
}

json::object cell_json(const CellLimits& cell) {
  return {{"output_bytes", optional_json(cell.output_bytes)},
          {"memory_bytes", optional_json(cell.memory_bytes)},
          {"processes", optional_json(cell.processes)},
          {"cpu_s", optional_json(cell.cpu_s)},
          {"wall_ms", optional_json(cell.wall_ms)}};
}

json::array verbs_json(const std::vector<Verb>& verbs) {
  json::array out;
  for (const Verb verb : verbs) out.emplace_back(word(verb));
  return out;
}

json::object grant_json(const Grant& grant) {
  json::value digest = nullptr;
  if (grant.digest_kind == DigestKind::pinned) digest = text_json(grant.digest.hex());
  if (grant.digest_kind == DigestKind::builtin) digest = "builtin";
  if (grant.digest_kind == DigestKind::unpinned) digest = "unpinned";
  json::value idempotency = nullptr;
  if (!grant.idempotency.empty()) idempotency = text_json(grant.idempotency);
  return {{"id", text_json(grant.id)},           {"tool", text_json(grant.tool)},
          {"digest", std::move(digest)},         {"effect", word(grant.effect)},
          {"verbs", verbs_json(grant.verbs)},    {"args", rules_json(grant.args)},
          {"budget", budget_json(grant.budget)}, {"secrets", texts_json(grant.secrets)},
          {"labels", texts_json(grant.labels)},  {"refuse_after", texts_json(grant.refuse_after)},
          {"after", texts_json(grant.after)},    {"idempotency", std::move(idempotency)},
          {"cell", cell_json(grant.cell)}};
}

json::value number_or_null(bool there, std::int64_t number) {
  return there ? json::value(number) : json::value(nullptr);
}

json::value result_json(const std::optional<ResultRule>& rule) {
  if (!rule) return nullptr;
  json::array readers;
  for (const Hash& reader : rule->readers) readers.emplace_back(text_json(reader.hex()));
  return json::object{{"readers", std::move(readers)},
                      {"retention_ms", rule->retention_ms},
                      {"reads", rule->reads}};
}

json::value plan_json(const Capsule& capsule) {
  if (capsule.entry != EntryKind::plan) return nullptr;
  json::array steps;
  for (const Step& step : capsule.plan.steps) {
    const Result<Object> arguments = parse_arguments(as_bytes(step.args));
    json::value args = arguments ? value_json(Value(*arguments)) : json::value(nullptr);
    const bool retries = step.on_error == OnError::retry;
    const bool each = !step.for_each.empty();
    const Result<Value> items = parse_value(as_bytes(step.for_each), limits::kCapsuleBytesMax);
    steps.emplace_back(json::object{{"id", text_json(step.id)},
                                    {"tool", text_json(step.tool)},
                                    {"args", std::move(args)},
                                    {"needs", texts_json(step.needs)},
                                    {"on_error", word(step.on_error)},
                                    {"retries", number_or_null(retries, step.retries)},
                                    {"backoff_ms", number_or_null(retries, step.backoff_ms)},
                                    {"for_each", items ? value_json(*items) : json::value(nullptr)},
                                    {"for_each_max", number_or_null(each, step.for_each_max)}});
  }
  return json::object{{"inputs", texts_json(capsule.plan.inputs)}, {"steps", std::move(steps)}};
}

json::value agent_json(const Capsule& capsule) {
  if (capsule.entry != EntryKind::agent) return nullptr;
  const AgentEntry& agent = capsule.agent_entry;
  return json::object{{"program", text_json(agent.program)},
                      {"digest", text_json(agent.digest.hex())},
                      {"cell", cell_json(agent.cell)}};
}

json::object window_json(std::optional<std::int64_t> from, std::optional<std::int64_t> to) {
  return {{"not_before", time_json(from)},
          {"not_before_s", optional_json(from)},
          {"not_after", time_json(to)},
          {"not_after_s", optional_json(to)}};
}

json::object end_on_json(const EndOn& end) {
  return {{"completion", end.completion}, {"failure", end.failure},
          {"denials", end.denials},       {"violation", end.violation},
          {"tool_drift", end.tool_drift}, {"policy_drift", end.policy_drift},
          {"clock_step", end.clock_step}};
}

json::array blocks_json(const std::vector<Block>& blocks) {
  json::array out;
  for (const Block& block : blocks) {
    json::array grants;
    for (const KeptGrant& kept : block.grants) {
      grants.emplace_back(json::object{{"id", text_json(kept.id)},
                                       {"parent", text_json(kept.parent)},
                                       {"verbs", verbs_json(kept.verbs)},
                                       {"args", rules_json(kept.args)},
                                       {"budget", budget_json(kept.budget)},
                                       {"labels", texts_json(kept.labels)},
                                       {"refuse_after", texts_json(kept.refuse_after)}});
    }
    out.emplace_back(
        json::object{{"previous", text_json(block.previous.hex())},
                     {"holder", text_json(crypto::public_key_text(block.holder))},
                     {"grants", std::move(grants)},
                     {"lease", json::object{{"ttl_ms", optional_json(block.lease_ttl_ms)},
                                            {"idle_ms", optional_json(block.lease_idle_ms)}}},
                     {"window", window_json(block.not_before_s, block.not_after_s)}});
  }
  return out;
}

json::array issuers_json(const std::vector<Issuer>& issuers) {
  json::array out;
  for (const Issuer& issuer : issuers) {
    const IssuerLimits& limits = issuer.limits;
    out.emplace_back(
        json::object{{"key", text_json(crypto::public_key_text(issuer.key))},
                     {"not_before_s", optional_json(issuer.not_before_s)},
                     {"not_after_s", optional_json(issuer.not_after_s)},
                     {"device", word(issuer.device)},
                     {"limits", json::object{{"max_ttl_ms", limits.max_ttl_ms},
                                             {"long_leases", limits.long_leases},
                                             {"max_validity_s", limits.max_validity_s},
                                             {"max_revocation_age_s", limits.max_revocation_age_s},
                                             {"all_tools", limits.all_tools},
                                             {"tools", texts_json(limits.tools)}}}});
  }
  return out;
}

}  // namespace

std::string show_json(const UntrustedCapsule& shown) {
  const Capsule& capsule = shown.root;
  json::array signers;
  for (const KeyId& signer : shown.signers) signers.emplace_back(text_json(signer.hex()));
  json::array grants;
  for (const Grant& grant : capsule.grants) grants.emplace_back(grant_json(grant));
  json::array secrets;
  for (const SealedSecret& secret : capsule.secrets)
    secrets.emplace_back(
        json::object{{"name", text_json(secret.name)}, {"box_bytes", secret.box.size()}});
  const json::object out{
      {"id", text_json(shown.id.hex())},
      {"chain", text_json(shown.chain.hex())},
      {"signers", std::move(signers)},
      {"signatures_checked", shown.signatures_checked},
      {"issuer", text_json(capsule.issuer.hex())},
      {"serial", capsule.serial},
      {"issued_at", time_json(capsule.issued_at_s)},
      {"issued_at_s", capsule.issued_at_s},
      {"fleet", text_json(capsule.fleet.hex())},
      {"tenant", text_json(capsule.tenant)},
      {"purpose", text_json(capsule.purpose)},
      {"requester", text_json(capsule.requester)},
      {"agent", text_json(capsule.agent)},
      {"holder", text_json(crypto::public_key_text(capsule.holder))},
      {"audience", json::object{{"node", text_json(crypto::public_key_text(capsule.audience.node))},
                                {"incarnation", text_json(capsule.audience.incarnation.hex())}}},
      {"window", window_json(capsule.not_before_s, capsule.not_after_s)},
      {"activations", capsule.activations},
      {"lease", json::object{{"ttl_ms", capsule.lease_ttl_ms},
                             {"idle_ms", capsule.lease_idle_ms},
                             {"long", capsule.long_lease}}},
      {"freshness", json::object{{"max_revocation_age_s", capsule.max_revocation_age_s},
                                 {"time", word(capsule.time_assurance)}}},
      {"offline", capsule.offline
                      ? json::value(json::object{{"ttl_ms", capsule.offline->max_ttl_ms},
                                                 {"idle_ms", capsule.offline->max_idle_ms}})
                      : nullptr},
      {"end_on", end_on_json(capsule.end_on)},
      {"min_tier", word(capsule.min_tier)},
      {"entry", word(capsule.entry)},
      {"delegation", json::object{{"max_depth", capsule.max_depth}}},
      {"log", json::object{{"arguments", capsule.log_all_arguments ? "all" : "digest"},
                           {"except", texts_json(capsule.log_except)},
                           {"quota_bytes", capsule.log_quota_bytes}}},
      {"cell", cell_json(capsule.cell)},
      {"grants", std::move(grants)},
      {"secrets", std::move(secrets)},
      {"plan", plan_json(capsule)},
      {"agent_entry", agent_json(capsule)},
      {"result", result_json(capsule.result)},
      {"blocks", blocks_json(shown.blocks)}};
  return json::serialize(out);
}

std::string show_root_json(const TrustRoot& root) {
  const TrustRootData& data = root.data();
  const json::object out{
      {"fleet", text_json(root.fleet().hex())},
      {"version", data.version},
      {"hash", text_json(root.hash().hex())},
      {"previous", data.previous ? json::value(text_json(data.previous->hex())) : nullptr},
      {"issued_at", time_json(data.issued_at_s)},
      {"issued_at_s", data.issued_at_s},
      {"expires", time_json(data.expires_s)},
      {"time_reset", data.time_reset},
      {"root_keys", keys_json(data.root_keys)},
      {"root_threshold", data.root_threshold},
      {"issuers", issuers_json(data.issuers)},
      {"issuer_threshold", data.issuer_threshold},
      {"approvers", keys_json(data.approvers)},
      {"publishers", keys_json(data.publishers)},
      {"revokers", keys_json(data.revokers)},
      {"registrars", keys_json(data.registrars)},
      {"time_keys", keys_json(data.time_keys)},
      {"auditors", keys_json(data.auditors)},
      {"allocators", keys_json(data.allocators)}};
  return json::serialize(out);
}

}  // namespace taper::capsules
