// Writes openings.vec: what `open` asks of a capsule's framing, signers and limits, in its order;
// and roots.vec: the same of trust roots. What is expected is stated here by hand.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "crypto/crypto.h"
#include "root_generated.h"
#include "runtime/base/text.h"
#include "tests/support/signed_capsule.h"
#include "tests/support/wire_tree.h"
#include "tests/vectors/make_vectors.h"

namespace taper::testing {
namespace {

using capsules::Capsule;
using capsules::TrustRootData;
using T = wire::TrustRoot;
using I = wire::Issuer;
using L = wire::IssuerLimits;
using Octets = WireTree::Octets;
using Trees = WireTree::Trees;
using Words = WireTree::Words;

constexpr std::uint8_t kStranger = 99;
constexpr std::uint8_t kSecondRootKey = 2;

struct Signed {
  KeyId key;
  std::uint8_t kind = 1;
  Bytes signature;
};

KeyId id_of(std::uint8_t key) { return crypto::key_id(known_key(key).public_key()); }

Signed by(std::uint8_t key, std::string_view statement, ByteSpan payload) {
  const crypto::Signature raw = known_key(key).sign(statement, payload);
  return {id_of(key), 1, {raw.begin(), raw.end()}};
}

Bytes framed(std::string_view magic, ByteSpan payload, const std::vector<Signed>& signatures) {
  ByteWriter out;
  out.raw(as_bytes(magic)).block(payload).u8(static_cast<std::uint8_t>(signatures.size()));
  for (const Signed& one : signatures) {
    out.raw(one.key.span()).u8(one.kind).u16(static_cast<std::uint16_t>(one.signature.size()));
    out.raw(one.signature);
  }
  if (magic == "TPC1") out.u8(0);
  return std::move(out).bytes();
}

void write(const char* about, const std::string& file, const std::string& expected) {
  std::printf("# %s\nfile: %s\nexpect: %s\n", about, file.c_str(), expected.c_str());
}
void refuses(int number, const char* about, ByteSpan file) {
  write(about, to_hex(file), "refuses " + std::to_string(number));
}

// One trust root and the rows that are opened with it.
class Openings {
 public:
  Openings(const char* about, TrustRootData data) : root_(opened_root(data)) {
    std::printf("# %s\nroot: %s\n", about, to_hex(signed_root(data)).c_str());
  }

  Capsule capsule() const {
    Capsule out = sample_capsule(root_);
    out.grants.pop_back();
    out.plan = {};
    out.entry = capsules::EntryKind::session;
    return out;
  }
  static void opens(const char* about, ByteSpan file) {
    const auto envelope = capsules::read_envelope(file);
    TAPER_ASSERT(envelope.ok());
    write(about, to_hex(file),
          "opens 0 " + crypto::hash(envelope->payload).hex() + " " + crypto::hash(file).hex() +
              " " + known_key(kHolderKey).public_key().hex());
  }
  Bytes file(
      const std::vector<std::uint8_t>& keys,
      const std::function<void(Capsule&)>& change = [](Capsule&) {}) const {
    Capsule out = capsule();
    change(out);
    const Bytes payload = capsule_payload(out);
    std::vector<Signed> signatures;
    for (const std::uint8_t key : keys)
      signatures.push_back(by(key, crypto::statement::kCapsule, payload));
    return framed("TPC1", payload, signatures);
  }
  // Signed by the issuer; the signature is changed.
  Bytes spoilt(const std::function<void(Signed&)>& change) const {
    const Bytes payload = capsule_payload(capsule());
    Signed one = by(kIssuerKey, crypto::statement::kCapsule, payload);
    change(one);
    return framed("TPC1", payload, {one});
  }

 private:
  capsules::TrustRoot root_;
};

void write_framing(const Openings& v) {
  const Bytes good = v.file({kIssuerKey});
  v.opens("one signature", good);
  v.opens("two where one is needed", v.file({kSecondIssuerKey, kIssuerKey}));
  Bytes changed = good;
  changed[3] = '2';
  refuses(201, "another version of the framing", changed);
  refuses(201, "nothing", {});
  refuses(201, "the magic alone", ByteSpan(good).first(4));
  refuses(201, "cut in the middle", ByteSpan(good).first(good.size() / 2));
  refuses(201, "the count of blocks cut off", ByteSpan(good).first(good.size() - 1));
  changed = good;
  changed[4] = static_cast<std::uint8_t>(changed[4] + 1);
  refuses(201, "a payload one byte longer than it is", changed);
  changed[7] = 0xff;
  refuses(201, "a payload of 4 GiB", changed);
  refuses(201, "no signature", v.file({}));
  refuses(201, "nine signatures", v.file(std::vector<std::uint8_t>(9, kIssuerKey)));
  refuses(201, "a raw signature of 63 bytes", v.spoilt([](Signed& s) { s.signature.pop_back(); }));
  refuses(201, "and of 65", v.spoilt([](Signed& s) { s.signature.push_back(0); }));
  refuses(201, "a signature of 1,025 bytes", v.spoilt([](Signed& s) {
    s.kind = 2;
    s.signature.resize(1025);
  }));
}

void write_signers(const Openings& v) {
  refuses(205, "kind 0", v.spoilt([](Signed& s) { s.kind = 0; }));
  refuses(205, "kind 4", v.spoilt([](Signed& s) { s.kind = 4; }));
  refuses(300, "a raw signature said to be of SSH", v.spoilt([](Signed& s) { s.kind = 2; }));
  refuses(300, "said to be of a security key", v.spoilt([](Signed& s) { s.kind = 3; }));
  refuses(300, "a bit of the signature", v.spoilt([](Signed& s) { s.signature[40] ^= 1; }));
  refuses(300, "an S that is not reduced", v.spoilt([](Signed& s) { s.signature[63] |= 0xe0; }));
  refuses(300, "a signature of nothing", v.spoilt([](Signed& s) { s.signature.assign(64, 0); }));
  refuses(300, "another issuer's signature under this key", v.spoilt([&](Signed& s) {
    s.signature =
        by(kSecondIssuerKey, crypto::statement::kCapsule, capsule_payload(v.capsule())).signature;
  }));
  refuses(300, "signed as a block", v.spoilt([&](Signed& s) {
    s = by(kIssuerKey, crypto::statement::kBlock, capsule_payload(v.capsule()));
  }));
  refuses(300, "signed as a trust root", v.spoilt([&](Signed& s) {
    s = by(kIssuerKey, crypto::statement::kRoot, capsule_payload(v.capsule()));
  }));
  refuses(303, "the same key twice", v.file({kIssuerKey, kIssuerKey}));
  refuses(303, "a stranger twice", v.file({kStranger, kStranger}));
  refuses(301, "a stranger", v.file({kStranger}));
  refuses(301, "a stranger beside the issuer", v.file({kIssuerKey, kStranger}));
  refuses(301, "the root's own key", v.file({kRootKey}));
  refuses(301, "the holder", v.file({kHolderKey}));
  refuses(304, "an issuer who is not the one that the capsule names", v.file({kSecondIssuerKey}));
  refuses(300, "one good signature and one bad", [&] {
    const Bytes payload = capsule_payload(v.capsule());
    Signed bad = by(kSecondIssuerKey, crypto::statement::kCapsule, payload);
    bad.signature[0] ^= 1;
    return framed("TPC1", payload, {by(kIssuerKey, crypto::statement::kCapsule, payload), bad});
  }());
  const Bytes junk(100, 'x');
  refuses(202, "good signatures of no payload",
          framed("TPC1", junk, {by(kIssuerKey, crypto::statement::kCapsule, junk)}));
  refuses(301, "a stranger's is not even looked at",
          framed("TPC1", junk, {by(kStranger, crypto::statement::kCapsule, junk)}));
}

void write_limits() {
  TrustRootData data = sample_root_data();
  data.issuers[0].limits.all_tools = false;
  data.issuers[0].limits.tools = {"file.list"};
  data.issuers[0].not_before_s = 1'790'000'000;
  data.issuers[0].not_after_s = 1'790'000'200;
  const Openings v("an issuer of one tool and 200 seconds", data);
  const auto changed = [&v](const std::function<void(Capsule&)>& change) {
    return v.file({kIssuerKey}, change);
  };
  v.opens("the tool of the issuer", v.file({kIssuerKey}));
  refuses(305, "another fleet", changed([](Capsule& c) { c.fleet.bytes[0] ^= 1; }));
  v.opens("at the first second of the key",
          changed([](Capsule& c) { c.issued_at_s = 1'790'000'000; }));
  v.opens("at its last", changed([](Capsule& c) { c.issued_at_s = 1'790'000'200; }));
  refuses(307, "before", changed([](Capsule& c) { c.issued_at_s = 1'789'999'999; }));
  refuses(307, "after", changed([](Capsule& c) { c.issued_at_s = 1'790'000'201; }));
  refuses(
      307, "after, though a second issuer's key is good",
      v.file({kIssuerKey, kSecondIssuerKey}, [](Capsule& c) { c.issued_at_s = 1'790'000'201; }));
  v.opens("the longest lease", changed([](Capsule& c) { c.lease_ttl_ms = 3'600'000; }));
  refuses(306, "a longer lease", changed([](Capsule& c) { c.lease_ttl_ms = 3'600'001; }));
  v.opens("the longest window",
          changed([](Capsule& c) { c.not_after_s = c.not_before_s + 604'800; }));
  refuses(306, "a longer window",
          changed([](Capsule& c) { c.not_after_s = c.not_before_s + 604'801; }));
  refuses(306, "older news", changed([](Capsule& c) { c.max_revocation_age_s = 604'801; }));
  refuses(306, "another tool", changed([](Capsule& c) { c.grants[0].tool = "file.read"; }));
  refuses(306, "another tool beside it", changed([](Capsule& c) {
            c.grants.push_back(c.grants[0]);
            c.grants[1].id = c.grants[1].tool = "file.lists";
          }));
  refuses(
      306, "a co-signer's wider limits do not help",
      v.file({kIssuerKey, kSecondIssuerKey}, [](Capsule& c) { c.grants[0].tool = "file.read"; }));

  data = sample_root_data();
  for (capsules::Issuer& issuer : data.issuers) issuer.limits.max_ttl_ms = 7'776'000'000;
  data.issuers[1].limits.long_leases = true;
  const Openings longer("long leases of the second issuer alone", data);
  const auto two_days = [](std::uint8_t issuer) {
    return [issuer](Capsule& c) {
      c.issuer = Hash{id_of(issuer).bytes};
      c.lease_ttl_ms = 2 * 86'400'000;
      c.long_lease = true;
    };
  };
  longer.opens("of him", longer.file({kSecondIssuerKey}, two_days(kSecondIssuerKey)));
  refuses(306, "of the first", longer.file({kIssuerKey}, two_days(kIssuerKey)));
  refuses(306, "of the first, with the second beside him",
          longer.file({kIssuerKey, kSecondIssuerKey}, two_days(kIssuerKey)));

  data = sample_root_data();
  data.issuer_threshold = 2;
  const Openings two("two of two issuers", data);
  two.opens("both", two.file({kIssuerKey, kSecondIssuerKey}));
  refuses(302, "one of them", two.file({kIssuerKey}));
  refuses(303, "one of them twice", two.file({kIssuerKey, kIssuerKey}));
  refuses(301, "one of them and a stranger", two.file({kIssuerKey, kStranger}));
}

// --- roots

WireTree key_tree(std::uint8_t key) {
  const PublicKey value = known_key(key).public_key();
  return {{{wire::Key::VT_KEY, Octets(value.bytes.begin(), value.bytes.end())}}};
}

WireTree base_root() {
  WireTree out = sample_wire_root();
  out.members[T::VT_ROOT_KEYS] = Trees{key_tree(kRootKey), key_tree(kSecondRootKey)};
  out.item(T::VT_ISSUERS, 0).members[I::VT_KEY] = key_tree(kIssuerKey).members[wire::Key::VT_KEY];
  return out;
}

Bytes root_file(const WireTree& tree, const std::vector<std::uint8_t>& keys = {kRootKey},
                std::string_view statement = crypto::statement::kRoot) {
  const Bytes payload = wire_bytes(tree, "TPRT");
  std::vector<Signed> signatures;
  for (const std::uint8_t key : keys) signatures.push_back(by(key, statement, payload));
  return framed("TPR1", payload, signatures);
}

WireTree root_with(const std::function<void(WireTree&)>& change) {
  WireTree out = base_root();
  change(out);
  return out;
}
WireTree issuer_with(std::uint16_t field, const WireTree::Member& value) {
  return root_with([&](WireTree& t) { t.item(T::VT_ISSUERS, 0).members[field] = value; });
}
WireTree limits_with(std::uint16_t field, const WireTree::Member& value) {
  return root_with(
      [&](WireTree& t) { t.item(T::VT_ISSUERS, 0).tree(I::VT_LIMITS).members[field] = value; });
}

void opens_root(const char* about, const WireTree& tree,
                const std::vector<std::uint8_t>& keys = {kRootKey}) {
  const Bytes file = root_file(tree, keys);
  const auto root = capsules::open_root(file);
  TAPER_ASSERT(root.ok());
  write(about, to_hex(file),
        "opens " + std::to_string(std::get<std::uint64_t>(tree.members.at(T::VT_VERSION))) + " " +
            root->fleet().hex());
}

WireTree later(std::uint64_t version, bool fleet, bool previous) {
  return root_with([=](WireTree& t) {
    t.members[T::VT_VERSION] = version;
    if (fleet) t.members[T::VT_FLEET] = Octets(32, 1);
    if (previous) t.members[T::VT_PREVIOUS] = Octets(32, 2);
  });
}
void refused(int number, const char* about, const WireTree& tree) {
  refuses(number, about, root_file(tree));
}

void write_root_fields() {
  const auto set = [](std::uint16_t field, WireTree::Member value) {
    return root_with([=](WireTree& t) { t.members[field] = value; });
  };
  opens_root("version 1 is its own fleet", base_root());
  opens_root("a later version says its fleet", later(2, true, true));
  refused(309, "version 1 of another fleet", later(1, true, false));
  refused(309, "version 1 after another", later(1, false, true));
  refused(309, "version 2 of no fleet", later(2, false, true));
  refused(309, "version 2 after none", later(2, true, false));
  refused(204, "version 0", set(T::VT_VERSION, std::uint64_t{0}));
  refused(205, "a feature from tomorrow", set(T::VT_FEATURES, Words{"tomorrow"}));
  refused(204, "security keys without one", set(T::VT_FEATURES, Words{"security-keys"}));
  refused(204, "a security key without the feature", issuer_with(I::VT_DEVICE, std::uint8_t{1}));
  WireTree device = issuer_with(I::VT_DEVICE, std::uint8_t{2});
  device.members[T::VT_FEATURES] = Words{"security-keys"};
  opens_root("a security key", device);
  device.item(T::VT_ISSUERS, 0).members[I::VT_DEVICE] = std::uint8_t{3};
  refused(205, "a device from tomorrow", device);
  WireTree leases = limits_with(L::VT_LONG_LEASES, true);
  refused(204, "long leases without the feature", leases);
  leases.members[T::VT_FEATURES] = Words{"long-leases"};
  opens_root("long leases", leases);
  leases.item(T::VT_ISSUERS, 0).tree(I::VT_LIMITS).members[L::VT_LONG_LEASES] = false;
  refused(204, "long leases, untrue", leases);
  refused(203, "no root key", set(T::VT_ROOT_KEYS, Trees{}));
  refused(204, "a root key twice",
          set(T::VT_ROOT_KEYS, Trees{key_tree(kRootKey), key_tree(kRootKey)}));
  refused(204, "no root signature needed", set(T::VT_ROOT_THRESHOLD, std::uint32_t{0}));
  refused(309, "more than there are root keys", set(T::VT_ROOT_THRESHOLD, std::uint32_t{3}));
  refused(309, "many more", set(T::VT_ROOT_THRESHOLD, ~std::uint32_t{0}));
  refused(203, "no issuer", set(T::VT_ISSUERS, Trees{}));
  refused(204, "no issuer's signature needed", set(T::VT_ISSUER_THRESHOLD, std::uint32_t{0}));
  refused(309, "more than there are issuers", set(T::VT_ISSUER_THRESHOLD, std::uint32_t{2}));
  refused(204, "an issuer twice", root_with([](WireTree& t) {
            const WireTree issuer = t.item(T::VT_ISSUERS, 0);
            t.members[T::VT_ISSUERS] = Trees{issuer, issuer};
          }));
  refused(204, "expired when it was issued", set(T::VT_EXPIRES_S, std::int64_t{1'789'999'999}));
  refused(204, "a key of 31 bytes",
          set(T::VT_APPROVERS, Trees{WireTree{{{wire::Key::VT_KEY, Octets(31, 1)}}}}));
  refused(204, "an auditor twice", set(T::VT_AUDITORS, Trees{key_tree(7), key_tree(7)}));
  refused(203, "an issuer without limits",
          root_with([](WireTree& t) { t.item(T::VT_ISSUERS, 0).members.erase(I::VT_LIMITS); }));
  refused(204, "tools beside all tools", limits_with(L::VT_TOOLS, Words{"file.read"}));
  refused(204, "no lease at all", limits_with(L::VT_MAX_TTL_MS, std::int64_t{0}));
  refused(204, "a lease beyond 90 days",
          limits_with(L::VT_MAX_TTL_MS, std::int64_t{7'776'000'001}));
  WireTree window = issuer_with(I::VT_NOT_BEFORE_S, std::int64_t{2});
  window.item(T::VT_ISSUERS, 0).members[I::VT_NOT_AFTER_S] = std::int64_t{1};
  refused(204, "a key that ends before it begins", window);
  refused(205, "a field from tomorrow", set(T::VT_TIME_RESET + 2, std::uint8_t{1}));
}

void write_time_resets() {
  WireTree reset = later(2, true, true);
  reset.members[T::VT_TIME_RESET] = true;
  refused(204, "a reset of the time without the feature", reset);
  reset.members[T::VT_FEATURES] = Words{"time-reset"};
  opens_root("a reset of the time", reset);
  reset.members[T::VT_TIME_RESET] = false;
  refused(204, "a reset of the time, untrue", reset);
  WireTree first_reset = root_with([](WireTree& t) { t.members[T::VT_TIME_RESET] = true; });
  first_reset.members[T::VT_FEATURES] = Words{"time-reset"};
  refused(309, "a reset of the time in version 1", first_reset);
}

void write_root_signatures() {
  const Bytes payload = wire_bytes(base_root(), "TPRT");
  const Signed good = by(kRootKey, crypto::statement::kRoot, payload);
  const auto spoilt = [&](const std::function<void(Signed&)>& change) {
    Signed one = good;
    change(one);
    return framed("TPR1", payload, {one});
  };
  opens_root("both of its keys", base_root(), {kSecondRootKey, kRootKey});
  refuses(303, "one key twice", root_file(base_root(), {kRootKey, kRootKey}));
  refuses(309, "a stranger", root_file(base_root(), {kStranger}));
  refuses(309, "a stranger beside a key of it", root_file(base_root(), {kRootKey, kStranger}));
  refuses(309, "its issuer", root_file(base_root(), {kIssuerKey}));
  WireTree two = base_root();
  two.members[T::VT_ROOT_THRESHOLD] = std::uint32_t{2};
  refuses(302, "one of two", root_file(two));
  opens_root("two of two", two, {kRootKey, kSecondRootKey});
  refuses(300, "signed as a capsule",
          root_file(base_root(), {kRootKey}, crypto::statement::kCapsule));
  refuses(300, "a bit of the signature", spoilt([](Signed& s) { s.signature[0] ^= 1; }));
  refuses(205, "kind 4", spoilt([](Signed& s) { s.kind = 4; }));
  refuses(206, "kind 2", spoilt([](Signed& s) { s.kind = 2; }));
  refuses(201, "63 bytes", spoilt([](Signed& s) { s.signature.pop_back(); }));
  refuses(201, "no signature", framed("TPR1", payload, {}));
  refuses(201, "a capsule's magic", framed("TPC1", payload, {good}));
  Bytes longer = framed("TPR1", payload, {good});
  longer.push_back(0);
  refuses(201, "a byte behind the last signature", longer);
}

}  // namespace

void write_openings() {
  std::puts(
      "# Capsules in hex, made by make_vectors, opened with the trust root above them. Rows as in "
      "chains.vec.");
  const Openings plain("two issuers, one of them is enough", sample_root_data());
  write_framing(plain);
  write_signers(plain);
  write_limits();
}

void write_roots() {
  std::puts(
      "# Trust roots in hex, made by make_vectors: `opens VERSION FLEET`, or `refuses` and the "
      "error's number.");
  write_root_fields();
  write_time_resets();
  write_root_signatures();
}

}  // namespace taper::testing
