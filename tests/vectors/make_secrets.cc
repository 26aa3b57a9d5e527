// Writes secrets.vec: sealed boxes in their own capsules, in others', and of other contents. What
// is expected is stated here by hand.
#include <sodium.h>

#include <cstdio>
#include <functional>

#include "capsules/author/author.h"
#include "capsules/secret.h"
#include "crypto/crypto.h"
#include "runtime/base/assert.h"
#include "runtime/base/text.h"
#include "tests/support/signed_capsule.h"
#include "tests/vectors/make_vectors.h"

namespace taper::testing {
namespace {

using capsules::Capsule;
using capsules::Grant;

constexpr std::uint8_t kNodeSecret = 77, kOtherNodeSecret = 78;

// As crypto_box_seal does, but with a key that is not random, so that the file is the same each
// time.
Bytes sealed(ByteSpan plain, std::uint8_t to = kNodeSecret) {
  const Bytes seed(crypto_box_SEEDBYTES, 42), secret(crypto_box_SECRETKEYBYTES, to);
  Bytes node(crypto_box_PUBLICKEYBYTES), own(crypto_box_PUBLICKEYBYTES);
  Bytes own_secret(crypto_box_SECRETKEYBYTES), nonce(crypto_box_NONCEBYTES);
  TAPER_ASSERT(crypto_scalarmult_base(node.data(), secret.data()) == 0);
  TAPER_ASSERT(crypto_box_seed_keypair(own.data(), own_secret.data(), seed.data()) == 0);
  const Bytes both = ByteWriter().raw(own).raw(node).bytes();
  TAPER_ASSERT(
      crypto_generichash(nonce.data(), nonce.size(), both.data(), both.size(), nullptr, 0) == 0);
  Bytes box(plain.size() + crypto_box_MACBYTES);
  TAPER_ASSERT(crypto_box_easy(box.data(), plain.data(), plain.size(), nonce.data(), node.data(),
                               own_secret.data()) == 0);
  return ByteWriter().raw(own).raw(box).bytes();
}

Bytes head_of(const Capsule& capsule, const std::string& name) {
  ByteWriter out;
  for (const capsules::BoundPart& part : capsules::bound_parts(capsule, name)) out.raw(part.bytes);
  return std::move(out).bytes();
}

Grant command(const char* id, std::vector<std::string> secrets) {
  Grant grant;
  grant.id = id;
  grant.tool = "db-login";
  grant.digest_kind = capsules::DigestKind::pinned;
  grant.digest.bytes.fill(3);
  grant.verbs = {capsules::Verb::call};
  grant.effect = capsules::Effect::read;
  grant.secrets = std::move(secrets);
  return grant;
}

// The secret "db" of one grant, "other" of two.
Capsule base() {
  Capsule out = sample_capsule(opened_root(sample_root_data()));
  out.entry = capsules::EntryKind::session;
  out.plan = {};
  out.grants = {command("query", {"db", "other"}), command("report", {"other"})};
  for (const char* name : {"db", "other"}) {
    const Bytes plain = ByteWriter().raw(head_of(out, name)).text("correct horse").bytes();
    out.secrets.push_back({name, sealed(plain)});
  }
  return out;
}

void write(const char* about, const Capsule& capsule, const std::string& expected) {
  std::printf("# %s\ncapsule: %s\nexpect: %s\n", about, to_hex(capsule_payload(capsule)).c_str(),
              expected.c_str());
}
void moved(const char* part, const char* about, const std::function<void(Capsule&)>& change) {
  Capsule out = base();
  change(out);
  write(about, out, "refuses " + out.secrets[0].name + " " + part);
}
void holding(const char* about, const Bytes& plain, const std::string& expected) {
  Capsule out = base();
  out.secrets[0].box = sealed(plain);
  write(about, out, expected);
}

void write_moved() {
  moved("fleet", "copied to another fleet", [](Capsule& c) { c.fleet.bytes[31] ^= 1; });
  moved("issuer", "to another issuer's", [](Capsule& c) { c.issuer.bytes[0] ^= 1; });
  moved("serial", "to the next capsule", [](Capsule& c) { ++c.serial; });
  moved("node", "to another node's", [](Capsule& c) { c.audience.node.bytes[5] ^= 1; });
  moved("not_after_s", "to one that lives longer", [](Capsule& c) { ++c.not_after_s; });
  moved("not_after_s", "or shorter", [](Capsule& c) { --c.not_after_s; });
  moved("name", "under another secret's name",
        [](Capsule& c) { std::swap(c.secrets[0].box, c.secrets[1].box); });
  moved("grants", "to another grant", [](Capsule& c) { c.grants[0].id = "querY"; });
  moved("grants", "to one grant more", [](Capsule& c) { c.grants[1].secrets.emplace_back("db"); });
  moved("grants", "from one grant to the other", [](Capsule& c) {
    c.grants[0].secrets = {"other"};
    c.grants[1].secrets = {"other", "db"};
  });
  moved("box", "a bit of the box changed", [](Capsule& c) { c.secrets[0].box.back() ^= 1; });
  moved("box", "a bit of the tag", [](Capsule& c) { c.secrets[0].box[32] ^= 1; });
  moved("box", "a bit of the key in front", [](Capsule& c) { c.secrets[0].box[0] ^= 1; });
  moved("box", "a byte cut off", [](Capsule& c) { c.secrets[0].box.pop_back(); });
  moved("box", "a byte added", [](Capsule& c) { c.secrets[0].box.push_back(0); });
  moved("box", "47 bytes, too few for any box", [](Capsule& c) { c.secrets[0].box.resize(47); });
  moved("box", "sealed to another node's key", [](Capsule& c) {
    const Bytes plain = ByteWriter().raw(head_of(c, "db")).text("correct horse").bytes();
    c.secrets[0].box = sealed(plain, kOtherNodeSecret);
  });
}

void write_contents() {
  const Bytes head = head_of(base(), "db");
  const auto with = [&head](const Bytes& tail) { return ByteWriter().raw(head).raw(tail).bytes(); };
  holding("one byte", with(ByteWriter().text("x").bytes()), "opens db 78");
  holding("no value", with(ByteWriter().text("").bytes()), "refuses db value");
  holding("nothing after the parts", head, "refuses db value");
  holding("a byte behind the value", with(ByteWriter().text("x").u8(0).bytes()),
          "refuses db value");
  holding("a value longer than it is", with(ByteWriter().u32(9).raw(as_bytes("x")).bytes()),
          "refuses db value");
  holding("8,193 bytes", with(ByteWriter().block(Bytes(8193, 'x')).bytes()), "refuses db value");
  holding("nothing at all", {}, "refuses db version");
  holding("cut inside of the parts", Bytes(head.begin(), head.end() - 1), "refuses db not_after_s");
  Bytes changed = head;
  changed[4 + 14] = '2';
  holding("a version from tomorrow", changed, "refuses db version");
  changed = head;
  changed[head.size() - 12] = 1;
  holding("a destination", changed, "refuses db destinations");
}

}  // namespace

void write_secrets() {
  TAPER_ASSERT(crypto::initialise().ok());
  std::printf(
      "# Sealed boxes, made by make_vectors: `key` is the node's secret, `capsule` a root payload "
      "with its boxes, in hex.\nkey: %s\n",
      to_hex(Bytes(crypto_box_SECRETKEYBYTES, kNodeSecret)).c_str());
  write("each box in its own capsule", base(), "opens db " + to_hex(as_bytes("correct horse")));
  std::printf("expect: opens other %s\n", to_hex(as_bytes("correct horse")).c_str());
  write_moved();
  write_contents();
}

}  // namespace taper::testing
