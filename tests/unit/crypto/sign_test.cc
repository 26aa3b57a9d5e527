// Hashes, encodings and signatures against published vectors, and what must not verify.
#include "crypto/sign.h"

#include <catch2/catch.hpp>

#include "crypto/crypto.h"
#include "crypto/seal.h"
#include "runtime/base/text.h"

namespace taper::crypto {
namespace {

const bool kReady = initialise().ok();

Bytes hex(std::string_view text) { return from_hex(text).value(); }

// 2^252 + 27742317777372353535851937790883648493, little endian.
const Bytes kOrder = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");

Signature with_order_added(Signature signature) {
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += static_cast<unsigned>(signature[32 + i]) + kOrder[i];
    signature[32 + i] = static_cast<std::uint8_t>(carry);
    carry >>= 8U;
  }
  return signature;
}

}  // namespace

TEST_CASE("hashes give the published values", "[crypto]") {
  REQUIRE(kReady);
  CHECK(hash(as_bytes("abc")).hex() ==
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  CHECK(hash({as_bytes("a"), as_bytes(""), as_bytes("bc")}) == hash(as_bytes("abc")));
  CHECK(tree_hash({as_bytes("a"), as_bytes("bc")}).hex() ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("comparison looks at length and bytes", "[crypto]") {
  CHECK(constant_time_equal(as_bytes("same"), as_bytes("same")));
  CHECK_FALSE(constant_time_equal(as_bytes("same"), as_bytes("sane")));
  CHECK_FALSE(constant_time_equal(as_bytes("same"), as_bytes("sam")));
  CHECK(constant_time_equal({}, {}));
}

TEST_CASE("pre-authentication encoding is that of DSSE", "[crypto]") {
  const Bytes encoded =
      pre_authentication_encoding("http://example.com/HelloWorld", as_bytes("hello world"));
  CHECK(as_text(encoded) == "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  CHECK(as_text(pre_authentication_encoding("", {})) == "DSSEv1 0  0 ");
  // Moving a byte between type and payload gives other bytes.
  CHECK(pre_authentication_encoding("a", as_bytes("b c")) !=
        pre_authentication_encoding("a b", as_bytes("c")));
}

TEST_CASE("keys and signatures are those of RFC 8032", "[crypto]") {
  const Bytes seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  const SigningKey key = SigningKey::from_seed(seed);
  CHECK(key.public_key().hex() ==
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  CHECK(to_hex(key.seed()) == to_hex(seed));
  const Signature signature = key.sign(statement::kCapsule, as_bytes("payload"));
  CHECK(signature == key.sign(statement::kCapsule, as_bytes("payload")));
  CHECK(verify(key.public_key(), statement::kCapsule, as_bytes("payload"), signature));
}

TEST_CASE("a signature over one kind of statement is none over another", "[crypto]") {
  const SigningKey key = SigningKey::generate();
  const Signature signature = key.sign(statement::kCapsule, as_bytes("payload"));
  CHECK_FALSE(verify(key.public_key(), statement::kRoot, as_bytes("payload"), signature));
  CHECK_FALSE(verify(key.public_key(), statement::kCapsule, as_bytes("payloae"), signature));
  CHECK_FALSE(verify(SigningKey::generate().public_key(), statement::kCapsule, as_bytes("payload"),
                     signature));
}

TEST_CASE("every changed or missing byte of a signature is refused", "[crypto]") {
  const SigningKey key = SigningKey::generate();
  const Signature signature = key.sign(statement::kBlock, as_bytes("payload"));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    Signature changed = signature;
    changed[i] ^= 0x01U;
    CHECK_FALSE(verify(key.public_key(), statement::kBlock, as_bytes("payload"), changed));
    CHECK_FALSE(verify(key.public_key(), statement::kBlock, as_bytes("payload"),
                       ByteSpan(signature).first(i)));
  }
}

TEST_CASE("a signature has one form: S is reduced", "[crypto]") {
  const SigningKey key = SigningKey::generate();
  const Signature signature = key.sign(statement::kBlock, as_bytes("payload"));
  const Signature twin = with_order_added(signature);
  CHECK(twin != signature);
  CHECK_FALSE(verify(key.public_key(), statement::kBlock, as_bytes("payload"), twin));
}

TEST_CASE("small-order and non-canonical keys verify nothing", "[crypto]") {
  const char* const kKeys[] = {
      "0100000000000000000000000000000000000000000000000000000000000000",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "0000000000000000000000000000000000000000000000000000000000000080",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  };
  // R = identity, S = 0 satisfies the bare equation under the identity key.
  Signature forged{};
  forged[0] = 1;
  for (const char* text : kKeys) {
    CHECK_FALSE(
        verify(PublicKey::from_hex(text).value(), statement::kCapsule, as_bytes("x"), forged));
  }
}

TEST_CASE("a sealed box opens for its node alone", "[crypto]") {
  const UnsealingKey node = UnsealingKey::generate();
  const Bytes box = seal(node.public_key(), as_bytes("secret value"));
  const Result<Secret> opened = node.open(box);
  REQUIRE(opened.ok());
  CHECK(as_text(opened->bytes()) == "secret value");
  CHECK(UnsealingKey::from_bytes(node.bytes()).public_key() == node.public_key());
  CHECK(UnsealingKey::generate().open(box).code() == Code::signature_wrong);
  for (std::size_t i = 0; i < box.size(); ++i) {
    Bytes changed = box;
    changed[i] ^= 0x01U;
    CHECK(node.open(changed).code() == Code::signature_wrong);
    CHECK(node.open(ByteSpan(box).first(i)).code() == Code::signature_wrong);
  }
  const Result<Secret> nothing = node.open(seal(node.public_key(), {}));
  REQUIRE(nothing.ok());
  CHECK(nothing->empty());
}

TEST_CASE("secrets move, start as zeroes and are wiped on demand", "[crypto]") {
  Secret secret(16);
  CHECK(to_hex(secret.bytes()) == std::string(32, '0'));
  secret.bytes()[0] = 7;
  const std::uint8_t* place = secret.bytes().data();
  Secret moved = std::move(secret);
  CHECK(moved.bytes().data() == place);
  wipe(moved.bytes());
  CHECK(moved.bytes()[0] == 0);
  CHECK(Secret().empty());
}

}  // namespace taper::crypto
