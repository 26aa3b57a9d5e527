#include <algorithm>

#include "capsule_generated.h"
#include "capsules/author/author.h"
#include "capsules/author/encode_rules.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
template <class T>
using Offset = flatbuffers::Offset<T>;
template <class T>
using Items = std::vector<Offset<T>>;

Error missing(std::string field) {
  return Error(Code::field_missing, ErrorDetail{std::move(field), "a value", "nothing", ""});
}

flatbuffers::Optional<std::int64_t> optional_long(std::optional<std::int64_t> value) {
  if (!value) return flatbuffers::nullopt;
  return *value;
}

template <class IdType>
auto id_bytes(Builder& fbb, const IdType& id) {
  return fbb.CreateVector(id.bytes.data(), id.bytes.size());
}

Offset<wire::Budget> write_budget(Builder& fbb, const Budget& budget) {
  Offset<wire::Rate> rate;
  if (budget.rate) rate = wire::CreateRate(fbb, budget.rate->count, budget.rate->per_ms);
  Offset<wire::Sum> sum;
  if (budget.sum) {
    const auto argument = fbb.CreateString(budget.sum->argument);
    sum = wire::CreateSum(fbb, argument, budget.sum->most);
  }
  return wire::CreateBudget(fbb, optional_long(budget.calls), rate, optional_long(budget.bytes),
                            optional_long(budget.cpu_ms), sum);
}

using TextList = Offset<flatbuffers::Vector<Offset<flatbuffers::String>>>;

// Absent where it is empty.
TextList write_names(Builder& fbb, const std::vector<std::string>& names) {
  return names.empty() ? TextList() : fbb.CreateVectorOfStrings(names);
}

Offset<wire::Cell> write_cell(Builder& fbb, const CellLimits& cell) {
  const bool any =
      cell.output_bytes || cell.memory_bytes || cell.processes || cell.cpu_s || cell.wall_ms;
  if (!any) return 0;
  return wire::CreateCell(fbb, 0, 0, optional_long(cell.output_bytes),
                          optional_long(cell.memory_bytes), optional_long(cell.processes),
                          optional_long(cell.cpu_s), optional_long(cell.wall_ms));
}

using VerbList = Offset<flatbuffers::Vector<wire::Verb>>;

VerbList write_verbs(Builder& fbb, const std::vector<Verb>& all) {
  std::vector<std::uint8_t> verbs;
  for (const Verb verb : all) verbs.push_back(static_cast<std::uint8_t>(verb));
  return fbb.CreateVectorScalarCast<wire::Verb>(verbs.data(), verbs.size());
}

Offset<wire::Grant> write_grant(Builder& fbb, const Grant& grant) {
  const auto id = fbb.CreateString(grant.id);
  const auto tool = fbb.CreateString(grant.tool);
  Offset<flatbuffers::Vector<std::uint8_t>> digest;
  if (grant.digest_kind == DigestKind::pinned) digest = id_bytes(fbb, grant.digest);
  const VerbList verb_list = write_verbs(fbb, grant.verbs);
  const auto args = write_rules(fbb, grant.args);
  const auto budget = write_budget(fbb, grant.budget);
  const auto cell = write_cell(fbb, grant.cell);
  Offset<flatbuffers::Vector<Offset<flatbuffers::String>>> secrets;
  if (!grant.secrets.empty()) secrets = fbb.CreateVectorOfStrings(grant.secrets);
  const TextList labels = write_names(fbb, grant.labels);
  const TextList refuse_after = write_names(fbb, grant.refuse_after);
  const TextList after = write_names(fbb, grant.after);
  Offset<flatbuffers::String> idempotency;
  if (!grant.idempotency.empty()) idempotency = fbb.CreateString(grant.idempotency);
  wire::GrantBuilder out(fbb);
  out.add_id(id);
  out.add_tool(tool);
  out.add_digest_kind(static_cast<wire::DigestKind>(grant.digest_kind));
  if (!digest.IsNull()) out.add_digest(digest);
  out.add_verbs(verb_list);
  out.add_args(args);
  out.add_budget(budget);
  out.add_effect(static_cast<wire::Effect>(grant.effect));
  if (!cell.IsNull()) out.add_cell(cell);
  if (!secrets.IsNull()) out.add_secrets(secrets);
  if (!labels.IsNull()) out.add_labels(labels);
  if (!refuse_after.IsNull()) out.add_refuse_after(refuse_after);
  if (!after.IsNull()) out.add_after(after);
  if (!idempotency.IsNull()) out.add_idempotency(idempotency);
  return out.Finish();
}

Offset<wire::Plan> write_plan(Builder& fbb, const Plan& plan) {
  Items<wire::Step> steps;
  for (const Step& step : plan.steps) {
    const auto id = fbb.CreateString(step.id);
    const auto tool = fbb.CreateString(step.tool);
    const auto args = fbb.CreateString(step.args);
    const auto needs = fbb.CreateVectorOfStrings(step.needs);
    flatbuffers::Optional<std::uint32_t> retries, for_each_max;
    flatbuffers::Optional<std::int64_t> backoff_ms;
    if (step.on_error == OnError::retry) {
      retries = step.retries;
      backoff_ms = step.backoff_ms;
    }
    Offset<flatbuffers::String> for_each;
    if (!step.for_each.empty()) {
      for_each = fbb.CreateString(step.for_each);
      for_each_max = step.for_each_max;
    }
    steps.push_back(wire::CreateStep(fbb, id, tool, args, needs,
                                     static_cast<wire::OnError>(step.on_error), retries, backoff_ms,
                                     for_each, for_each_max));
  }
  const auto inputs = fbb.CreateVectorOfStrings(plan.inputs);
  const auto list = fbb.CreateVector(steps);
  return wire::CreatePlan(fbb, inputs, list);
}

Offset<wire::Agent> write_agent(Builder& fbb, const AgentEntry& agent) {
  const auto program = fbb.CreateString(agent.program);
  const auto digest = id_bytes(fbb, agent.digest);
  return wire::CreateAgent(fbb, program, digest, write_cell(fbb, agent.cell));
}

Offset<wire::ResultRule> write_result(Builder& fbb, const ResultRule& rule) {
  Bytes readers;
  for (const Hash& reader : rule.readers)
    readers.insert(readers.end(), reader.bytes.begin(), reader.bytes.end());
  return wire::CreateResultRule(fbb, fbb.CreateVector(readers), rule.retention_ms, rule.reads);
}

Offset<wire::EndOn> write_end_on(Builder& fbb, const EndOn& end) {
  return wire::CreateEndOn(fbb, end.completion, end.failure, end.denials, end.violation,
                           end.tool_drift, end.policy_drift, end.clock_step);
}

auto write_secrets(Builder& fbb, const std::vector<SealedSecret>& secrets) {
  Items<wire::Secret> items;
  for (const SealedSecret& secret : secrets) {
    const auto name = fbb.CreateString(secret.name);
    items.push_back(wire::CreateSecret(fbb, name, fbb.CreateVector(secret.box)));
  }
  return fbb.CreateVector(items);
}

Status check_complete(const Capsule& capsule) {
  if (capsule.issuer.is_zero()) return missing("issuer");
  if (capsule.serial == 0) return missing("serial");
  if (capsule.fleet.is_zero()) return missing("fleet");
  if (capsule.holder.is_zero()) return missing("holder");
  if (capsule.audience.node.is_zero()) return missing("audience.node");
  if (capsule.audience.incarnation.is_zero()) return missing("audience.incarnation");
  if (capsule.time_assurance == TimeAssurance::unset) return missing("freshness.time_assurance");
  if (capsule.min_tier == Tier::unset) return missing("min_tier");
  if (capsule.entry == EntryKind::unset) return missing("entry");
  for (const Grant& grant : capsule.grants) {
    const std::string field = "grants." + grant.id;
    if (grant.effect == Effect::unset) return missing(field + ".effect");
    if (grant.digest_kind == DigestKind::unset) return missing(field + ".digest");
    if (std::ranges::count(grant.verbs, Verb::unset) != 0) return missing(field + ".verbs");
  }
  for (const SealedSecret& secret : capsule.secrets) {
    if (secret.box.empty()) return missing("secrets." + secret.name + ".box");
  }
  for (const Step& step : capsule.plan.steps) {
    if (step.on_error == OnError::unset) return missing("plan." + step.id + ".on_error");
  }
  return success();
}

Result<Bytes> finished(const Builder& fbb) {
  if (fbb.GetSize() > limits::kCapsuleBytesMax) {
    return Error(
        Code::too_large,
        ErrorDetail{"capsule", "at most " + std::to_string(limits::kCapsuleBytesMax) + " bytes",
                    std::to_string(fbb.GetSize()) + " bytes", "grant less, or split it"});
  }
  return Bytes(fbb.GetBufferPointer(), fbb.GetBufferPointer() + fbb.GetSize());
}

// Everything of a capsule that is a child of its table; children come before their table.
struct CapsuleParts {
  Offset<flatbuffers::Vector<Offset<flatbuffers::String>>> features;
  Offset<flatbuffers::Vector<std::uint8_t>> issuer, fleet, holder;
  Offset<flatbuffers::String> tenant, purpose, requester, agent;
  Offset<wire::NodeAudience> audience;
  Offset<wire::Window> window;
  Offset<wire::Lease> lease;
  Offset<wire::Freshness> freshness;
  Offset<wire::EndOn> end_on;
  Offset<flatbuffers::Vector<Offset<wire::Grant>>> grants;
  Offset<wire::Cell> cell;
  Offset<wire::Plan> plan;
  Offset<wire::Agent> agent_entry;
  Offset<wire::ResultRule> result;
  Offset<flatbuffers::Vector<Offset<wire::Secret>>> secrets;
  Offset<wire::Delegation> delegation;
  Offset<wire::Offline> offline;
  Offset<wire::Log> log;
};

CapsuleParts write_parts(Builder& fbb, const Capsule& capsule) {
  CapsuleParts parts;
  std::vector<std::string> features;
  if (capsule.long_lease) features.emplace_back(kLongLeaseFeature);
  if (capsule.entry == EntryKind::agent) features.emplace_back(kAgentFeature);
  if (capsule.offline) features.emplace_back(kOfflineFeature);
  parts.features = fbb.CreateVectorOfStrings(features);
  parts.issuer = id_bytes(fbb, capsule.issuer);
  parts.fleet = id_bytes(fbb, capsule.fleet);
  parts.holder = id_bytes(fbb, capsule.holder);
  parts.tenant = fbb.CreateString(capsule.tenant);
  parts.purpose = fbb.CreateString(capsule.purpose);
  parts.requester = fbb.CreateString(capsule.requester);
  parts.agent = fbb.CreateString(capsule.agent);
  const auto node = id_bytes(fbb, capsule.audience.node);
  const auto incarnation = id_bytes(fbb, capsule.audience.incarnation);
  parts.audience = wire::CreateNodeAudience(fbb, node, incarnation);
  parts.window = wire::CreateWindow(fbb, capsule.not_before_s, capsule.not_after_s);
  parts.lease = wire::CreateLease(
      fbb, capsule.lease_ttl_ms, capsule.lease_idle_ms,
      capsule.long_lease ? flatbuffers::Optional<bool>(true) : flatbuffers::nullopt);
  parts.freshness = wire::CreateFreshness(fbb, capsule.max_revocation_age_s,
                                          static_cast<wire::TimeAssurance>(capsule.time_assurance));
  parts.end_on = write_end_on(fbb, capsule.end_on);
  Items<wire::Grant> grants;
  for (const Grant& grant : capsule.grants) grants.push_back(write_grant(fbb, grant));
  parts.grants = fbb.CreateVector(grants);
  if (capsule.entry == EntryKind::plan) parts.plan = write_plan(fbb, capsule.plan);
  if (capsule.entry == EntryKind::agent) parts.agent_entry = write_agent(fbb, capsule.agent_entry);
  if (capsule.result) parts.result = write_result(fbb, *capsule.result);
  if (capsule.offline)
    parts.offline =
        wire::CreateOffline(fbb, capsule.offline->max_ttl_ms, capsule.offline->max_idle_ms);
  if (!capsule.secrets.empty()) parts.secrets = write_secrets(fbb, capsule.secrets);
  parts.delegation = wire::CreateDelegation(fbb, capsule.max_depth);
  parts.cell = write_cell(fbb, capsule.cell);
  const TextList except = write_names(fbb, capsule.log_except);
  parts.log = wire::CreateLog(fbb, capsule.log_all_arguments, except, capsule.log_quota_bytes);
  return parts;
}

}  // namespace

Result<Bytes> encode_capsule(const Capsule& capsule) {
  TAPER_CHECK(check_complete(capsule));
  Builder fbb;
  const CapsuleParts parts = write_parts(fbb, capsule);
  wire::CapsuleBuilder out(fbb);
  out.add_features(parts.features);
  out.add_issuer(parts.issuer);
  out.add_serial(capsule.serial);
  out.add_issued_at_s(capsule.issued_at_s);
  out.add_fleet(parts.fleet);
  out.add_tenant(parts.tenant);
  out.add_purpose(parts.purpose);
  out.add_requester(parts.requester);
  out.add_agent(parts.agent);
  out.add_holder(parts.holder);
  out.add_audience(parts.audience);
  out.add_window(parts.window);
  out.add_activations(capsule.activations);
  out.add_lease(parts.lease);
  out.add_freshness(parts.freshness);
  out.add_end_on(parts.end_on);
  out.add_grants(parts.grants);
  if (!parts.cell.IsNull()) out.add_cell(parts.cell);
  out.add_min_tier(static_cast<wire::Tier>(capsule.min_tier));
  out.add_entry(static_cast<wire::EntryKind>(capsule.entry));
  if (!parts.plan.IsNull()) out.add_plan(parts.plan);
  if (!parts.agent_entry.IsNull()) out.add_agent_entry(parts.agent_entry);
  if (!parts.result.IsNull()) out.add_result(parts.result);
  if (!parts.secrets.IsNull()) out.add_secrets(parts.secrets);
  out.add_delegation(parts.delegation);
  if (!parts.offline.IsNull()) out.add_offline(parts.offline);
  out.add_log(parts.log);
  wire::FinishCapsuleBuffer(fbb, out.Finish());
  return finished(fbb);
}

Result<Bytes> encode_block(const Block& block) {
  if (block.previous.is_zero()) return missing("previous");
  if (block.holder.is_zero()) return missing("holder");
  Builder fbb;
  std::vector<std::string> names;  // of features
  Items<wire::KeptGrant> grants;
  for (const KeptGrant& grant : block.grants) {
    const auto id = fbb.CreateString(grant.id);
    const auto parent = fbb.CreateString(grant.parent);
    const auto args = write_rules(fbb, grant.args);
    const auto budget = write_budget(fbb, grant.budget);
    const TextList labels = write_names(fbb, grant.labels);
    const TextList refuse_after = write_names(fbb, grant.refuse_after);
    const auto verbs = grant.verbs.empty() ? VerbList() : write_verbs(fbb, grant.verbs);
    if (!grant.verbs.empty()) names = {std::string(kBlockVerbsFeature)};
    grants.push_back(
        wire::CreateKeptGrant(fbb, id, parent, args, budget, labels, refuse_after, verbs));
  }
  const auto features = fbb.CreateVectorOfStrings(names);
  const auto previous = id_bytes(fbb, block.previous);
  const auto holder = id_bytes(fbb, block.holder);
  const auto kept = fbb.CreateVector(grants);
  Offset<wire::Lease> lease;
  if (block.lease_ttl_ms || block.lease_idle_ms) {
    lease = wire::CreateLease(fbb, optional_long(block.lease_ttl_ms),
                              optional_long(block.lease_idle_ms));
  }
  Offset<wire::Window> window;
  if (block.not_before_s || block.not_after_s) {
    window = wire::CreateWindow(fbb, optional_long(block.not_before_s),
                                optional_long(block.not_after_s));
  }
  const auto root = wire::CreateBlock(fbb, features, previous, holder, kept, lease, window);
  fbb.Finish(root, wire::CapsuleIdentifier());
  return finished(fbb);
}

}  // namespace taper::capsules
