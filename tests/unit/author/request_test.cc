#include "capsules/author/request.h"

#include <catch2/catch.hpp>

#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "tests/support/signed_capsule.h"
#include "tests/support/ssh_signer.h"

namespace taper::capsules {
namespace {

using crypto::Device;
using testing::kIssuerKey;
using testing::known_key;
using testing::kSecondIssuerKey;
using testing::SecurityKey;

KeyId id_of(std::uint8_t key) { return crypto::key_id(known_key(key).public_key()); }

SignatureFile sample_signature() {
  SignatureFile file;
  file.capsule.bytes.fill(3);
  file.signature.key = id_of(kIssuerKey);
  file.signature.signature = Bytes(64, 9);
  return file;
}

TEST_CASE("A request is read as it was written, and no other way", "[author][R3]") {
  const Bytes file = encode_request({.needed = 2, .payload = Bytes(100, 7)});
  const auto read = decode_request(file);
  REQUIRE(read.ok());
  CHECK(read->needed == 2);
  CHECK(read->payload == Bytes(100, 7));
  for (std::size_t i = 0; i < file.size(); ++i)
    CHECK(decode_request(ByteSpan(file).first(i)).code() == Code::request_malformed);
  Bytes longer = file;
  longer.push_back(0);
  CHECK(decode_request(longer).code() == Code::request_malformed);
  for (const std::uint8_t needed : Bytes{0, 9, 255})
    CHECK(decode_request(encode_request({.needed = needed, .payload = {}})).code() ==
          Code::request_malformed);
  CHECK(decode_request(Bytes(limits::kCapsuleBytesMax + 1)).code() == Code::too_large);
  CHECK(decode_request(encode_signature(sample_signature())).code() == Code::request_malformed);
}

TEST_CASE("A signature's file is read as it was written, and no other way", "[author][R3]") {
  const SignatureFile given = sample_signature();
  const Bytes file = encode_signature(given);
  const auto read = decode_signature(file);
  REQUIRE(read.ok());
  CHECK(read->capsule == given.capsule);
  CHECK(read->signature.key == given.signature.key);
  CHECK(read->signature.signature == given.signature.signature);
  for (std::size_t i = 0; i < file.size(); ++i)
    CHECK(decode_signature(ByteSpan(file).first(i)).code() == Code::request_malformed);
  Bytes longer = file;
  longer.push_back(0);
  CHECK(decode_signature(longer).code() == Code::request_malformed);
  const auto with = [&given](std::uint8_t kind, std::size_t size) {
    SignatureFile changed = given;
    changed.signature.kind = kind;
    changed.signature.signature.resize(size);
    return decode_signature(encode_signature(changed)).code();
  };
  CHECK(with(1, 63) == Code::request_malformed);
  CHECK(with(0, 64) == Code::request_malformed);
  CHECK(with(4, 64) == Code::request_malformed);
  CHECK(with(2, limits::kSignatureBytesMax) == Code::ok);
  CHECK(with(2, limits::kSignatureBytesMax + 1) == Code::too_large);
}

TEST_CASE("OpenSSH's armour is undone strictly", "[author]") {
  const auto signature = testing::ssh_sign(known_key(1), "file", as_bytes("text"));
  const std::string text = signature.armour();
  CHECK(ssh_unarmour(text).value() == signature.blob());
  for (const std::string& bad :
       {std::string(), text.substr(1), text.substr(0, text.size() - 2), text + "x", " " + text,
        text.substr(0, 40) + "!" + text.substr(41), armour("SIGNATURE", signature.blob())}) {
    INFO(bad);
    CHECK(ssh_unarmour(bad).code() == Code::armour_malformed);
  }
  CHECK(ssh_unarmour(std::string(limits::kArmourBytesMax + 1, 'A')).code() == Code::too_large);
}

TEST_CASE("An SSH signature is an issuer's, by the key inside and what the root says of it",
          "[author][R3]") {
  TrustRootData data = testing::sample_root_data();
  data.issuers[1].device = Device::touched;
  const TrustRoot root = testing::opened_root(data);
  const std::string space(crypto::statement::kCapsule);
  const auto kind_of = [&](std::uint8_t key, const std::string& name_space,
                           const std::optional<SecurityKey>& device) -> int {
    const auto blob = testing::ssh_sign(known_key(key), name_space, as_bytes("m"), device).blob();
    const auto found = of_issuer(blob, root);
    if (!found.ok()) return -describe(found.code()).number;
    CHECK(found->key == id_of(key));
    CHECK(found->signature == blob);
    return found->kind;
  };
  CHECK(kind_of(kIssuerKey, space, {}) == kSshSignature);
  CHECK(kind_of(kSecondIssuerKey, space, SecurityKey{}) == kSkSshSignature);
  CHECK(kind_of(kSecondIssuerKey, space, {}) == -217);
  CHECK(kind_of(kIssuerKey, space, SecurityKey{}) == -217);
  CHECK(kind_of(kIssuerKey, "file", {}) == -217);
  CHECK(kind_of(99, space, {}) == -217);
  CHECK(of_issuer({}, root).code() == Code::request_malformed);
}

TEST_CASE("OpenSSH's public keys are read by type", "[author]") {
  const PublicKey key = known_key(kIssuerKey).public_key();
  const auto plain = parse_ssh_public_key(testing::ssh_public_line(key));
  REQUIRE(plain.ok());
  CHECK(plain->key == key);
  CHECK_FALSE(plain->security_key);
  const std::string line = testing::ssh_public_line(key, SecurityKey{});
  const auto device = parse_ssh_public_key(line);
  REQUIRE(device.ok());
  CHECK(device->key == key);
  CHECK(device->security_key);
  const std::string other = testing::ssh_public_line(key, SecurityKey{.application = "ssh:other"});
  const std::string whole = line.substr(0, line.find('\n'));
  for (const std::string& good : {whole, whole + "\n", whole + " a comment\n"})
    CHECK(parse_ssh_public_key(good).ok());
  for (const std::string& bad :
       {std::string(), std::string("ssh-ed25519"), other, "ssh-ed25519" + line.substr(26),
        "ssh-rsa" + testing::ssh_public_line(key).substr(11), line.substr(0, 60),
        line + std::string(limits::kKeyFileBytesMax, 'x'), whole + "\n" + whole, whole + "\n\n",
        whole + "\r\n", "\n" + whole}) {
    INFO(bad);
    CHECK(parse_ssh_public_key(bad).code() == Code::key_file_malformed);
  }
}

TEST_CASE("A signer signs nothing that the root forbids him or the issuer", "[author][R13]") {
  TrustRootData data = testing::sample_root_data();
  const auto asked = [&data](std::uint8_t signer, std::int64_t ttl_ms = 900'000) {
    const TrustRoot root = testing::opened_root(data);
    Capsule capsule = testing::sample_capsule(root);
    capsule.lease_ttl_ms = ttl_ms;
    return check_signable(capsule, root, id_of(signer)).code();
  };
  CHECK(asked(kIssuerKey) == Code::ok);
  CHECK(asked(kSecondIssuerKey) == Code::ok);
  CHECK(asked(99) == Code::signer_unknown);
  CHECK(asked(kSecondIssuerKey, 3'600'001) == Code::issuer_limit);
  data.issuers[1].limits.max_ttl_ms = 600'000;  // the co-signer's own limit is lower
  CHECK(asked(kIssuerKey) == Code::ok);
  CHECK(asked(kSecondIssuerKey) == Code::issuer_limit);
  data.issuers[1].limits.max_ttl_ms = 3'600'000;
  data.issuers[1].not_after_s = 1'790'000'000;
  CHECK(asked(kIssuerKey) == Code::ok);
  CHECK(asked(kSecondIssuerKey) == Code::issuer_window);
  const TrustRoot root = testing::opened_root(data);
  Capsule foreign = testing::sample_capsule(root);
  foreign.fleet.bytes[0] ^= 1;
  CHECK(check_signable(foreign, root, id_of(kIssuerKey)).code() == Code::fleet_other);
}

}  // namespace
}  // namespace taper::capsules
