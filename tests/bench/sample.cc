#include "tests/bench/sample.h"

#include <cstdio>

#include "capsules/author/author.h"
#include "crypto/crypto.h"

namespace taper::bench {
namespace {

using namespace capsules;

Grant reading_grant(const std::string& id, const std::string& tree) {
  Grant grant;
  grant.id = id;
  grant.tool = "file.read";
  grant.digest_kind = DigestKind::builtin;
  grant.verbs = {Verb::discover, Verb::call, Verb::poll, Verb::result, Verb::update, Verb::cancel};
  grant.effect = Effect::read;
  grant.budget = {.calls = 1'000'000'000, .bytes = std::nullopt};
  ArgRule path{.name = "path", .optional = false, .all = {}};
  path.all.emplace_back(Under{tree});
  path.all.emplace_back(Prefix{tree});
  path.all.emplace_back(Length{1, 200});
  ArgRule most{.name = "max_bytes", .optional = true, .all = {}};
  most.all.emplace_back(AtLeast{1});
  most.all.emplace_back(AtMost{1'048'576});
  ArgRule offset{.name = "offset", .optional = true, .all = {}};
  offset.all.emplace_back(OneOf{{Value(0), Value(4096), Value(8192)}});
  grant.args = {path, most, offset};
  return grant;
}

TrustRootData root_of(const Sample& sample, std::int64_t now_s) {
  Issuer issuer{.key = sample.issuer.public_key(),
                .not_before_s = std::nullopt,
                .not_after_s = std::nullopt,
                .limits = {.max_ttl_ms = 3'600'000,
                           .max_validity_s = 7 * 86'400,
                           .max_revocation_age_s = 7 * 86'400,
                           .all_tools = true,
                           .tools = {}}};
  TrustRootData data;
  data.version = 1;
  data.issued_at_s = now_s;
  data.root_keys = {sample.root_key.public_key()};
  data.root_threshold = 1;
  data.issuers = {issuer};
  data.issuer_threshold = 1;
  return data;
}

}  // namespace

Sample::Sample(const PublicKey& node, const Incarnation& incarnation, std::int64_t now_s) {
  const Result<Bytes> root_payload = encode_root(root_of(*this, now_s));
  TAPER_ASSERT(root_payload.ok());
  root_file = frame_root(*root_payload, {{crypto::key_id(root_key.public_key()),
                                          root_key.sign(crypto::statement::kRoot, *root_payload)}});
  capsule.issuer.bytes = crypto::key_id(issuer.public_key()).bytes;
  capsule.issued_at_s = now_s;
  capsule.fleet = crypto::hash(*root_payload);
  capsule.tenant = "default";
  capsule.purpose = "Measure how long a decision takes";
  capsule.requester = "user:bench@example.org";
  capsule.agent = "bench";
  capsule.holder = holder.public_key();
  capsule.audience = {.node = node, .incarnation = incarnation};
  capsule.not_before_s = now_s - 60;
  capsule.not_after_s = now_s + 86'400;
  capsule.activations = 1;
  capsule.lease_ttl_ms = 3'600'000;
  capsule.lease_idle_ms = 3'600'000;
  capsule.max_revocation_age_s = 7 * 86'400;
  capsule.time_assurance = TimeAssurance::bounded;
  capsule.min_tier = Tier::t2;
  capsule.entry = EntryKind::plan;
  capsule.plan.steps = {{.id = "read",
                         .tool = "file.read",
                         .args = R"({"path":"/var/log/plant-9/pump.log"})",
                         .needs = {},
                         .on_error = OnError::stop}};
  capsule.log_quota_bytes = 1'000'000'000'000;
  for (int i = 0; i < 10; ++i) {
    const std::string number = std::to_string(i);
    capsule.grants.push_back(reading_grant("read-" + number, "/var/log/plant-" + number));
  }
}

Bytes Sample::payload(std::uint64_t serial) const {
  Capsule numbered = capsule;
  numbered.serial = serial;
  Result<Bytes> encoded = encode_capsule(numbered);
  if (!encoded.ok()) std::fprintf(stderr, "%s\n", to_line(encoded.error()).c_str());
  TAPER_ASSERT(encoded.ok());
  return std::move(encoded).value();
}

Bytes Sample::signed_file(std::uint64_t serial) const {
  const Bytes bytes = payload(serial);
  return write_envelope(bytes, {{crypto::key_id(issuer.public_key()),
                                 issuer.sign(crypto::statement::kCapsule, bytes)}});
}

}  // namespace taper::bench
