#include "tests/support/capsule_maker.h"

#include "capsules/author/author.h"
#include "crypto/crypto.h"

namespace taper::testing {

using capsules::ArgRule;
using capsules::Capsule;
using capsules::Grant;

Bytes sign_root(const capsules::TrustRootData& data,
                const std::vector<const crypto::SigningKey*>& keys) {
  const Result<Bytes> payload = capsules::encode_root(data);
  TAPER_ASSERT(payload.ok());
  std::vector<capsules::RootSignature> signatures;
  for (const crypto::SigningKey* key : keys) {
    signatures.push_back(
        {crypto::key_id(key->public_key()), key->sign(crypto::statement::kRoot, *payload)});
  }
  return capsules::frame_root(*payload, signatures);
}

Fleet make_fleet(std::int64_t root_issued_s) {
  Fleet fleet;
  capsules::TrustRootData& data = fleet.root_data;
  data.version = 1;
  data.issued_at_s = root_issued_s;
  data.root_keys = {fleet.root_key.public_key()};
  data.root_threshold = 1;
  capsules::Issuer issuer;
  issuer.key = fleet.issuer_key.public_key();
  issuer.limits.max_ttl_ms = 3'600'000;
  issuer.limits.max_validity_s = 7 * 86'400;
  issuer.limits.max_revocation_age_s = 7 * 86'400;
  issuer.limits.all_tools = true;
  data.issuers = {issuer};
  data.issuer_threshold = 1;
  fleet.root_file = sign_root(data, {&fleet.root_key});
  const auto root = capsules::open_root(fleet.root_file);
  TAPER_ASSERT(root.ok());
  fleet.fleet = root->fleet();
  fleet.node = crypto::SigningKey::generate().public_key();
  fleet.incarnation = crypto::random_id<Incarnation>();
  return fleet;
}

Grant sample_grant(std::string id, std::string tool, capsules::Effect effect,
                   std::vector<ArgRule> args) {
  Grant grant;
  grant.id = std::move(id);
  grant.tool = std::move(tool);
  grant.digest_kind = capsules::DigestKind::builtin;
  grant.verbs = {capsules::Verb::discover, capsules::Verb::call};
  grant.args = std::move(args);
  grant.effect = effect;
  return grant;
}

Capsule sample_capsule(Fleet& fleet) {
  Capsule capsule;
  const KeyId issuer = crypto::key_id(fleet.issuer_key.public_key());
  capsule.issuer = *Hash::from(issuer.span());
  capsule.serial = fleet.next_serial++;
  capsule.issued_at_s = kCapsuleIssuedS;
  capsule.fleet = fleet.fleet;
  capsule.tenant = "plant";
  capsule.purpose = "Triage the pump alarms of the last day";
  capsule.requester = "user:alice@plant.example";
  capsule.agent = "log-triage";
  capsule.holder = fleet.holder_key.public_key();
  capsule.audience = {fleet.node, fleet.incarnation};
  capsule.not_before_s = kCapsuleIssuedS;
  capsule.not_after_s = kCapsuleIssuedS + 3 * 86'400;
  capsule.activations = 1;
  capsule.lease_ttl_ms = 900'000;
  capsule.lease_idle_ms = 120'000;
  capsule.max_revocation_age_s = 7 * 86'400;
  capsule.time_assurance = capsules::TimeAssurance::bounded;
  capsule.min_tier = capsules::Tier::t2;
  capsule.entry = capsules::EntryKind::plan;
  capsule.log_quota_bytes = 1'000'000;
  Grant read = sample_grant("read-logs", "file.read", capsules::Effect::read,
                            {{"path", false, {capsules::Under{"/var/log/plant"}}},
                             {"max_bytes", true, {capsules::AtMost{1'048'576}}}});
  read.budget.calls = 5;
  Grant write =
      sample_grant("write-report", "file.write", capsules::Effect::write,
                   {{"path", false, {capsules::OneOf{{capsules::Value("/srv/reports/today.md")}}}},
                    {"content", false, {capsules::AnyValue{}}}});
  write.budget.calls = 1;
  capsule.grants = {read, write};
  capsules::Step step;
  step.id = "read";
  step.tool = "file.read";
  step.args = R"({"path":"/var/log/plant/pump-07.log"})";
  capsule.plan.steps = {step};
  return capsule;
}

Bytes sign_capsule(const Fleet& fleet, const Capsule& capsule) {
  const Result<Bytes> payload = capsules::encode_capsule(capsule);
  TAPER_ASSERT(payload.ok());
  return capsules::write_envelope(*payload,
                                  {{crypto::key_id(fleet.issuer_key.public_key()),
                                    fleet.issuer_key.sign(crypto::statement::kCapsule, *payload)}});
}

Bytes narrow_capsule(const Bytes& file, capsules::Block block, const crypto::SigningKey& signer) {
  const Result<Hash> previous = capsules::next_previous(file);
  TAPER_ASSERT(previous.ok());
  block.previous = *previous;
  const Result<Bytes> payload = capsules::encode_block(block);
  TAPER_ASSERT(payload.ok());
  Result<Bytes> narrowed =
      capsules::append_block(file, *payload, signer.sign(crypto::statement::kBlock, *payload));
  TAPER_ASSERT(narrowed.ok());
  return std::move(narrowed).value();
}

}  // namespace taper::testing
