#include <catch2/catch.hpp>
#include <functional>

#include "capsules/open.h"
#include "crypto/crypto.h"
#include "root_generated.h"
#include "runtime/base/limits.h"
#include "tests/support/signed_capsule.h"
#include "tests/support/wire_tree.h"

namespace taper::capsules {
namespace {

using testing::kHolderKey;
using testing::known_key;
using testing::kRootKey;
using testing::sample_root_data;
using testing::sample_wire_root;
using testing::signed_root;
using testing::WireTree;
using T = wire::TrustRoot;
using Trees = WireTree::Trees;

constexpr std::uint8_t kSecondRootKey = 2;

// The tree as a file, signed by the sample's root key, which it names.
Code opened(WireTree tree) {
  const PublicKey key = known_key(kRootKey).public_key();
  if (tree.members.contains(T::VT_ROOT_KEYS) &&
      !std::get<Trees>(tree.members[T::VT_ROOT_KEYS]).empty()) {
    tree.item(T::VT_ROOT_KEYS, 0).members[wire::Key::VT_KEY] = to_bytes(key.span());
  }
  const Bytes payload = testing::wire_bytes(tree, "TPRT");
  const auto signature = known_key(kRootKey).sign(crypto::statement::kRoot, payload);
  return open_root(frame_root(payload, {{crypto::key_id(key), signature}})).code();
}
Code with(const std::function<void(WireTree&)>& change) {
  WireTree tree = sample_wire_root();
  change(tree);
  return opened(std::move(tree));
}
Code set(std::uint16_t field, const WireTree::Member& value) {
  return with([&](WireTree& tree) { tree.members[field] = value; });
}

TEST_CASE("A signed root opens and says what was signed", "[capsules][R13]") {
  TrustRootData data = sample_root_data();
  data.issuers[1].limits.all_tools = false;
  data.issuers[1].limits.tools = {"file.read"};
  data.issuers[1].not_after_s = 1'800'000'000;
  data.expires_s = 1'900'000'000;
  data.approvers = {known_key(40).public_key()};
  data.allocators = {known_key(41).public_key(), known_key(42).public_key()};
  const auto root = open_root(signed_root(data));
  REQUIRE(root.code() == Code::ok);
  CHECK(root->fleet() == root->hash());
  CHECK(root->hash() == crypto::hash(encode_root(data).value()));
  CHECK(root->data().issuers.at(1).limits.tools == std::vector<std::string>{"file.read"});
  CHECK(root->data().issuers.at(1).not_after_s == 1'800'000'000);
  CHECK_FALSE(root->data().issuers.at(0).not_after_s.has_value());
  CHECK(root->data().allocators == data.allocators);
  CHECK(root->data().expires_s == data.expires_s);
  const Issuer* issuer = root->issuer(crypto::key_id(data.issuers[1].key));
  REQUIRE(issuer != nullptr);
  CHECK(issuer->key == data.issuers[1].key);
  CHECK(root->issuer(crypto::key_id(known_key(40).public_key())) == nullptr);
}

TEST_CASE("A root that allows long leases says so in its features", "[capsules][R22]") {
  TrustRootData data = sample_root_data();
  const auto features = [&](const WireTree::Words& words) {
    return with([&](WireTree& tree) { tree.members[T::VT_FEATURES] = words; });
  };
  CHECK(features({"long-leases"}) == Code::field_invalid);
  data.issuers[0].limits.long_leases = true;
  const auto root = open_root(signed_root(data));
  REQUIRE(root.code() == Code::ok);
  CHECK(root->data().issuers[0].limits.long_leases);
  CHECK_FALSE(root->data().issuers[1].limits.long_leases);
  const auto said = [](const WireTree::Words& words, bool value) {
    return with([&](WireTree& tree) {
      using I = wire::Issuer;
      using L = wire::IssuerLimits;
      tree.members[T::VT_FEATURES] = words;
      tree.item(T::VT_ISSUERS, 0).tree(I::VT_LIMITS).members[L::VT_LONG_LEASES] = value;
    });
  };
  CHECK(said({"long-leases"}, true) == Code::ok);
  CHECK(said({}, true) == Code::field_invalid);
  CHECK(said({}, false) == Code::field_invalid);
  CHECK(said({"long-leases", "long-leases"}, true) == Code::field_invalid);
  CHECK(said({"long-leases", "security-keys"}, true) == Code::field_invalid);
}

TEST_CASE("A root that resets the time says so in its features, and is not the first",
          "[capsules][R13]") {
  TrustRootData data = sample_root_data();
  data.time_reset = true;
  CHECK(encode_root(data).code() == Code::root_malformed);
  data.version = 2;
  data.fleet = data.previous = crypto::hash(as_bytes("before"));
  const auto root = open_root(signed_root(data));
  REQUIRE(root.code() == Code::ok);
  CHECK(root->data().time_reset);
  const auto said = [](const WireTree::Words& words, std::optional<bool> value) {
    return with([&](WireTree& tree) {
      tree.members[T::VT_FEATURES] = words;
      if (value) tree.members[T::VT_TIME_RESET] = *value;
    });
  };
  CHECK(said({"time-reset"}, std::nullopt) == Code::field_invalid);
  CHECK(said({}, true) == Code::field_invalid);
  CHECK(said({}, false) == Code::field_invalid);
  CHECK(said({"time-reset"}, true) == Code::root_malformed);  // version 1
}

TEST_CASE("Every flip, truncation and added byte of a root is refused", "[capsules][R13]") {
  const Bytes file = signed_root(sample_root_data());
  for (std::size_t i = 0; i < file.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xFF}) {
      Bytes changed = file;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ mask);
      INFO("byte " << i << " mask " << mask);
      REQUIRE_FALSE(open_root(changed).ok());
    }
    REQUIRE_FALSE(open_root(ByteSpan(file).first(i)).ok());
  }
  Bytes longer = file;
  longer.push_back(0);
  CHECK(open_root(longer).code() == Code::envelope_malformed);
  CHECK(open_root(Bytes(limits::kRootBytesMax + 1)).code() == Code::too_large);
}

TEST_CASE("A root is signed by enough of its own distinct root keys", "[capsules][R13]") {
  TrustRootData data = sample_root_data();
  data.root_keys.push_back(known_key(kSecondRootKey).public_key());
  const auto code = [&data](std::initializer_list<std::uint8_t> keys) {
    return open_root(signed_root(data, keys)).code();
  };
  data.root_threshold = 2;
  CHECK(code({kRootKey, kSecondRootKey}) == Code::ok);
  CHECK(code({kRootKey}) == Code::too_few_signatures);
  CHECK(code({kRootKey, kRootKey}) == Code::signer_repeated);
  CHECK(code({kRootKey, testing::kIssuerKey}) == Code::root_malformed);
  CHECK(code({kRootKey, kSecondRootKey, kHolderKey}) == Code::root_malformed);
  data.root_threshold = 1;
  CHECK(code({kSecondRootKey}) == Code::ok);
  // A capsule's signature over the same bytes is no root's signature.
  const Bytes payload = encode_root(data).value();
  const auto key = known_key(kRootKey);
  const auto foreign = key.sign(crypto::statement::kCapsule, payload);
  CHECK(open_root(frame_root(payload, {{crypto::key_id(key.public_key()), foreign}})).code() ==
        Code::signature_wrong);
}

TEST_CASE("A root that makes no sense is neither written nor read", "[capsules]") {
  const auto both = [](const std::function<void(TrustRootData&)>& change) {
    TrustRootData data = sample_root_data();
    change(data);
    return encode_root(data).code();
  };
  CHECK(both([](TrustRootData&) {}) == Code::ok);
  CHECK(both([](TrustRootData& d) { d.version = 0; }) != Code::ok);
  CHECK(both([](TrustRootData& d) { d.version = 2; }) == Code::root_malformed);
  CHECK(both([](TrustRootData& d) { d.fleet = Hash{}; }) == Code::root_malformed);
  CHECK(both([](TrustRootData& d) { d.root_threshold = 2; }) == Code::root_malformed);
  CHECK(both([](TrustRootData& d) { d.root_threshold = 0; }) == Code::field_invalid);
  CHECK(both([](TrustRootData& d) { d.issuer_threshold = 3; }) == Code::root_malformed);
  CHECK(both([](TrustRootData& d) { d.issuer_threshold = 0; }) == Code::field_invalid);
  CHECK(both([](TrustRootData& d) { d.issuers.push_back(d.issuers[0]); }) == Code::field_invalid);
  CHECK(both([](TrustRootData& d) { d.root_keys.push_back(d.root_keys[0]); }) ==
        Code::field_invalid);
  CHECK(both([](TrustRootData& d) { d.issuers[0].limits.tools = {"x"}; }) == Code::field_invalid);
  CHECK(both([](TrustRootData& d) { d.issuers[0].limits.max_ttl_ms = 0; }) == Code::field_invalid);
  CHECK(both([](TrustRootData& d) { d.expires_s = d.issued_at_s - 1; }) == Code::field_invalid);

  CHECK(with([](WireTree&) {}) == Code::ok);
  CHECK(set(T::VT_VERSION, std::uint64_t{2}) == Code::root_malformed);
  CHECK(set(T::VT_FLEET, Bytes(32)) == Code::root_malformed);
  CHECK(set(T::VT_PREVIOUS, Bytes(32)) == Code::root_malformed);
  CHECK(set(T::VT_ROOT_THRESHOLD, std::uint32_t{2}) == Code::root_malformed);
  CHECK(set(T::VT_ISSUER_THRESHOLD, std::uint32_t{2}) == Code::root_malformed);
  CHECK(set(T::VT_ISSUERS, Trees{}) == Code::field_missing);
  CHECK(set(T::VT_ROOT_KEYS, Trees{}) == Code::field_missing);
  CHECK(set(T::VT_FEATURES, WireTree::Words{"x"}) == Code::feature_unknown);
  CHECK(set(T::VT_TIME_RESET + 2, true) == Code::feature_unknown);
}

TEST_CASE("A later version names its fleet", "[capsules]") {
  TrustRootData data = sample_root_data();
  const Hash first = testing::opened_root(data).hash();
  data.version = 2;
  data.fleet = first;
  data.previous = first;
  const auto second = open_root(signed_root(data));
  REQUIRE(second.ok());
  CHECK(second->fleet() == first);
  CHECK(second->hash() != first);
}

TEST_CASE("Each required field of a root is missed by its name", "[capsules]") {
  for (const std::uint16_t field : {T::VT_VERSION, T::VT_ISSUED_AT_S, T::VT_ROOT_KEYS,
                                    T::VT_ROOT_THRESHOLD, T::VT_ISSUERS, T::VT_ISSUER_THRESHOLD}) {
    INFO(field);
    CHECK(with([&](WireTree& tree) { tree.members.erase(field); }) == Code::field_missing);
  }
  using I = wire::Issuer;
  using L = wire::IssuerLimits;
  for (const std::uint16_t field : {I::VT_KEY, I::VT_LIMITS}) {
    CHECK(with([&](WireTree& tree) { tree.item(T::VT_ISSUERS, 0).members.erase(field); }) ==
          Code::field_missing);
  }
  for (const std::uint16_t field :
       {L::VT_MAX_TTL_MS, L::VT_MAX_VALIDITY_S, L::VT_MAX_REVOCATION_AGE_S, L::VT_ALL_TOOLS}) {
    CHECK(with([&](WireTree& tree) {
            tree.item(T::VT_ISSUERS, 0).tree(I::VT_LIMITS).members.erase(field);
          }) == Code::field_missing);
  }
}

}  // namespace
}  // namespace taper::capsules
