#include "capsules/decode.h"

#include <limits>

#include "capsule_generated.h"
#include "capsules/grants.h"
#include "capsules/open.h"

namespace taper::capsules {
namespace {

using C = wire::Capsule;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr Field kFeatures{C::VT_FEATURES, "features"};

void refuse_unenforced(const WireTable& root) {
  root.refuse({{C::VT_HOLDER_SPIFFE, "holder_spiffe"},
               {C::VT_POOLS, "pools"},
               {C::VT_NODES, "nodes"},
               {C::VT_HOSTS, "hosts"},
               {C::VT_HOST_CA, "host_ca"},
               {C::VT_PROOF, "proof"}});
}

void decode_identity(const WireTable& root, Capsule& out) {
  out.issuer = root.id<Hash>({C::VT_ISSUER, "issuer"});
  out.serial = root.serial({C::VT_SERIAL, "serial"});
  out.issued_at_s = root.number({C::VT_ISSUED_AT_S, "issued_at_s"}, 0, limits::kTimeMaxS);
  out.fleet = root.id<Hash>({C::VT_FLEET, "fleet"});
  out.tenant = root.text({C::VT_TENANT, "tenant"}, limits::kNameBytesMax);
  out.purpose = root.text({C::VT_PURPOSE, "purpose"}, limits::kTextBytesMax);
  out.requester = root.text({C::VT_REQUESTER, "requester"}, limits::kNameBytesMax);
  out.agent = root.text({C::VT_AGENT, "agent"}, limits::kNameBytesMax);
  out.holder = root.id<PublicKey>({C::VT_HOLDER, "holder"});
  using A = wire::NodeAudience;
  const WireTable audience = root.table({C::VT_AUDIENCE, "audience"}, A::VT_INCARNATION);
  out.audience.node = audience.id<PublicKey>({A::VT_NODE, "node"});
  out.audience.incarnation = audience.id<Incarnation>({A::VT_INCARNATION, "incarnation"});
}

void decode_times(const WireTable& root, Capsule& out) {
  using W = wire::Window;
  constexpr Field kNotAfter{W::VT_NOT_AFTER_S, "not_after_s"};
  const WireTable window = root.table({C::VT_WINDOW, "window"}, W::VT_NOT_AFTER_S);
  out.not_before_s = window.number({W::VT_NOT_BEFORE_S, "not_before_s"}, 0, limits::kTimeMaxS);
  out.not_after_s = window.number(kNotAfter, 0, limits::kTimeMaxS);
  if (window.has(kNotAfter) && out.not_after_s <= out.not_before_s) {
    window.invalid(kNotAfter, "after not_before_s", std::to_string(out.not_after_s));
  }
  out.activations = root.count({C::VT_ACTIVATIONS, "activations"}, limits::kActivationsMax);
  using L = wire::Lease;
  const WireTable lease = root.table({C::VT_LEASE, "lease"}, L::VT_LONG_LEASE);
  out.lease_ttl_ms = lease.number({L::VT_TTL_MS, "ttl_ms"}, 1, limits::kLeaseTtlMaxMs);
  out.lease_idle_ms = lease.number({L::VT_IDLE_MS, "idle_ms"}, 1, out.lease_ttl_ms);
  constexpr Field kLong{L::VT_LONG_LEASE, "long_lease"};
  out.long_lease = lease.has(kLong) && lease.flag(kLong);
  if (lease.has(kLong) != out.long_lease) lease.invalid(kLong, "true, or absent", "false");
  using F = wire::Freshness;
  const WireTable freshness = root.table({C::VT_FRESHNESS, "freshness"}, F::VT_TIME_ASSURANCE);
  out.max_revocation_age_s =
      freshness.number({F::VT_MAX_REVOCATION_AGE_S, "max_revocation_age_s"}, 1, limits::kTimeMaxS);
  out.time_assurance =
      freshness.choice({F::VT_TIME_ASSURANCE, "time_assurance"}, TimeAssurance::anchored);
}

EndOn decode_end_on(const WireTable& table) {
  using E = wire::EndOn;
  EndOn out;
  out.completion = table.flag({E::VT_COMPLETION, "completion"});
  out.failure = table.flag({E::VT_FAILURE, "failure"});
  out.denials = table.number({E::VT_DENIALS, "denials"}, 1, kMost);
  out.violation = table.flag({E::VT_VIOLATION, "violation"});
  out.tool_drift = table.flag({E::VT_TOOL_DRIFT, "tool_drift"});
  out.policy_drift = table.flag({E::VT_POLICY_DRIFT, "policy_drift"});
  out.clock_step = table.flag({E::VT_CLOCK_STEP, "clock_step"});
  return out;
}

// Appends to `out`; ids are unique.
template <class Item, class Decode>
void decode_unique(const WireTable& owner, Field field, flatbuffers::voffset_t last,
                   std::vector<Item>& out, Decode decode) {
  owner.each(field, limits::kGrantsMax, last, [&](const WireTable& table) {
    Item item = decode(table);
    for (const Item& other : out) {
      if (other.id == item.id) owner.invalid(field, "each id once", item.id);
    }
    out.push_back(std::move(item));
  });
  owner.require(field, !out.empty());
}

AgentEntry decode_agent(const WireTable& table) {
  using A = wire::Agent;
  return {.program = table.text({A::VT_PROGRAM, "program"}, limits::kNameBytesMax),
          .digest = table.id<Hash>({A::VT_DIGEST, "digest"}),
          .cell = decode_cell(table, {A::VT_CELL, "cell"})};
}

// A part that belongs to one kind of entry stands exactly where that is.
void decode_entry(const WireTable& root, Capsule& out) {
  constexpr Field kPlan{C::VT_PLAN, "plan"};
  constexpr Field kAgent{C::VT_AGENT_ENTRY, "agent_entry"};
  out.entry = root.choice({C::VT_ENTRY, "entry"}, EntryKind::agent);
  if (out.entry == EntryKind::plan) {
    out.plan = decode_plan(root.table(kPlan, wire::Plan::VT_STEPS));
  } else if (root.has(kPlan)) {
    root.invalid(kPlan, "absent unless the entry is a plan", "present");
  }
  if (out.entry == EntryKind::agent) {
    out.agent_entry = decode_agent(root.table(kAgent, wire::Agent::VT_CELL));
  } else if (root.has(kAgent)) {
    root.invalid(kAgent, "absent unless the entry is an agent", "present");
  }
}

void check_grants(const WireTable& root, const std::vector<Grant>& grants) {
  const auto fault = grant_fault(grants);
  if (!fault) return;
  const std::string field = "grants[" + std::to_string(fault->grant) + "]." + fault->field;
  root.invalid({C::VT_GRANTS, field.c_str()}, fault->expected, fault->got);
}

void decode_rest(const WireTable& root, Capsule& out) {
  out.cell = decode_cell(root, {C::VT_CELL, "cell"});
  out.min_tier = root.choice({C::VT_MIN_TIER, "min_tier"}, Tier::t3);
  using D = wire::Delegation;
  const WireTable delegation = root.table({C::VT_DELEGATION, "delegation"}, D::VT_ALLOCATOR);
  delegation.refuse({{D::VT_ALLOCATOR, "allocator"}});
  out.max_depth = delegation.octet({D::VT_MAX_DEPTH, "max_depth"}, limits::kBlocksMax);
  using G = wire::Log;
  const WireTable log = root.table({C::VT_LOG, "log"}, G::VT_QUOTA_BYTES);
  constexpr Field kResult{C::VT_RESULT, "result"};
  if (root.has(kResult))
    out.result = decode_result(root.table(kResult, wire::ResultRule::VT_READS));
  using O = wire::Offline;
  constexpr Field kOffline{C::VT_OFFLINE, "offline"};
  if (root.has(kOffline)) {
    const WireTable caps = root.table(kOffline, O::VT_MAX_IDLE_MS);
    OfflineCaps& own = out.offline.emplace();
    own.max_ttl_ms = caps.number({O::VT_MAX_TTL_MS, "max_ttl_ms"}, 1, out.lease_ttl_ms);
    own.max_idle_ms = caps.number({O::VT_MAX_IDLE_MS, "max_idle_ms"}, 1, own.max_ttl_ms);
  }
  constexpr Field kExcept{G::VT_EXCEPT, "except"};
  out.log_all_arguments = log.flag({G::VT_ALL_ARGUMENTS, "all_arguments"});
  out.log_except = log.names(kExcept, limits::kArgsPerGrantMax);
  if (!out.log_all_arguments && log.has(kExcept))
    log.invalid(kExcept, "absent unless all arguments are logged", "present");
  out.log_quota_bytes = log.number({G::VT_QUOTA_BYTES, "quota_bytes"}, 1, kMost);
}

KeptGrant decode_kept(const WireTable& table) {
  using K = wire::KeptGrant;
  KeptGrant out;
  out.id = table.text({K::VT_ID, "id"}, limits::kNameBytesMax);
  out.parent = table.text({K::VT_PARENT, "parent"}, limits::kNameBytesMax);
  out.args = decode_rules(table, {K::VT_ARGS, "args"});
  out.budget = decode_budget(table, {K::VT_BUDGET, "budget"});
  out.labels = table.names({K::VT_LABELS, "labels"}, limits::kLabelsMax);
  out.refuse_after = table.names({K::VT_REFUSE_AFTER, "refuse_after"}, limits::kLabelsMax);
  constexpr Field kVerbs{K::VT_VERBS, "verbs"};
  if (table.has(kVerbs)) out.verbs = table.choices(kVerbs, Verb::resume);
  return out;
}

}  // namespace

Result<Capsule> decode_capsule(ByteSpan payload) {
  WireBuffer buffer(payload);
  TAPER_CHECK(buffer.verify<wire::Capsule>(wire::CapsuleIdentifier(), limits::kCapsuleBytesMax));
  const WireTable root = buffer.root(C::VT_LOG);
  Capsule out;
  const std::vector<std::string> features =
      root.check_features(kFeatures, {kLongLeaseFeature, kAgentFeature, kOfflineFeature});
  const auto has_feature = [&features](std::string_view name) {
    return std::ranges::find(features, name) != features.end();
  };
  refuse_unenforced(root);
  decode_identity(root, out);
  decode_times(root, out);
  if (out.long_lease != has_feature(kLongLeaseFeature))
    root.invalid(kFeatures, "long-lease exactly where the lease says so", "");
  if (out.long_lease != (out.lease_ttl_ms > limits::kLongLeaseMs))
    root.fail(Code::long_lease, {C::VT_LEASE, "lease.long_lease"},
              "true above " + std::to_string(limits::kLongLeaseMs) + " ms, else absent",
              std::to_string(out.lease_ttl_ms) + " ms");
  out.end_on = decode_end_on(root.table({C::VT_END_ON, "end_on"}, wire::EndOn::VT_CLOCK_STEP));
  decode_unique(root, {C::VT_GRANTS, "grants"}, wire::Grant::VT_IDEMPOTENCY, out.grants,
                decode_grant);
  decode_secrets(root, {C::VT_SECRETS, "secrets"}, out);
  check_grants(root, out.grants);
  decode_entry(root, out);
  if ((out.entry == EntryKind::agent) != has_feature(kAgentFeature))
    root.invalid(kFeatures, "agent exactly where the entry is", "");
  decode_rest(root, out);
  if (out.offline.has_value() != has_feature(kOfflineFeature))
    root.invalid(kFeatures, "offline exactly where it stands", "");
  TAPER_CHECK(buffer.finish());
  return out;
}

Result<Block> decode_block(ByteSpan payload) {
  using B = wire::Block;
  using L = wire::Lease;
  using W = wire::Window;
  WireBuffer buffer(payload);
  TAPER_CHECK(buffer.verify<wire::Block>(wire::CapsuleIdentifier(), limits::kCapsuleBytesMax));
  const WireTable root = buffer.root(B::VT_WINDOW);
  Block out;
  const std::vector<std::string> features =
      root.check_features({B::VT_FEATURES, "features"}, {kBlockVerbsFeature});
  out.previous = root.id<Hash>({B::VT_PREVIOUS, "previous"});
  out.holder = root.id<PublicKey>({B::VT_HOLDER, "holder"});
  decode_unique(root, {B::VT_GRANTS, "grants"}, wire::KeptGrant::VT_VERBS, out.grants, decode_kept);
  const bool verbs =
      std::ranges::any_of(out.grants, [](const KeptGrant& kept) { return !kept.verbs.empty(); });
  if (verbs != !features.empty())
    root.invalid({B::VT_FEATURES, "features"}, "block-verbs exactly where a grant names verbs", "");
  const WireTable lease = root.maybe_table({B::VT_LEASE, "lease"}, L::VT_IDLE_MS);
  out.lease_ttl_ms = lease.maybe_number({L::VT_TTL_MS, "ttl_ms"}, 1, limits::kLeaseTtlMaxMs);
  out.lease_idle_ms = lease.maybe_number({L::VT_IDLE_MS, "idle_ms"}, 1, limits::kLeaseTtlMaxMs);
  const WireTable window = root.maybe_table({B::VT_WINDOW, "window"}, W::VT_NOT_AFTER_S);
  out.not_before_s =
      window.maybe_number({W::VT_NOT_BEFORE_S, "not_before_s"}, 0, limits::kTimeMaxS);
  out.not_after_s = window.maybe_number({W::VT_NOT_AFTER_S, "not_after_s"}, 0, limits::kTimeMaxS);
  TAPER_CHECK(buffer.finish());
  return out;
}

}  // namespace taper::capsules
