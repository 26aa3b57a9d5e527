#include "tests/sim/centre.h"

#include <algorithm>

#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "tests/support/capsule_maker.h"

namespace taper::sim {
namespace {

using capsules::Capsule;

constexpr std::int64_t kWeekS = 7 * 86'400;

Key make_key() {
  return std::make_shared<const crypto::SigningKey>(crypto::SigningKey::generate());
}

capsules::Issuer listed(const Key& key) {
  capsules::Issuer issuer;
  issuer.key = key->public_key();
  issuer.limits.max_ttl_ms = 3'600'000;
  issuer.limits.max_validity_s = kWeekS;
  issuer.limits.max_revocation_age_s = kWeekS;
  issuer.limits.all_tools = true;
  return issuer;
}

std::vector<capsules::Grant> grants(Dice& dice) {
  using capsules::ArgRule;
  using capsules::Effect;
  const ArgRule under{"path", false, {capsules::Under{dice.percent(70) ? "/t" : "/t/a"}}};
  capsules::Grant read = testing::sample_grant("read", "file.read", Effect::read, {under});
  if (dice.percent(80)) read.budget.calls = dice.roll(1, 8);
  capsules::Grant list = testing::sample_grant("list", "file.list", Effect::read, {under});
  if (dice.percent(60))
    list.budget.rate = capsules::Rate{dice.roll(1, 4), dice.roll(5'000, 90'000)};
  capsules::Grant write = testing::sample_grant(
      "write", "file.write", Effect::write, {under, {"content", false, {capsules::AnyValue{}}}});
  write.budget.calls = dice.roll(1, 2);
  return {read, list, write};
}

}  // namespace

Centre::Centre(std::int64_t now_s)
    : root_key_(make_key()),
      time_key_(make_key()),
      revoker_(make_key()),
      auditor_(make_key()),
      holder_(make_key()),
      helper_(make_key()) {
  issuers_ = {make_key(), make_key()};
  data_.root_keys = {root_key_->public_key()};
  data_.root_threshold = 1;
  data_.time_keys = {time_key_->public_key()};
  data_.revokers = {revoker_->public_key()};
  data_.auditors = {auditor_->public_key()};
  data_.issuer_threshold = 1;
  publish(now_s, false);
}

void Centre::publish(std::int64_t now_s, bool replaces_issuer) {
  if (replaces_issuer) {
    issuers_.pop_front();
    issuers_.push_back(make_key());
  }
  ++data_.version;
  data_.issued_at_s = now_s;
  data_.issuers.clear();
  for (const Key& key : issuers_) data_.issuers.push_back(listed(key));
  roots_.push_back(testing::sign_root(data_, {root_key_.get()}));
  issued_.push_back(now_s);
  listed_.emplace_back(issuers_.begin(), issuers_.end());
  const auto opened = capsules::open_root(roots_.back());
  TAPER_ASSERT(opened.ok());
  fleet_ = opened->fleet();
  data_.fleet = fleet_;
  data_.previous = opened->hash();
}

const Told& Centre::tell_time(std::int64_t now_s, std::int64_t radius_s,
                              std::optional<capsules::TimeChallenge> challenge) {
  capsules::SignedTime said;
  said.midpoint_s = now_s;
  said.radius_s = radius_s;
  said.answers = std::move(challenge);
  const Result<Bytes> payload = capsules::encode_time(said);
  TAPER_ASSERT(payload.ok());
  const capsules::RootSignature signature = {crypto::key_id(time_key_->public_key()),
                                             time_key_->sign(crypto::statement::kTime, *payload)};
  times_.push_back({capsules::frame_time(*payload, signature), now_s - radius_s, said.answers});
  return times_.back();
}

Bytes Centre::order(const capsules::Order& order, bool forged) const {
  const Key& key = forged ? auditor_ : revoker_;
  const Result<Bytes> payload = capsules::encode_order(order);
  TAPER_ASSERT(payload.ok());
  return capsules::frame_order(*payload, {crypto::key_id(key->public_key()),
                                          key->sign(crypto::statement::kOrder, *payload)});
}

Bytes Centre::release(const capsules::LogRelease& release) const {
  const Result<Bytes> payload = capsules::encode_release(release);
  TAPER_ASSERT(payload.ok());
  return capsules::frame_release(*payload, {crypto::key_id(auditor_->public_key()),
                                            auditor_->sign(crypto::statement::kRelease, *payload)});
}

bool Centre::lists(std::uint64_t version, const Key& issuer) const {
  const std::vector<Key>& keys = listed_[version - 1];
  return std::find(keys.begin(), keys.end(), issuer) != keys.end();
}

Capsule Centre::blank(const Address& to, std::int64_t now_s) {
  Capsule capsule;
  capsule.serial = ++serial_;
  capsule.issued_at_s = capsule.not_before_s = now_s;
  capsule.not_after_s = now_s + 3600;
  capsule.fleet = fleet_;
  capsule.tenant = "plant";
  capsule.purpose = "One history";
  capsule.requester = "user:alice@plant.example";
  capsule.agent = "log-triage";
  capsule.holder = holder_->public_key();
  capsule.audience = {to.node, to.incarnation};
  capsule.activations = 1;
  capsule.lease_ttl_ms = capsule.lease_idle_ms = 600'000;
  capsule.max_revocation_age_s = kWeekS;
  capsule.time_assurance = capsules::TimeAssurance::bounded;
  capsule.min_tier = capsules::Tier::t2;
  capsule.entry = capsules::EntryKind::plan;
  capsule.max_depth = 3;
  capsule.log_quota_bytes = 1'000'000;
  capsule.end_on.denials = 100;
  capsules::Step step;
  step.id = "one";
  step.tool = "file.read";
  step.args = R"({"path":"/t/a/x"})";
  capsule.plan.steps = {step};
  return capsule;
}

std::size_t Centre::sign(Capsule capsule, std::size_t number, const Key& key) {
  capsule.issuer = *Hash::from(crypto::key_id(key->public_key()).span());
  const Result<Bytes> payload = capsules::encode_capsule(capsule);
  TAPER_ASSERT(payload.ok());
  Issued made;
  made.said = std::move(capsule);
  made.id = crypto::hash(*payload);
  made.node = number;
  made.issuer = key;
  Chain whole;
  whole.file = capsules::write_envelope(
      *payload,
      {{crypto::key_id(key->public_key()), key->sign(crypto::statement::kCapsule, *payload)}});
  whole.hash = crypto::hash(whole.file);
  whole.holder = holder_;
  made.chains.push_back(std::move(whole));
  capsules_.push_back(std::move(made));
  return capsules_.size() - 1;
}

std::size_t Centre::issue(Dice& dice, std::size_t number, const Address& to, std::int64_t now_s) {
  Capsule capsule = blank(to, now_s);
  capsule.grants = grants(dice);
  const bool brief = dice.percent(50);
  capsule.not_after_s = now_s + (brief ? dice.roll(60, 1'800) : dice.roll(1'800, kWeekS));
  if (dice.percent(10)) capsule.not_before_s = now_s + dice.roll(1, 50);
  capsule.activations = static_cast<std::uint32_t>(dice.roll(1, 3));
  capsule.lease_ttl_ms = dice.roll(5'000, dice.percent(50) ? 120'000 : 1'500'000);
  capsule.lease_idle_ms = std::min(capsule.lease_ttl_ms, dice.roll(5'000, 600'000));
  capsule.max_revocation_age_s = dice.percent(30) ? dice.roll(3'600, 86'400) : kWeekS;
  if (dice.percent(15)) capsule.time_assurance = capsules::TimeAssurance::behind;
  if (dice.percent(10)) capsule.time_assurance = capsules::TimeAssurance::anchored;
  if (dice.percent(20)) {
    const std::int64_t ttl_ms = dice.roll(2'000, capsule.lease_ttl_ms);
    capsule.offline = {ttl_ms, std::min(dice.roll(2'000, capsule.lease_idle_ms), ttl_ms)};
  }
  capsule.end_on.clock_step = dice.percent(50);
  capsule.end_on.denials = dice.percent(20) ? dice.roll(1, 5) : 100;
  return sign(std::move(capsule), number, dice.percent(70) ? issuers_.front() : issuers_.back());
}

std::size_t Centre::issue_plain(std::size_t number, const Address& to, std::int64_t now_s) {
  Capsule capsule = blank(to, now_s);
  capsule.grants = {testing::sample_grant("read", "file.read", capsules::Effect::read,
                                          {{"path", false, {capsules::Under{"/t"}}}})};
  return sign(std::move(capsule), number, issuers_.back());
}

std::size_t Centre::narrow(Dice& dice, std::size_t capsule) {
  Issued& of = capsules_[capsule];
  capsules::Block block;
  for (const capsules::Grant& grant : of.said.grants) {
    if (dice.percent(30) && grant.id != "read") continue;
    capsules::KeptGrant kept;
    kept.id = kept.parent = grant.id;
    if (dice.percent(40)) kept.args = {{"path", false, {capsules::Under{"/t/a"}}}};
    if (dice.percent(50)) kept.budget.calls = dice.roll(1, 3);
    block.grants.push_back(std::move(kept));
  }
  if (dice.percent(40)) block.lease_ttl_ms = dice.roll(1'000, of.said.lease_ttl_ms);
  if (dice.percent(30)) block.lease_idle_ms = dice.roll(1'000, of.said.lease_idle_ms);
  block.holder = helper_->public_key();
  Chain chain;
  chain.file = testing::narrow_capsule(of.chains[0].file, block, *holder_);
  chain.hash = crypto::hash(chain.file);
  chain.holder = helper_;
  chain.block = std::move(block);
  of.chains.push_back(std::move(chain));
  return of.chains.size() - 1;
}

}  // namespace taper::sim
