#include "tests/bench/sample.h"

#include <cstdio>

#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"

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
  grant.budget.calls = 1'000'000'000;
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

}  // namespace

Sample::Sample(const PublicKey& node, const Incarnation& incarnation, std::int64_t now_s, Size size)
    : fleet(testing::make_fleet(now_s - 60)), capsule(testing::sample_capsule(fleet)) {
  capsule.issued_at_s = now_s;
  capsule.audience = {.node = node, .incarnation = incarnation};
  capsule.not_before_s = now_s - 60;
  capsule.not_after_s = now_s + 86'400;
  capsule.lease_ttl_ms = 3'600'000;
  capsule.lease_idle_ms = 3'600'000;
  capsule.max_depth = limits::kBlocksMax;
  capsule.log_quota_bytes = 1'000'000'000'000;
  if (size == Size::small) return;
  capsule.grants.clear();
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
  Capsule numbered = capsule;
  numbered.serial = serial;
  return testing::sign_capsule(fleet, numbered);
}

Bytes Sample::signed_file(std::uint64_t serial, std::size_t signatures) const {
  Bytes file = signed_file(serial);
  crypto::SigningKey holder = crypto::SigningKey::from_seed(fleet.holder_key.seed());
  std::string parent = capsule.grants.front().id;
  for (std::size_t i = 1; i < signatures; ++i) {
    crypto::SigningKey next = crypto::SigningKey::generate();
    Block block;
    block.holder = next.public_key();
    block.grants = {
        {.id = "kept-" + std::to_string(i), .parent = parent, .args = {}, .budget = {}}};
    parent = block.grants.front().id;
    file = testing::narrow_capsule(file, block, holder);
    holder = std::move(next);
  }
  return file;
}

}  // namespace taper::bench
