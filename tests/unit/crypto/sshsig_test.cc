#include "crypto/sshsig.h"

#include <catch2/catch.hpp>
#include <functional>

#include "crypto/crypto.h"
#include "runtime/base/text.h"
#include "tests/support/signed_capsule.h"
#include "tests/support/ssh_signer.h"

namespace taper::crypto {
namespace {

using testing::known_key;
using testing::SecurityKey;
using testing::ssh_sign;
using testing::SshSignature;

constexpr std::string_view kSpace = statement::kCapsule;

struct Signed {
  SigningKey key = known_key(10);
  Bytes message = to_bytes(as_bytes("a statement"));
  Device device = Device::none;

  Code code(const SshSignature& signature) const { return code(signature.blob()); }
  Code code(ByteSpan blob) const {
    return verify_sshsig(key.public_key(), device, kSpace, message, blob).code();
  }
  SshSignature good(const std::optional<SecurityKey>& with = {}) const {
    return ssh_sign(key, std::string(kSpace), message, with);
  }
};

TEST_CASE("An SSHSIG of an Ed25519 key verifies over its own statement only", "[crypto][R3]") {
  Signed f;
  CHECK(f.code(f.good()) == Code::ok);
  CHECK(f.code(ssh_sign(known_key(11), std::string(kSpace), f.message)) == Code::signature_wrong);
  CHECK(f.code(ssh_sign(f.key, std::string(statement::kBlock), f.message)) ==
        Code::signature_wrong);
  CHECK(f.code(ssh_sign(f.key, "file", f.message)) == Code::signature_wrong);
  CHECK(f.code(ssh_sign(f.key, std::string(kSpace), as_bytes("another"))) == Code::signature_wrong);
  CHECK(f.code(ssh_sign(f.key, std::string(kSpace), f.message, {}, "sha256")) ==
        Code::signature_wrong);
  f.device = Device::touched;
  CHECK(f.code(f.good()) == Code::signature_wrong);
}

TEST_CASE("A security key must have seen its user, and verified him where that is asked",
          "[crypto][R3]") {
  Signed f;
  f.device = Device::touched;
  CHECK(f.code(f.good(SecurityKey{})) == Code::ok);
  CHECK(f.code(f.good(SecurityKey{.flags = 0x05})) == Code::ok);
  CHECK(f.code(f.good(SecurityKey{.flags = 0x01, .counter = 0xFFFFFFFF})) == Code::ok);
  CHECK(f.code(f.good(SecurityKey{.flags = 0x00})) == Code::user_unverified);
  CHECK(f.code(f.good(SecurityKey{.flags = 0xFE})) == Code::user_unverified);
  f.device = Device::verified;
  CHECK(f.code(f.good(SecurityKey{.flags = 0x05})) == Code::ok);
  CHECK(f.code(f.good(SecurityKey{.flags = 0x01})) == Code::user_unverified);
  CHECK(f.code(f.good(SecurityKey{.flags = 0x04})) == Code::user_unverified);
  f.device = Device::none;
  CHECK(f.code(f.good(SecurityKey{.flags = 0x05})) == Code::signature_wrong);
}

TEST_CASE("What a security key said of itself cannot be changed afterwards", "[crypto][R3]") {
  Signed f;
  f.device = Device::touched;
  const auto changed = [&f](SecurityKey made, const std::function<void(SecurityKey&)>& change) {
    SshSignature signature = f.good(made);
    change(*signature.device);
    return f.code(signature);
  };
  CHECK(changed({}, [](SecurityKey& key) { key.counter = 8; }) == Code::signature_wrong);
  CHECK(changed({}, [](SecurityKey& key) { key.flags = 0x05; }) == Code::signature_wrong);
  CHECK(changed({.flags = 0}, [](SecurityKey& key) { key.flags = 1; }) == Code::signature_wrong);
  CHECK(changed({.application = "ssh:other"}, [](SecurityKey&) {}) == Code::signature_wrong);
  CHECK(changed({.application = "ssh:other"}, [](SecurityKey& key) { key.application = "ssh:"; }) ==
        Code::signature_wrong);
  CHECK(changed({.application = ""}, [](SecurityKey&) {}) == Code::signature_wrong);
}

TEST_CASE("An SSHSIG has one form: no part may be other, longer or shorter", "[crypto][R3]") {
  Signed f;
  const std::optional<SecurityKey> devices[] = {std::nullopt, SecurityKey{}};
  for (const auto& device : devices) {
    f.device = device ? Device::touched : Device::none;
    REQUIRE(f.code(f.good(device)) == Code::ok);
    const std::function<void(SshSignature&)> changes[] = {
        [](SshSignature& s) { s.magic = "SSHSIH"; },
        [](SshSignature& s) { s.version = 2; },
        [](SshSignature& s) { s.version = 0; },
        [](SshSignature& s) { s.key_type = "ssh-rsa"; },
        [](SshSignature& s) { s.signature_type = "ssh-rsa"; },
        [](SshSignature& s) { s.key = to_bytes(known_key(11).public_key().span()); },
        [](SshSignature& s) { s.key.push_back(0); },
        [](SshSignature& s) { s.name_space += "x"; },
        [](SshSignature& s) { s.name_space += '\0'; },
        [](SshSignature& s) { s.name_space.clear(); },
        [](SshSignature& s) { s.reserved = "x"; },
        [](SshSignature& s) { s.hash = "sha256"; },
        [](SshSignature& s) { s.signature.push_back(0); },
        [](SshSignature& s) { s.signature.insert(s.signature.begin(), 0); },
        [](SshSignature& s) { s.signature.pop_back(); },
        [](SshSignature& s) { s.after_key = "x"; },
        [](SshSignature& s) { s.after_signature = std::string(1, '\0'); },
        [](SshSignature& s) { s.after_all = std::string(1, '\0'); },
    };
    int number = 0;
    for (const auto& change : changes) {
      INFO("change " << number++);
      SshSignature spoilt = f.good(device);
      change(spoilt);
      CHECK(f.code(spoilt) == Code::signature_wrong);
    }
  }
}

TEST_CASE("No byte of an SSHSIG may be changed, taken or added", "[crypto][R3]") {
  Signed f;
  const std::optional<SecurityKey> devices[] = {std::nullopt, SecurityKey{}};
  for (const auto& device : devices) {
    f.device = device ? Device::touched : Device::none;
    const Bytes blob = f.good(device).blob();
    for (std::size_t i = 0; i < blob.size(); ++i) {
      INFO("byte " << i);
      for (const int mask : {0x01, 0x20, 0x80}) {
        Bytes changed = blob;
        changed[i] = static_cast<std::uint8_t>(changed[i] ^ mask);
        REQUIRE(f.code(changed) == Code::signature_wrong);
      }
      REQUIRE(f.code(ByteSpan(blob).first(i)) == Code::signature_wrong);
    }
    for (const std::size_t extra : {1U, 4U, 5U}) {
      Bytes longer = blob;
      longer.resize(blob.size() + extra);
      CHECK(f.code(longer) == Code::signature_wrong);
    }
  }
}

// Raw signatures over what SSH signs, and the other way round, stay in their own kind.
TEST_CASE("A raw signature and an SSHSIG never stand for each other", "[crypto][R3]") {
  const Signed f;
  const Signature raw = f.key.sign(kSpace, as_bytes("payload"));
  CHECK(f.code(ByteSpan(raw)) == Code::signature_wrong);
  const Bytes blob = f.good().blob();
  CHECK_FALSE(verify(f.key.public_key(), kSpace, f.message, ByteSpan(blob).last(64)));
  CHECK_FALSE(verify(f.key.public_key(), kSpace, f.message, blob));
}

TEST_CASE("Heads and public keys are those that the parts give", "[crypto]") {
  const Signed f;
  const Bytes blob = f.good().blob();
  const Bytes head = sshsig_head(f.key.public_key(), Device::none, kSpace);
  CHECK(Bytes(blob.begin(), blob.end() - 64) == head);
  CHECK(testing::ssh_public_line(f.key.public_key()) ==
        "ssh-ed25519 " + to_base64(ssh_public_key(f.key.public_key(), Device::none)) +
            " test@example\n");
  CHECK(testing::ssh_public_line(f.key.public_key(), SecurityKey{}) ==
        "sk-ssh-ed25519@openssh.com " +
            to_base64(ssh_public_key(f.key.public_key(), Device::verified)) + " test@example\n");
}

}  // namespace
}  // namespace taper::crypto
