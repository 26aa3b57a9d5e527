#include <catch2/catch.hpp>
#include <functional>

#include "capsules/envelope.h"
#include "crypto/crypto.h"
#include "runtime/base/text.h"
#include "tests/support/signed_capsule.h"
#include "tests/support/ssh_signer.h"
#include "tests/support/vector_file.h"

namespace taper::capsules {
namespace {

using crypto::Device;
using testing::kIssuerKey;
using testing::known_key;
using testing::kSecondIssuerKey;
using testing::SecurityKey;
using testing::ssh_sign;

// A capsule of the first issuer, in a fleet that says what each issuer's key is kept in.
struct Fixture {
  Device first, second;
  TrustRoot root = opened();
  Bytes payload = testing::capsule_payload(testing::sample_capsule(root));

  explicit Fixture(Device one, Device two = Device::none) : first(one), second(two) {}

  TrustRoot opened() const {
    TrustRootData data = testing::sample_root_data();
    data.issuers[0].device = first;
    data.issuers[1].device = second;
    return testing::opened_root(data);
  }
  static KeyId id(std::uint8_t key) { return crypto::key_id(known_key(key).public_key()); }
  Bytes ssh(std::uint8_t key, const std::optional<SecurityKey>& device = {},
            std::string_view type = crypto::statement::kCapsule) const {
    return ssh_sign(known_key(key), std::string(type),
                    crypto::pre_authentication_encoding(type, payload), device)
        .blob();
  }
  Code code(const std::vector<SignatureView>& signatures) const {
    return open(assemble_envelope(payload, signatures), root).code();
  }
};

TEST_CASE("An issuer may sign by SSHSIG", "[capsules][R3]") {
  const Fixture f(Device::none);
  const Bytes good = f.ssh(kIssuerKey);
  CHECK(f.code({{f.id(kIssuerKey), kSshSignature, good}}) == Code::ok);
  CHECK(f.code({{f.id(kIssuerKey), kSkSshSignature, good}}) == Code::signature_wrong);
  CHECK(f.code({{f.id(kSecondIssuerKey), kSshSignature, good}}) == Code::signature_wrong);
  const Bytes block = f.ssh(kIssuerKey, {}, crypto::statement::kBlock);
  CHECK(f.code({{f.id(kIssuerKey), kSshSignature, block}}) == Code::signature_wrong);
  // A second signature by the same key, of another kind.
  const auto raw = known_key(kIssuerKey).sign(crypto::statement::kCapsule, f.payload);
  CHECK(f.code({{f.id(kIssuerKey), kSshSignature, good}, {f.id(kIssuerKey), kRawSignature, raw}}) ==
        Code::signer_repeated);
}

TEST_CASE("Where the root says that a key is in a security key, nothing else signs for it",
          "[capsules][R3]") {
  const Fixture f(Device::touched);
  const Bytes touched = f.ssh(kIssuerKey, SecurityKey{});
  CHECK(f.code({{f.id(kIssuerKey), kSkSshSignature, touched}}) == Code::ok);
  CHECK(f.code({{f.id(kIssuerKey), kSshSignature, touched}}) == Code::signature_wrong);
  const Bytes plain = f.ssh(kIssuerKey);
  CHECK(f.code({{f.id(kIssuerKey), kSshSignature, plain}}) == Code::signature_wrong);
  CHECK(f.code({{f.id(kIssuerKey), kSkSshSignature, plain}}) == Code::signature_wrong);
  const auto raw = known_key(kIssuerKey).sign(crypto::statement::kCapsule, f.payload);
  CHECK(f.code({{f.id(kIssuerKey), kRawSignature, raw}}) == Code::signature_wrong);
  const Bytes alone = f.ssh(kIssuerKey, SecurityKey{.flags = 0});
  CHECK(f.code({{f.id(kIssuerKey), kSkSshSignature, alone}}) == Code::user_unverified);

  const Fixture plain_key(Device::none);
  CHECK(plain_key.code({{f.id(kIssuerKey), kSkSshSignature,
                         plain_key.ssh(kIssuerKey, SecurityKey{})}}) == Code::signature_wrong);
}

TEST_CASE("The root demands the user's verification key by key", "[capsules][R3]") {
  const Fixture f(Device::verified, Device::touched);
  const Bytes touched = f.ssh(kIssuerKey, SecurityKey{.flags = 0x01});
  const Bytes verified = f.ssh(kIssuerKey, SecurityKey{.flags = 0x05});
  const Bytes second = f.ssh(kSecondIssuerKey, SecurityKey{.flags = 0x01});
  const SignatureView other{f.id(kSecondIssuerKey), kSkSshSignature, second};
  CHECK(f.code({{f.id(kIssuerKey), kSkSshSignature, verified}, other}) == Code::ok);
  CHECK(f.code({{f.id(kIssuerKey), kSkSshSignature, touched}, other}) == Code::user_unverified);
}

TEST_CASE("Without a root the kind of a signature is believed", "[capsules]") {
  const Fixture f(Device::touched);
  const Bytes touched = f.ssh(kIssuerKey, SecurityKey{});
  const Bytes file = assemble_envelope(f.payload, {{f.id(kIssuerKey), kSkSshSignature, touched}});
  CHECK(read_untrusted(file, {known_key(kIssuerKey).public_key()}).ok());
  CHECK(read_untrusted(file, {known_key(99).public_key()}).code() == Code::signer_unknown);
}

TEST_CASE("A root names the feature exactly where an issuer has a security key", "[capsules]") {
  const Fixture with(Device::verified);
  CHECK(with.root.data().issuers[0].device == Device::verified);
  CHECK(with.root.data().issuers[1].device == Device::none);
  // The name of the feature, changed, is another feature.
  const Bytes payload = encode_root(with.root.data()).value();
  const std::string text(as_text(payload));
  const std::size_t at = text.find("security-keys");
  REQUIRE(at != text.npos);
  Bytes changed = payload;
  changed[at] = 'x';
  const auto sign = [](ByteSpan bytes) {
    const auto key = known_key(testing::kRootKey);
    return frame_root(
        bytes, {{crypto::key_id(key.public_key()), key.sign(crypto::statement::kRoot, bytes)}});
  };
  CHECK(open_root(sign(payload)).ok());
  CHECK(open_root(sign(changed)).code() == Code::feature_unknown);
  const Fixture without(Device::none);
  const Bytes plain = encode_root(without.root.data()).value();
  CHECK(as_text(plain).find("security-keys") == std::string_view::npos);
}

TEST_CASE("A root itself is signed by raw signatures alone", "[capsules]") {
  const Bytes payload = encode_root(testing::sample_root_data()).value();
  const auto key = known_key(testing::kRootKey);
  const std::string type(crypto::statement::kRoot);
  const Bytes ssh = ssh_sign(key, type, crypto::pre_authentication_encoding(type, payload)).blob();
  ByteWriter writer;
  write_signed_part(writer, "TPR1", payload,
                    {{crypto::key_id(key.public_key()), kSshSignature, ssh}});
  CHECK(open_root(writer.bytes()).code() == Code::not_enforced_yet);
}

Device device_of(const std::string& name) {
  if (name == "none") return Device::none;
  REQUIRE((name == "touched" || name == "verified"));
  return name == "touched" ? Device::touched : Device::verified;
}

TEST_CASE("signatures.vec: which signatures count", "[capsules][vectors][R3]") {
  for (const testing::Row& row : testing::vector_rows(TAPER_SOURCE_DIR, "signatures.vec")) {
    INFO(row.where << ": " << row.verdict);
    const PublicKey key = PublicKey::from(from_hex(row.given.at("key")).value()).value();
    const Bytes payload = from_hex(row.given.at("payload")).value();
    const Bytes signature = from_hex(row.rest).value();
    const SignatureView view{crypto::key_id(key),
                             static_cast<std::uint8_t>(row.given.at("kind").at(0) - '0'),
                             signature};
    const Code code =
        check_signature(key, device_of(row.given.at("device")), row.given.at("type"), payload, view)
            .code();
    CHECK((code == Code::ok ? "ok" : std::to_string(describe(code).number)) == row.verdict);
  }
}

}  // namespace
}  // namespace taper::capsules
