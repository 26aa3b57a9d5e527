// Boxes: what is bound in them, and what a reader of the capsule accepts of them.
#include <catch2/catch.hpp>

#include "capsules/author/author.h"
#include "capsules/secret.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "tests/support/signed_capsule.h"

namespace taper::capsules {
namespace {

using testing::known_key;
using testing::sample_capsule;

constexpr std::string_view kValue = "correct horse battery staple";

crypto::UnsealingKey node_key() { return crypto::UnsealingKey::from_bytes(Bytes(32, 77)); }

Grant command_grant(const std::string& id, std::vector<std::string> secrets) {
  Grant grant = sample_capsule(testing::opened_root(testing::sample_root_data())).grants[0];
  grant.id = id;
  grant.tool = "db-login";
  grant.digest_kind = DigestKind::pinned;
  grant.digest.bytes.fill(3);
  grant.secrets = std::move(secrets);
  return grant;
}

// With the secret "db" of the grant "query" and "other" of both commands.
Capsule with_secrets() {
  Capsule capsule = sample_capsule(testing::opened_root(testing::sample_root_data()));
  capsule.grants.push_back(command_grant("query", {"db", "other"}));
  capsule.grants.push_back(command_grant("report", {"other"}));
  capsule.secrets = {{"db", {}}, {"other", {}}};
  for (SealedSecret& secret : capsule.secrets) {
    auto box = seal_secret(capsule, secret.name, as_bytes(kValue), node_key().public_key());
    REQUIRE(box.ok());
    secret.box = std::move(*box);
  }
  return capsule;
}

// What opening the box of "db" says.
std::string opened(const Capsule& capsule, const SealedSecret& secret) {
  const Result<crypto::Secret> value = open_secret(capsule, secret, node_key());
  if (value.ok()) return std::string(as_text(value->bytes()));
  CHECK(value.code() == Code::secret_unsealed);
  return value.error().detail().field;
}

// A plaintext of our own making, sealed to the node.
SealedSecret boxed(const Bytes& plain) {
  return {"db", crypto::seal(node_key().public_key(), plain)};
}

Bytes head_of(const Capsule& capsule) {
  ByteWriter out;
  for (const BoundPart& part : bound_parts(capsule, "db")) out.raw(part.bytes);
  return std::move(out).bytes();
}

}  // namespace

TEST_CASE("a box opens in its own capsule and gives its value", "[capsules][secret][R24]") {
  const Capsule capsule = with_secrets();
  CHECK(opened(capsule, capsule.secrets[0]) == kValue);
  CHECK(opened(capsule, capsule.secrets[1]) == kValue);
}

TEST_CASE("the plaintext is framed as its page says", "[capsules][secret]") {
  const Capsule capsule = with_secrets();
  ByteWriter plain;
  plain.u32(15).raw(as_bytes("taper secret v1"));
  plain.raw(capsule.fleet.span()).raw(capsule.issuer.span()).u64(capsule.serial);
  plain.raw(capsule.audience.node.span());
  plain.u32(2).raw(as_bytes("db")).u32(1).u32(5).raw(as_bytes("query")).u32(0);
  plain.i64(capsule.not_after_s);
  CHECK(head_of(capsule) == plain.bytes());
  plain.u32(4).raw(as_bytes("word"));
  CHECK(opened(capsule, boxed(plain.bytes())) == "word");
}

TEST_CASE("each bound field that differs is refused by its name", "[capsules][secret][R24][R47]") {
  const Capsule original = with_secrets();
  const auto changed = [&](const std::function<void(Capsule&)>& change) {
    Capsule capsule = original;
    change(capsule);
    return opened(capsule, capsule.secrets[0]);
  };
  CHECK(changed([](Capsule& c) { c.fleet.bytes[31] ^= 1; }) == "secrets.db.fleet");
  CHECK(changed([](Capsule& c) { c.issuer.bytes[0] ^= 1; }) == "secrets.db.issuer");
  CHECK(changed([](Capsule& c) { ++c.serial; }) == "secrets.db.serial");
  CHECK(changed([](Capsule& c) { c.audience.node.bytes[5] ^= 1; }) == "secrets.db.node");
  CHECK(changed([](Capsule& c) { c.not_after_s += 1; }) == "secrets.db.not_after_s");
  CHECK(changed([](Capsule& c) { c.not_after_s -= 1; }) == "secrets.db.not_after_s");
  CHECK(changed([](Capsule& c) { c.secrets[0].name = "dc"; }) == "secrets.dc.name");
  CHECK(changed([](Capsule& c) { c.secrets[0].box = c.secrets[1].box; }) == "secrets.db.name");
  // Another grant, one more, one less, one renamed.
  CHECK(changed([](Capsule& c) { std::swap(c.grants[2].id, c.grants[3].id); }) ==
        "secrets.db.grants");
  CHECK(changed([](Capsule& c) { c.grants[3].secrets.emplace_back("db"); }) == "secrets.db.grants");
  CHECK(changed([](Capsule& c) { c.grants[2].secrets = {"other"}; }) == "secrets.db.grants");
  CHECK(changed([](Capsule& c) { c.grants[2].id = "querY"; }) == "secrets.db.grants");
}

TEST_CASE("a destination, another version or a loose value is refused", "[capsules][secret][R47]") {
  const Capsule capsule = with_secrets();
  const Bytes head = head_of(capsule);
  const auto with_tail = [&](const Bytes& tail) {
    return opened(capsule, boxed(ByteWriter().raw(head).raw(tail).bytes()));
  };
  CHECK(with_tail(ByteWriter().text("v").bytes()) == "v");
  CHECK(with_tail(ByteWriter().text("").bytes()) == "secrets.db.value");
  CHECK(with_tail(ByteWriter().text("v").u8(0).bytes()) == "secrets.db.value");
  CHECK(with_tail(ByteWriter().u32(9).raw(as_bytes("short")).bytes()) == "secrets.db.value");
  CHECK(with_tail(ByteWriter().block(Bytes(limits::kSecretBytesMax, 'x')).bytes()).size() ==
        limits::kSecretBytesMax);
  CHECK(with_tail(ByteWriter().block(Bytes(limits::kSecretBytesMax + 1, 'x')).bytes()) ==
        "secrets.db.value");
  for (std::size_t size = 0; size < head.size(); ++size)
    CHECK(opened(capsule, boxed(Bytes(head.begin(), head.begin() + std::ptrdiff_t(size))))
              .starts_with("secrets.db."));
  Bytes version = head;
  version[4 + 14] = '2';
  CHECK(opened(capsule, boxed(version)) == "secrets.db.version");
  Bytes destinations = head;
  destinations[head.size() - 12] = 1;
  CHECK(opened(capsule, boxed(destinations)) == "secrets.db.destinations");
}

TEST_CASE("a box that was changed, or is another node's, does not open",
          "[capsules][secret][R20][R47]") {
  const Capsule capsule = with_secrets();
  for (std::size_t at = 0; at < capsule.secrets[0].box.size(); ++at) {
    SealedSecret secret = capsule.secrets[0];
    secret.box[at] ^= 0x40;
    CHECK(opened(capsule, secret) == "secrets.db.box");
  }
  SealedSecret cut = capsule.secrets[0];
  cut.box.pop_back();
  CHECK(opened(capsule, cut) == "secrets.db.box");
  const auto other = crypto::UnsealingKey::from_bytes(Bytes(32, 78));
  CHECK(open_secret(capsule, capsule.secrets[0], other).code() == Code::secret_unsealed);
}

TEST_CASE("a capsule with secrets is read back", "[capsules][secret]") {
  const Capsule capsule = with_secrets();
  const auto decoded = decode_capsule(testing::capsule_payload(capsule));
  INFO((decoded.ok() ? "" : to_line(decoded.error())));
  REQUIRE(decoded.ok());
  REQUIRE(decoded->secrets.size() == 2);
  CHECK(decoded->grants[2].secrets == std::vector<std::string>{"db", "other"});
  CHECK(opened(*decoded, decoded->secrets[0]) == kValue);
}

TEST_CASE("secrets and the grants that name them must agree", "[capsules][secret][R24]") {
  const Capsule original = with_secrets();
  const auto refused = [&](const std::function<void(Capsule&)>& change) {
    Capsule capsule = original;
    change(capsule);
    const auto decoded = decode_capsule(testing::capsule_payload(capsule));
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.code() == Code::field_invalid);
    return decoded.error().detail().field + ": " + decoded.error().detail().got;
  };
  CHECK(refused([](Capsule& c) { c.secrets.pop_back(); }) == "secrets: other");
  CHECK(refused([](Capsule& c) { c.grants[2].secrets = {"other"}; }) == "secrets: db");
  CHECK(refused([](Capsule& c) { c.secrets[1].name = "db"; }) == "secrets: db");
  CHECK(refused([](Capsule& c) { c.grants[2].secrets = {"db", "db"}; }) == "grants[2].secrets: db");
  CHECK(refused([](Capsule& c) { c.grants[2].digest_kind = DigestKind::unpinned; }) ==
        "secrets: query");
  CHECK(refused([](Capsule& c) { c.grants[2].digest_kind = DigestKind::builtin; }) ==
        "secrets: query");
  for (const char* name : {"../db", ".db", "d b", "1db", "d/b"}) {
    CHECK(refused([name](Capsule& c) { c.secrets[0].name = name; }) ==
          std::string("secrets[0].name: ") + name);
  }
}

}  // namespace taper::capsules
