#include <catch2/catch.hpp>
#include <functional>

#include "capsules/constraints.h"
#include "capsules/open_cache.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "tests/support/signed_capsule.h"

namespace taper::capsules {
namespace {

using testing::kHolderKey;
using testing::kIssuerKey;
using testing::known_key;
using testing::kRootKey;
using testing::kSecondIssuerKey;
using testing::opened_root;
using testing::sample_capsule;
using testing::sample_root_data;
using testing::signed_capsule;
using testing::signed_payload;

KeyId id_of(std::uint8_t key) { return crypto::key_id(known_key(key).public_key()); }

// A valid capsule for a valid root, and what changes to either do.
struct Fixture {
  TrustRootData data = sample_root_data();
  TrustRoot root = opened_root(data);
  Capsule capsule = sample_capsule(root);

  Code opened(ByteSpan file) const { return open(file, root).code(); }
  Code with(const std::function<void(Capsule&)>& change) const {
    Capsule changed = capsule;
    change(changed);
    return opened(signed_capsule(changed));
  }
  // As signed for a root that differs; the fleet follows.
  Code under(const std::function<void(TrustRootData&)>& change,
             std::initializer_list<std::uint8_t> keys = {kIssuerKey}) const {
    TrustRootData changed = data;
    change(changed);
    const TrustRoot other = opened_root(changed);
    Capsule renamed = capsule;
    renamed.fleet = other.fleet();
    return open(signed_capsule(renamed, keys), other).code();
  }
};

TEST_CASE("A signed capsule opens and says what was signed", "[capsules][R3][R13]") {
  const Fixture f;
  const Bytes file = signed_capsule(f.capsule, {kIssuerKey, kSecondIssuerKey});
  const auto opened = open(file, f.root);
  REQUIRE(opened.code() == Code::ok);
  const Capsule& said = opened->root();
  CHECK(said.issuer == f.capsule.issuer);
  CHECK(said.serial == 7);
  CHECK(said.purpose == f.capsule.purpose);
  CHECK(said.holder == f.capsule.holder);
  CHECK(said.audience.incarnation == f.capsule.audience.incarnation);
  CHECK(said.not_after_s == f.capsule.not_after_s);
  CHECK(said.lease_ttl_ms == 900'000);
  CHECK(said.end_on.denials == 3);
  REQUIRE(said.grants.size() == 2);
  CHECK(said.grants[0].budget.calls == 10);
  CHECK_FALSE(said.grants[0].budget.bytes.has_value());
  CHECK(said.grants[0].verbs.size() == 6);
  REQUIRE(said.grants[1].args.size() == 2);
  CHECK(describe_constraint(said.grants[1].args[1].all[0]) == "length 0..4096");
  REQUIRE(said.plan.steps.size() == 2);
  CHECK(said.plan.steps[1].needs == std::vector<std::string>{"list"});
  CHECK(opened->id() == crypto::hash(testing::capsule_payload(f.capsule)));
  CHECK(opened->chain() == crypto::hash(file));
  CHECK(opened->holder() == known_key(kHolderKey).public_key());
  CHECK(opened->signers() == std::vector<KeyId>{id_of(kIssuerKey), id_of(kSecondIssuerKey)});
  CHECK(opened->root_version() == 1);
}

TEST_CASE("Every flipped bit pattern of a capsule is refused", "[capsules][R3]") {
  const Fixture f;
  const Bytes file = signed_capsule(f.capsule);
  for (std::size_t i = 0; i < file.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xFF}) {
      Bytes changed = file;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ mask);
      INFO("byte " << i << " mask " << mask);
      REQUIRE(f.opened(changed) != Code::ok);
    }
  }
}

TEST_CASE("Every truncation and every added byte is refused", "[capsules][R3]") {
  const Fixture f;
  const Bytes file = signed_capsule(f.capsule);
  for (std::size_t size = 0; size < file.size(); ++size) {
    REQUIRE(f.opened(ByteSpan(file).first(size)) != Code::ok);
  }
  for (const int byte : {0x00, 0x01, 0xFF}) {
    Bytes longer = file;
    longer.push_back(static_cast<std::uint8_t>(byte));
    CHECK(f.opened(longer) == Code::envelope_malformed);
  }
  CHECK(f.opened(Bytes(limits::kCapsuleBytesMax + 1)) == Code::too_large);
}

TEST_CASE("Signatures count by distinct listed keys", "[capsules][R3]") {
  const Fixture f;
  const auto two = [](TrustRootData& data) { data.issuer_threshold = 2; };
  CHECK(f.under(two, {kIssuerKey, kSecondIssuerKey}) == Code::ok);
  CHECK(f.under(two, {kIssuerKey}) == Code::too_few_signatures);
  CHECK(f.under(two, {kIssuerKey, kIssuerKey}) == Code::signer_repeated);
  CHECK(f.opened(signed_capsule(f.capsule, {kIssuerKey, kIssuerKey})) == Code::signer_repeated);
  CHECK(f.opened(signed_capsule(f.capsule, {99})) == Code::signer_unknown);
  CHECK(f.opened(signed_capsule(f.capsule, {kIssuerKey, 99})) == Code::signer_unknown);
  CHECK(f.opened(signed_capsule(f.capsule, {kRootKey})) == Code::signer_unknown);
  CHECK(f.opened(signed_capsule(f.capsule, {kSecondIssuerKey})) == Code::issuer_not_signer);
}

TEST_CASE("A signature over another statement, or under another name, is refused",
          "[capsules][R3]") {
  const Fixture f;
  const Bytes payload = testing::capsule_payload(f.capsule);
  const auto key = known_key(kIssuerKey);
  const auto foreign = key.sign(crypto::statement::kBlock, payload);
  CHECK(f.opened(write_envelope(payload, {{id_of(kIssuerKey), foreign}})) == Code::signature_wrong);
  const auto good = key.sign(crypto::statement::kCapsule, payload);
  CHECK(f.opened(write_envelope(payload, {{id_of(kSecondIssuerKey), good}})) ==
        Code::signature_wrong);
}

TEST_CASE("A signature of another kind is refused", "[capsules]") {
  const Fixture f;
  Bytes file = signed_capsule(f.capsule);
  const std::size_t kind = 4 + 4 + testing::capsule_payload(f.capsule).size() + 1 + 32;
  for (const auto& [value, code] :
       {std::pair{0, Code::feature_unknown}, std::pair{2, Code::signature_wrong},
        std::pair{3, Code::signature_wrong}, std::pair{4, Code::feature_unknown}}) {
    file[kind] = static_cast<std::uint8_t>(value);
    CHECK(f.opened(file) == code);
  }
}

TEST_CASE("A capsule never exceeds its issuer's limits", "[capsules][R13][R33]") {
  const Fixture f;
  CHECK(f.with([](Capsule& c) { c.lease_ttl_ms = 3'600'000; }) == Code::ok);
  CHECK(f.with([](Capsule& c) { c.lease_ttl_ms = 3'600'001; }) == Code::issuer_limit);
  CHECK(f.with([](Capsule& c) { c.not_after_s = c.not_before_s + 7 * 86'400; }) == Code::ok);
  CHECK(f.with([](Capsule& c) { c.not_after_s = c.not_before_s + 7 * 86'400 + 1; }) ==
        Code::issuer_limit);
  CHECK(f.with([](Capsule& c) { c.max_revocation_age_s += 1; }) == Code::issuer_limit);
  const auto only = [](std::vector<std::string> tools) {
    return [tools](TrustRootData& data) {
      data.issuers[0].limits.all_tools = false;
      data.issuers[0].limits.tools = tools;
    };
  };
  CHECK(f.under(only({"file.list", "file.write"})) == Code::ok);
  CHECK(f.under(only({"file.list"})) == Code::issuer_limit);
  CHECK(f.under(only({})) == Code::issuer_limit);
}

TEST_CASE("An issuer's key counts within its window only", "[capsules][R13]") {
  const Fixture f;
  const std::int64_t at = f.capsule.issued_at_s;
  const auto window = [](std::size_t who, std::int64_t from, std::int64_t to) {
    return [=](TrustRootData& data) {
      data.issuers[who].not_before_s = from;
      data.issuers[who].not_after_s = to;
    };
  };
  CHECK(f.under(window(0, at, at)) == Code::ok);
  CHECK(f.under(window(0, at + 1, at + 2)) == Code::issuer_window);
  CHECK(f.under(window(0, at - 2, at - 1)) == Code::issuer_window);
  CHECK(f.under(window(1, at - 2, at - 1)) == Code::ok);
  CHECK(f.under(window(1, at - 2, at - 1), {kIssuerKey, kSecondIssuerKey}) == Code::issuer_window);
}

TEST_CASE("A capsule of another fleet is refused", "[capsules][R3]") {
  const Fixture f;
  CHECK(f.with([](Capsule& c) { c.fleet.bytes[0] ^= 1; }) == Code::fleet_other);
}

// A chain of one block by the holder, kept grant "file.list".
struct Chain : Fixture {
  Block block;
  Chain() {
    capsule.max_depth = 2;
    block.holder = known_key(21).public_key();
    block.grants = {{"list", "file.list", {}, {}}};
  }
  Bytes file() const { return signed_capsule(capsule); }
};

TEST_CASE("A chain is verified whole", "[capsules][R3]") {
  const Chain f;
  const Bytes one = testing::narrowed(f.file(), f.block, kHolderKey);
  CHECK(f.opened(one) == Code::ok);
  const auto read = read_untrusted(one, {known_key(kIssuerKey).public_key()});
  REQUIRE(read.code() == Code::ok);
  CHECK(read->signatures_checked);
  CHECK(read->blocks.at(0).holder == f.block.holder);

  Block next = f.block;
  next.grants = {{"again", "list", {}, {}}};
  const Bytes two = testing::narrowed(one, next, 21);
  CHECK(f.opened(two) == Code::ok);
  // The first holder has handed on; the next block is not his.
  CHECK(f.opened(testing::narrowed(one, next, kHolderKey)) == Code::block_broken);
  next.grants = {{"last", "again", {}, {}}};
  CHECK(f.opened(testing::narrowed(two, next, 21)) == Code::block_broken);  // depth 3 of 2
}

TEST_CASE("A forged, spliced or dangling block breaks the chain", "[capsules][R3]") {
  const Chain f;
  CHECK(f.opened(testing::narrowed(f.file(), f.block, kIssuerKey)) == Code::block_broken);
  CHECK(f.opened(testing::narrowed(f.file(), f.block, 21)) == Code::block_broken);

  Block dangling = f.block;
  dangling.grants[0].parent = "file.read";
  CHECK(f.opened(testing::narrowed(f.file(), dangling, kHolderKey)) == Code::block_broken);

  // A block of one capsule under another of the same holder.
  Capsule other = f.capsule;
  other.serial = 8;
  const Bytes donor = testing::narrowed(signed_capsule(other), f.block, kHolderKey);
  const Envelope given = read_envelope(donor).value();
  crypto::Signature signature{};
  std::copy(given.blocks[0].signature.begin(), given.blocks[0].signature.end(), signature.begin());
  const auto spliced = append_block(f.file(), given.blocks[0].payload, signature);
  REQUIRE(spliced.ok());
  CHECK(f.opened(*spliced) == Code::block_broken);

  // A parent of the root block is no parent for the second block.
  const Bytes one = testing::narrowed(f.file(), f.block, kHolderKey);
  CHECK(f.opened(testing::narrowed(one, f.block, 21)) == Code::block_broken);
}

TEST_CASE("Every flipped byte of a chain is refused as broken", "[capsules][R3]") {
  const Chain f;
  const Bytes file = testing::narrowed(f.file(), f.block, kHolderKey);
  for (std::size_t i = 0; i < file.size(); ++i) {
    Bytes changed = file;
    changed[i] ^= 0x01;
    const Code code = f.opened(changed);
    INFO("byte " << i);
    REQUIRE(code != Code::ok);
    REQUIRE(read_untrusted(changed, {known_key(kIssuerKey).public_key()}).code() != Code::ok);
  }
}

TEST_CASE("Without keys the reading says that it checked none", "[capsules]") {
  const Fixture f;
  const Bytes file = signed_capsule(f.capsule);
  const auto read = read_untrusted(file, {});
  REQUIRE(read.ok());
  CHECK_FALSE(read->signatures_checked);
  CHECK(read_untrusted(file, {known_key(99).public_key()}).code() == Code::signer_unknown);
  Bytes forged = file;
  forged[forged.size() - 2] ^= 1;  // in the signature
  CHECK(read_untrusted(forged, {}).ok());
  CHECK(read_untrusted(forged, {known_key(kIssuerKey).public_key()}).code() ==
        Code::signature_wrong);
}

TEST_CASE("Kept verdicts belong to one file and one root", "[capsules]") {
  const Fixture f;
  OpenCache cache;
  const Bytes file = signed_capsule(f.capsule);
  CHECK(cache.open(file, f.root).ok());
  CHECK(cache.open(file, f.root).ok());
  Bytes changed = file;
  changed.back() = 1;
  CHECK_FALSE(cache.open(changed, f.root).ok());
  TrustRootData other = f.data;
  other.issuers.erase(other.issuers.begin());
  CHECK(cache.open(file, opened_root(other)).code() == Code::signer_unknown);
  for (std::uint64_t serial = 100; serial < 100 + 2 * limits::kOpenCacheEntries; ++serial) {
    Capsule another = f.capsule;
    another.serial = serial;
    REQUIRE(cache.open(signed_capsule(another), f.root)->root().serial == serial);
  }
  CHECK(cache.open(file, f.root)->root().serial == 7);
}

}  // namespace
}  // namespace taper::capsules
