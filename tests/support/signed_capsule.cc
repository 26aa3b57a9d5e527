#include "tests/support/signed_capsule.h"

#include "capsules/author/author.h"
#include "crypto/crypto.h"

namespace taper::testing {

using capsules::ArgRule;
using capsules::Capsule;
using capsules::Grant;
using capsules::TrustRoot;
using capsules::TrustRootData;
using capsules::Verb;

namespace {

template <class T>
T must(Result<T> result) {
  TAPER_ASSERT(result.ok());
  return std::move(result).value();
}

std::vector<capsules::RootSignature> signatures(std::string_view statement, ByteSpan payload,
                                                std::initializer_list<std::uint8_t> keys) {
  std::vector<capsules::RootSignature> out;
  for (const std::uint8_t number : keys) {
    const crypto::SigningKey key = known_key(number);
    out.push_back({crypto::key_id(key.public_key()), key.sign(statement, payload)});
  }
  return out;
}

Grant sample_grant(std::string tool, capsules::Effect effect, std::vector<ArgRule> args) {
  Grant grant;
  grant.id = tool;
  grant.tool = std::move(tool);
  grant.digest_kind = capsules::DigestKind::builtin;
  grant.verbs = {Verb::discover, Verb::call, Verb::poll, Verb::result, Verb::update, Verb::cancel};
  grant.args = std::move(args);
  grant.effect = effect;
  return grant;
}

}  // namespace

crypto::SigningKey known_key(std::uint8_t number) {
  TAPER_ASSERT(crypto::initialise().ok());
  return crypto::SigningKey::from_seed(Bytes(32, number));
}

TrustRootData sample_root_data() {
  TrustRootData data;
  data.version = 1;
  data.issued_at_s = 1'790'000'000;
  data.root_keys = {known_key(kRootKey).public_key()};
  data.root_threshold = 1;
  capsules::IssuerLimits limits;
  limits.max_ttl_ms = 3'600'000;
  limits.max_validity_s = 7 * 86'400;
  limits.max_revocation_age_s = 7 * 86'400;
  limits.all_tools = true;
  for (const std::uint8_t number : {kIssuerKey, kSecondIssuerKey}) {
    data.issuers.push_back({known_key(number).public_key(), {}, {}, limits});
  }
  data.issuer_threshold = 1;
  return data;
}

Bytes signed_root(const TrustRootData& data, std::initializer_list<std::uint8_t> keys) {
  const Bytes payload = must(capsules::encode_root(data));
  return capsules::frame_root(payload, signatures(crypto::statement::kRoot, payload, keys));
}

TrustRoot opened_root(const TrustRootData& data) {
  return must(capsules::open_root(signed_root(data)));
}

Capsule sample_capsule(const TrustRoot& root) {
  Capsule out;
  out.issuer = Hash{crypto::key_id(known_key(kIssuerKey).public_key()).bytes};
  out.serial = 7;
  out.issued_at_s = 1'790'000'100;
  out.fleet = root.fleet();
  out.tenant = "default";
  out.purpose = "Look at the logs";
  out.requester = "user:alice@plant.example";
  out.agent = "log-triage";
  out.holder = known_key(kHolderKey).public_key();
  out.audience.node = known_key(kNodeKey).public_key();
  out.audience.incarnation.bytes.fill(5);
  out.not_before_s = 1'790'000'000;
  out.not_after_s = 1'790'086'400;
  out.activations = 1;
  out.lease_ttl_ms = 900'000;
  out.lease_idle_ms = 120'000;
  out.max_revocation_age_s = 7 * 86'400;
  out.time_assurance = capsules::TimeAssurance::bounded;
  const ArgRule path{"path", false, {capsules::Under{"/var/log"}}};
  const ArgRule file{"path", false, {capsules::OneOf{{capsules::Value("/srv/report.md")}}}};
  const ArgRule content{"content", false, {capsules::Length{0, 4096}}};
  out.grants = {sample_grant("file.list", capsules::Effect::read, {path}),
                sample_grant("file.write", capsules::Effect::write, {file, content})};
  out.grants[0].budget.calls = 10;
  out.min_tier = capsules::Tier::t2;
  out.entry = capsules::EntryKind::plan;
  out.plan.inputs = {"title"};
  out.plan.steps = {{"list", "file.list", R"({"path":"/var/log"})", {}, capsules::OnError::stop},
                    {"write",
                     "file.write",
                     R"({"content":{"$input":"title"},"path":"/srv/report.md"})",
                     {"list"},
                     capsules::OnError::stop}};
  out.log_quota_bytes = 1'000'000;
  return out;
}

Bytes capsule_payload(const Capsule& capsule) { return must(capsules::encode_capsule(capsule)); }

Bytes signed_payload(ByteSpan payload, std::initializer_list<std::uint8_t> keys) {
  return capsules::write_envelope(payload, signatures(crypto::statement::kCapsule, payload, keys));
}

Bytes signed_capsule(const Capsule& capsule, std::initializer_list<std::uint8_t> keys) {
  return signed_payload(capsule_payload(capsule), keys);
}

Bytes narrowed(ByteSpan file, capsules::Block block, std::uint8_t signer) {
  block.previous = must(capsules::next_previous(file));
  const Bytes payload = must(capsules::encode_block(block));
  return must(capsules::append_block(file, payload,
                                     known_key(signer).sign(crypto::statement::kBlock, payload)));
}

}  // namespace taper::testing
