// Writes chains.vec. What is expected is stated here by hand; the tests ask `open` and the walk
// down a chain whether they agree.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "capsule_generated.h"
#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "tests/support/signed_capsule.h"
#include "tests/vectors/make_vectors.h"

namespace taper::testing {
namespace {

using capsules::Block;
using capsules::Capsule;

constexpr std::uint8_t kFirst = 21, kSecond = 22, kThird = 23, kStranger = 99;

template <class T>
T must(Result<T> result) {
  TAPER_ASSERT(result.ok());
  return std::move(result).value();
}

// A chain as a list of parts, to be put together in ways that append_block would not.
struct Parts {
  Bytes head;
  struct One {
    Bytes payload, signature;
  };
  std::vector<One> blocks;

  explicit Parts(ByteSpan file) {
    const capsules::Envelope envelope = must(capsules::read_envelope(file));
    head = to_bytes(envelope.head);
    for (const capsules::BlockView& view : envelope.blocks) {
      blocks.push_back({to_bytes(view.payload), to_bytes(view.signature)});
    }
  }
  Bytes file() const { return counted(static_cast<std::uint8_t>(blocks.size())); }
  Bytes counted(std::uint8_t count) const {
    ByteWriter out;
    out.raw(head).u8(count);
    for (const One& block : blocks) out.block(block.payload).raw(block.signature);
    return std::move(out).bytes();
  }
};

class Vectors {
 public:
  explicit Vectors(const capsules::TrustRootData& data = sample_root_data())
      : root_file_(signed_root(data)), root_(opened_root(data)) {}

  Capsule capsule(std::uint8_t max_depth) const {
    Capsule out = sample_capsule(root_);
    out.max_depth = max_depth;
    return out;
  }
  void head() const {
    std::printf(
        "# Chains, made by make_vectors. `file` is a whole capsule in hex, opened with the trust "
        "root.\n"
        "# opens BLOCKS ID CHAIN HOLDER: it is accepted, with so many blocks, the hash of its "
        "root\n"
        "#   payload, the hash of the whole file, and the key that must prove possession.\n"
        "# refuses NUMBER: what `open` answers.\n"
        "# allows TOOL ARGS, denies NUMBER TOOL ARGS: what the chain says to a call of a builtin,\n"
        "#   budgets apart.\n");
    root();
  }
  void root() const { std::printf("root: %s\n", to_hex(root_file_).c_str()); }
  static void name(const char* text, ByteSpan file) {
    std::printf("# %s\nfile: %s\n", text, to_hex(file).c_str());
  }
  void opens(const char* text, ByteSpan file, std::uint8_t holder) const {
    name(text, file);
    const auto read = must(capsules::read_envelope(file));
    std::printf("expect: opens %zu %s %s %s\n", read.blocks.size(),
                crypto::hash(read.payload).hex().c_str(), crypto::hash(file).hex().c_str(),
                known_key(holder).public_key().hex().c_str());
  }
  static void refuses(const char* text, ByteSpan file, int number) {
    name(text, file);
    std::printf("expect: refuses %d\n", number);
  }
  static void allows(const char* call) { std::printf("expect: allows %s\n", call); }
  static void denies(int number, const char* call) {
    std::printf("expect: denies %d %s\n", number, call);
  }

 private:
  Bytes root_file_;
  capsules::TrustRoot root_;
};

Block keeping(std::uint8_t holder, std::vector<capsules::KeptGrant> grants) {
  Block out;
  out.holder = known_key(holder).public_key();
  out.grants = std::move(grants);
  return out;
}

capsules::KeptGrant kept(std::string id, std::string parent, const char* tree = nullptr) {
  capsules::KeptGrant out;
  out.id = std::move(id);
  out.parent = std::move(parent);
  if (tree != nullptr) out.args = {{"path", false, {capsules::Under{tree}}}};
  return out;
}

// The block as `change` makes it, signed by `signer` under `statement`, at the end of `file`.
Bytes forged(ByteSpan file, Block block, std::uint8_t signer, std::string_view statement,
             const std::function<void(Block&)>& change) {
  block.previous = must(capsules::next_previous(file));
  change(block);
  const Bytes payload = must(capsules::encode_block(block));
  return must(capsules::append_block(file, payload, known_key(signer).sign(statement, payload)));
}

Bytes with_payload(ByteSpan file, const Bytes& payload, std::uint8_t signer) {
  return must(capsules::append_block(file, payload,
                                     known_key(signer).sign(crypto::statement::kBlock, payload)));
}

// A block's payload that names a feature.
Bytes featured(const Hash& previous, std::string_view feature) {
  flatbuffers::FlatBufferBuilder fbb;
  const auto id = fbb.CreateString("a");
  const auto parent = fbb.CreateString("file.list");
  const auto grant = wire::CreateKeptGrant(fbb, id, parent);
  const auto grants = fbb.CreateVector(std::vector{grant});
  const auto features = fbb.CreateVectorOfStrings({std::string(feature)});
  const auto before = fbb.CreateVector(previous.bytes.data(), previous.bytes.size());
  const PublicKey key = known_key(kFirst).public_key();
  const auto holder = fbb.CreateVector(key.bytes.data(), key.bytes.size());
  fbb.Finish(wire::CreateBlock(fbb, features, before, holder, grants), wire::CapsuleIdentifier());
  return {fbb.GetBufferPointer(), fbb.GetBufferPointer() + fbb.GetSize()};
}

constexpr const char* kListA = R"(file.list {"path":"/var/log/a"})";
constexpr const char* kListB = R"(file.list {"path":"/var/log/b"})";
constexpr const char* kWrite = R"(file.write {"content":"x","path":"/srv/report.md"})";

struct Made {
  Bytes base, one, two, three;
};

Made make_three(const Vectors& v) {
  Made out;
  out.base = signed_capsule(v.capsule(3));
  out.one = narrowed(out.base, keeping(kFirst, {kept("a", "file.list", "/var/log/a")}), kHolderKey);
  out.two = narrowed(out.one, keeping(kSecond, {kept("b", "a")}), kFirst);
  out.three = narrowed(out.two, keeping(kThird, {kept("c", "b", "/var/log/a/deep")}), kSecond);
  return out;
}

void write_good(const Vectors& v, const Made& m) {
  v.opens("no block", m.base, kHolderKey);
  v.allows(kListB);
  v.allows(kWrite);
  v.opens("one block: one grant kept, under a smaller tree", m.one, kFirst);
  v.allows(kListA);
  v.denies(504, kListB);
  v.denies(502, kWrite);
  v.denies(505, R"(file.list {"path":"/var/log/a","max_entries":5})");
  v.opens("two blocks; the second adds nothing", m.two, kSecond);
  v.allows(kListA);
  v.denies(504, kListB);
  v.opens("three blocks; the third narrows again", m.three, kThird);
  v.denies(504, kListA);
  v.allows(R"(file.list {"path":"/var/log/a/deep/er"})");
  Parts short_of_one(m.two);
  short_of_one.blocks.pop_back();
  v.opens("the last block cut off: the earlier holder's capsule again", short_of_one.file(),
          kFirst);

  Bytes eight = signed_capsule(v.capsule(8));
  std::string parent = "file.list";
  std::string tree = "/var/log";
  for (std::uint8_t i = 0; i < 8; ++i) {
    tree += "/" + std::to_string(i);
    std::string id = "level-" + std::to_string(i);
    eight = narrowed(eight,
                     keeping(static_cast<std::uint8_t>(40 + i), {kept(id, parent, tree.c_str())}),
                     i == 0 ? kHolderKey : static_cast<std::uint8_t>(39 + i));
    parent = id;
  }
  v.opens("eight blocks, each under a smaller tree", eight, 47);
  v.allows(R"(file.list {"path":"/var/log/0/1/2/3/4/5/6/7"})");
  v.denies(504, R"(file.list {"path":"/var/log/0/1/2/3/4/5/6"})");
  v.denies(504, R"(file.list {"path":"/var/log/0/1/2/3/4/5/6/x/7"})");
  Parts nine(eight);
  nine.blocks.push_back(nine.blocks.back());
  v.refuses("nine blocks", nine.file(), 201);

  v.opens("a holder narrows to its own key",
          narrowed(m.base, keeping(kHolderKey, {kept("a", "file.list")}), kHolderKey), kHolderKey);
  const Bytes twice = narrowed(
      m.base,
      keeping(kFirst, {kept("a", "file.list", "/var/log/a"), kept("b", "file.list", "/var/log/b")}),
      kHolderKey);
  v.opens("one grant kept twice, as alternatives", twice, kFirst);
  v.allows(kListA);
  v.allows(kListB);
  v.denies(504, R"(file.list {"path":"/var/log/c"})");
  v.opens(
      "ids that change hands: each block's own ids count",
      narrowed(m.base, keeping(kFirst, {kept("file.write", "file.list"), kept("x", "file.write")}),
               kHolderKey),
      kFirst);
  v.allows(kListB);
  v.allows(kWrite);
  Block timed = keeping(kFirst, {kept("a", "file.list")});
  timed.lease_ttl_ms = 60'000;
  timed.not_after_s = 1'790'000'200;
  timed.grants[0].budget.calls = 1;
  v.opens("a shorter lease, window and budget", narrowed(m.base, timed, kHolderKey), kFirst);
  Block wider = keeping(kFirst, {kept("a", "file.list", "/")});
  wider.lease_ttl_ms = 86'400'000;
  wider.grants[0].args.push_back({"max_entries", true, {capsules::AnyValue{}}});
  v.opens("a block that claims more has no effect", narrowed(m.base, wider, kHolderKey), kFirst);
  v.allows(kListB);
  v.denies(504, R"(file.list {"path":"/etc"})");
  v.denies(505, R"(file.list {"path":"/var/log","max_entries":5})");
}

void write_verbs(const Vectors& v, const Made& m) {
  Block fewer = keeping(kFirst, {kept("fetch", "file.list"), kept("write", "file.write")});
  fewer.grants[0].verbs = {capsules::Verb::result, capsules::Verb::poll};
  fewer.grants[1].verbs = {capsules::Verb::call};
  const Bytes file = narrowed(m.base, fewer, kHolderKey);
  v.opens("verbs taken away", file, kFirst);
  v.denies(503, kListA);
  v.allows(kWrite);
  Block again = keeping(kSecond, {kept("a", "fetch"), kept("b", "write")});
  again.grants[0].verbs = {capsules::Verb::call};
  v.opens("verbs claimed that the block before took away", narrowed(file, again, kFirst), kSecond);
  v.denies(503, kListA);
  v.allows(kWrite);
  Block either = keeping(kFirst, {kept("a", "file.list", "/var/log/a"), kept("b", "file.list")});
  either.grants[0].verbs = {capsules::Verb::result};
  v.opens("alternatives, the first without the verb", narrowed(m.base, either, kHolderKey), kFirst);
  v.allows(kListA);
  v.allows(kListB);
}

// `verbs` as raw numbers, and whether the feature is named.
Bytes with_verbs(const Hash& previous, const std::vector<std::uint8_t>& verbs, bool named) {
  flatbuffers::FlatBufferBuilder fbb;
  const auto id = fbb.CreateString("a");
  const auto parent = fbb.CreateString("file.list");
  const auto list = fbb.CreateVectorScalarCast<wire::Verb>(verbs.data(), verbs.size());
  const auto grant = wire::CreateKeptGrant(fbb, id, parent, 0, 0, 0, 0, list);
  const auto grants = fbb.CreateVector(std::vector{grant});
  std::vector<std::string> names;
  if (named) names.emplace_back(capsules::kBlockVerbsFeature);
  const auto features = fbb.CreateVectorOfStrings(names);
  const auto before = fbb.CreateVector(previous.bytes.data(), previous.bytes.size());
  const PublicKey key = known_key(kFirst).public_key();
  const auto holder = fbb.CreateVector(key.bytes.data(), key.bytes.size());
  fbb.Finish(wire::CreateBlock(fbb, features, before, holder, grants), wire::CapsuleIdentifier());
  return {fbb.GetBufferPointer(), fbb.GetBufferPointer() + fbb.GetSize()};
}

void write_hostile_verbs(const Vectors& v, const Made& m) {
  const Hash previous = must(capsules::next_previous(m.base));
  const auto refuses = [&](const char* text, const std::vector<std::uint8_t>& verbs, bool named,
                           int number) {
    v.refuses(text, with_payload(m.base, with_verbs(previous, verbs, named), kHolderKey), number);
  };
  refuses("verbs without their feature", {4}, false, 204);
  v.refuses("their feature without verbs",
            with_payload(m.base, featured(previous, capsules::kBlockVerbsFeature), kHolderKey),
            204);
  refuses("a verb twice", {4, 4}, true, 204);
  refuses("a verb that does not exist", {9}, true, 205);
  refuses("the verb none", {0}, true, 205);
  refuses("a list of no verbs", {}, true, 203);
}

void write_signers(const Vectors& v, const Made& m) {
  const Block block = keeping(kFirst, {kept("a", "file.list")});
  const auto same = [](Block&) {};
  const auto by = [&](std::uint8_t signer, ByteSpan file) {
    return forged(file, block, signer, crypto::statement::kBlock, same);
  };
  v.refuses("signed by the issuer", by(kIssuerKey, m.base), 308);
  v.refuses("signed by the next holder", by(kFirst, m.base), 308);
  v.refuses("signed by a stranger", by(kStranger, m.base), 308);
  const Block next = keeping(kSecond, {kept("b", "a")});
  v.refuses("the second block signed by the first holder",
            forged(m.one, next, kHolderKey, crypto::statement::kBlock, same), 308);
  v.refuses("the second block signed by the issuer",
            forged(m.one, next, kIssuerKey, crypto::statement::kBlock, same), 308);
  v.refuses("the second block signed by its own holder",
            forged(m.one, next, kSecond, crypto::statement::kBlock, same), 308);
  v.refuses("signed as a capsule, not as a block",
            forged(m.base, block, kHolderKey, crypto::statement::kCapsule, same), 308);
  Parts flipped(m.one);
  flipped.blocks[0].signature[0] ^= 1;
  v.refuses("a bit of the signature flipped", flipped.file(), 308);
  Parts large_s(m.one);
  large_s.blocks[0].signature[63] |= 0xe0;
  v.refuses("a signature whose S is not reduced", large_s.file(), 308);
  Parts changed(m.one);
  changed.blocks[0].payload.back() ^= 1;
  v.refuses("a bit of the payload flipped", changed.file(), 308);
}

void write_order(const Vectors& v, const Made& m) {
  Parts parts(m.three);
  std::swap(parts.blocks[0], parts.blocks[1]);
  v.refuses("blocks in another order", parts.file(), 308);
  parts = Parts(m.two);
  parts.blocks.erase(parts.blocks.begin());
  v.refuses("the first block taken out", parts.file(), 308);
  parts = Parts(m.three);
  parts.blocks.erase(parts.blocks.begin() + 1);
  v.refuses("the middle block taken out", parts.file(), 308);
  parts = Parts(m.one);
  parts.blocks.push_back(parts.blocks.back());
  v.refuses("a block twice", parts.file(), 308);

  const Bytes self =
      narrowed(m.base, keeping(kHolderKey, {kept("file.list", "file.list")}), kHolderKey);
  parts = Parts(self);
  parts.blocks.push_back(parts.blocks.back());
  v.refuses("a block to the holder's own key twice", parts.file(), 308);

  Capsule other = v.capsule(3);
  other.serial = 8;
  const Parts donor(
      narrowed(signed_capsule(other), keeping(kFirst, {kept("a", "file.list")}), kHolderKey));
  parts = Parts(m.base);
  parts.blocks = donor.blocks;
  v.refuses("a block of another capsule of the same holder", parts.file(), 308);
  const Bytes sibling = narrowed(m.base, keeping(kFirst, {kept("a", "file.list")}), kHolderKey);
  parts = Parts(sibling);
  parts.blocks.push_back(Parts(m.two).blocks[1]);
  v.refuses("a second block made for another first block", parts.file(), 308);
  parts = Parts(m.one);
  parts.head = Parts(signed_capsule(v.capsule(3), {kIssuerKey, kSecondIssuerKey})).head;
  v.refuses("the same root payload under more signatures", parts.file(), 308);
  v.refuses("previous is the capsule's id",
            forged(m.base, keeping(kFirst, {kept("a", "file.list")}), kHolderKey,
                   crypto::statement::kBlock,
                   [&](Block& block) {
                     block.previous = crypto::hash(must(capsules::read_envelope(m.base)).payload);
                   }),
            308);
  v.refuses("previous is the hash of the whole file before",
            forged(m.base, keeping(kFirst, {kept("a", "file.list")}), kHolderKey,
                   crypto::statement::kBlock,
                   [&](Block& block) { block.previous = crypto::hash(m.base); }),
            308);
}

void write_contents(const Vectors& v, const Made& m) {
  v.refuses(
      "a block where the issuer allows none",
      narrowed(signed_capsule(v.capsule(0)), keeping(kFirst, {kept("a", "file.list")}), kHolderKey),
      308);
  v.refuses("a fourth block where three are allowed",
            narrowed(m.three, keeping(kStranger, {kept("d", "c")}), kThird), 308);
  v.refuses("a parent that is nowhere",
            narrowed(m.base, keeping(kFirst, {kept("a", "file.read")}), kHolderKey), 308);
  v.refuses("a parent of the root block, which the block between has renamed",
            narrowed(m.one, keeping(kSecond, {kept("b", "file.list")}), kFirst), 308);
  v.refuses("a parent that the block between has dropped",
            narrowed(m.one, keeping(kSecond, {kept("b", "file.write")}), kFirst), 308);
  v.refuses("an id twice",
            narrowed(m.base, keeping(kFirst, {kept("a", "file.list"), kept("a", "file.write")}),
                     kHolderKey),
            204);
  v.refuses("no grant at all", narrowed(m.base, keeping(kFirst, {}), kHolderKey), 203);
  Block idle = keeping(kFirst, {kept("a", "file.list")});
  idle.lease_ttl_ms = 0;
  v.refuses("a lease of nothing", narrowed(m.base, idle, kHolderKey), 204);
  v.refuses(
      "a feature that is not known",
      with_payload(m.base, featured(must(capsules::next_previous(m.base)), "tomorrow"), kHolderKey),
      205);
  v.refuses("a capsule's payload in a block's place",
            with_payload(m.base, capsule_payload(v.capsule(3)), kHolderKey), 202);
  Bytes slack = must(capsules::encode_block([&] {
    Block block = keeping(kFirst, {kept("a", "file.list")});
    block.previous = must(capsules::next_previous(m.base));
    return block;
  }()));
  slack.resize(slack.size() + 16);
  v.refuses("slack at the end of a block's payload", with_payload(m.base, slack, kHolderKey), 202);
}

void write_framing(const Vectors& v, const Made& m) {
  const Parts one(m.one);
  v.refuses("count 0 before a block", one.counted(0), 201);
  v.refuses("count 2 before one block", one.counted(2), 201);
  Bytes longer = m.one;
  longer.push_back(0);
  v.refuses("a byte after the last block", longer, 201);
  v.refuses("the last byte cut off", Bytes(m.one.begin(), m.one.end() - 1), 201);
  Parts swapped(m.one);
  Capsule deeper = v.capsule(8);
  const Bytes payload = capsule_payload(deeper);
  const auto envelope = must(capsules::read_envelope(m.base));
  crypto::Signature signature{};
  std::copy(envelope.signatures[0].signature.begin(), envelope.signatures[0].signature.end(),
            signature.begin());
  v.refuses("a root payload that allows more blocks, under the old signature",
            narrowed(capsules::write_envelope(payload, {{envelope.signatures[0].key, signature}}),
                     keeping(kFirst, {kept("a", "file.list")}), kHolderKey),
            300);
  v.refuses("good links on a root block that a stranger signed",
            narrowed(signed_capsule(v.capsule(3), {kStranger}),
                     keeping(kFirst, {kept("a", "file.list")}), kHolderKey),
            301);
}

// Leases above a day, under a root whose issuers may give them; then without that word.
void write_long_leases(bool allowed) {
  capsules::TrustRootData data = sample_root_data();
  for (capsules::Issuer& issuer : data.issuers) {
    issuer.limits.max_ttl_ms = 10LL * 86'400'000;
    issuer.limits.long_leases = allowed;
  }
  const Vectors v(data);
  v.root();
  const auto leased = [&v](std::int64_t ttl_ms, bool declared) {
    Capsule out = v.capsule(1);
    out.lease_ttl_ms = ttl_ms;
    out.long_lease = declared;
    return signed_capsule(out);
  };
  v.opens("a lease of a day", leased(86'400'000, false), kHolderKey);
  v.refuses("a lease of more than a day that does not say so", leased(86'400'001, false), 315);
  v.refuses("a lease of a day that says it is long", leased(86'400'000, true), 315);
  const Bytes declared = leased(86'400'001, true);
  const Bytes narrow = narrowed(declared, keeping(kFirst, {kept("a", "file.list")}), kHolderKey);
  if (allowed) {
    v.opens("a long lease", declared, kHolderKey);
    v.opens("a long lease, narrowed", narrow, kFirst);
    v.allows(kListB);
    v.refuses("a long lease above the issuer's limit", leased(10LL * 86'400'000 + 1, true), 306);
  } else {
    v.refuses("a long lease of an issuer who may give none", declared, 306);
    v.refuses("the same, narrowed", narrow, 306);
  }
}

}  // namespace

void write_chains() {
  const Vectors vectors;
  const Made made = make_three(vectors);
  vectors.head();
  write_good(vectors, made);
  write_verbs(vectors, made);
  write_hostile_verbs(vectors, made);
  write_signers(vectors, made);
  write_order(vectors, made);
  write_contents(vectors, made);
  write_framing(vectors, made);
  write_long_leases(true);
  write_long_leases(false);
}

}  // namespace taper::testing
