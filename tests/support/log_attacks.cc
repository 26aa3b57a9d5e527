#include "tests/support/log_attacks.h"

#include <filesystem>

#include "crypto/crypto.h"
#include "runtime/authority/node.h"
#include "runtime/base/assert.h"
#include "store/audit_export.h"
#include "store/audit_receipt.h"
#include "store/log_file.h"
#include "store/log_tree.h"
#include "store/state_files.h"
#include "tests/support/scratch_directory.h"

namespace taper::testing {
namespace {

using store::LeafType;
using store::LogSeed;
using store::SignedHead;

// With 64 commits to an epoch, two records to a commit, and the one that announces the next key,
// epoch n ends at 129 * (n + 1) records.
constexpr int kCommits = 270;  // 15 of them in epoch 4, which is open: 546 records
constexpr std::size_t kLast = 545;

std::string body(int number) { return R"({"n":)" + std::to_string(number) + R"(,"task":"t"})"; }

class Node {
 public:
  Node() {
    LogSeed seed = LogSeed::generate();
    const crypto::SigningKey key = crypto::SigningKey::generate();
    trust.node = key.public_key();
    trust.incarnation = crypto::random_id<Incarnation>();
    trust.log_key_0 = seed.key().public_key();
    trust.nonce = crypto::random_id<Nonce>();
    origin = "taper/" + trust.node.hex() + "/" + trust.incarnation.hex();
    record = authority::write_node_record(
        {"attacked", trust.node, {}, trust.incarnation, trust.log_key_0}, key);
    TAPER_ASSERT(store::create_state(path(), {trust.incarnation, origin}, std::move(seed)).ok());
  }
  std::string path() const { return directory_ / "state"; }

  void work(int commits, int first = 0) const {
    const auto store =
        store::open_state({.directory = path(), .origin = origin, .read_only = false});
    TAPER_ASSERT(store.ok());
    for (int i = first; i < first + commits; ++i) {
      const auto done = (*store)->write([i](store::WriteTxn& txn) -> Status {
        TAPER_CHECK(txn.append(LeafType::decision, body(i)));
        TAPER_CHECK(txn.append(LeafType::outcome, body(i)));
        return success();
      });
      TAPER_ASSERT(done.ok());
    }
  }
  Bytes exported(const std::optional<Nonce>& nonce, std::uint64_t from = 0) const {
    Result<Bytes> file = store::export_log(path(), origin, nonce, from);
    TAPER_ASSERT(file.ok());
    return std::move(file).value();
  }
  Bytes answered(std::uint64_t from = 0) const { return exported(trust.nonce, from); }
  LogSeed seed() const { return store::read_seed(path()).value(); }
  Bytes receipt(std::uint64_t number) const {
    const auto store =
        store::open_state({.directory = path(), .origin = origin, .read_only = true});
    TAPER_ASSERT(store.ok());
    return store::make_receipt(**store, number).value();
  }
  void copy_to(const std::string& where) const {
    std::filesystem::copy(path(), where, std::filesystem::copy_options::recursive);
  }
  void restore(const std::string& from) const {
    std::filesystem::remove_all(path());
    std::filesystem::copy(from, path(), std::filesystem::copy_options::recursive);
  }

  store::LogTrust trust;
  std::string origin;
  std::string record;

 private:
  ScratchDirectory directory_;
};

// The parts of an export in the intruder's hands.
struct Forgery {
  std::string origin;
  std::vector<SignedHead> heads;
  std::vector<Bytes> records;
  store::FinalStatement final;

  explicit Forgery(ByteSpan file) {
    const store::LogFile log = store::parse_log_file(file).value();
    origin = log.origin;
    heads = heads_of(log);
    final = log.final;
    ByteReader reader(log.record_bytes);
    for (std::uint64_t i = 0; i < log.records; ++i)
      records.push_back(to_bytes(store::take_record(reader)));
  }

  // Signs checkpoints from `epoch` on, each with the key of its epoch where he has it, else with
  // the one in use; the last statement always.
  Bytes signed_from(std::size_t epoch, const Node& node) {
    store::LogTree tree;
    for (const Bytes& record : records) {
      tree.append(store::leaf_hash(record));
      for (std::size_t i = epoch; i < heads.size(); ++i) {
        if (heads[i].size != tree.size()) continue;
        LogSeed seed = node.seed();
        while (seed.epoch() < i) seed = seed.next();
        heads[i] = store::sign_head(seed.key(), origin, tree.size(), tree.root(), i);
      }
    }
    LogSeed seed = node.seed();
    while (seed.epoch() + 1 < heads.size()) seed = seed.next();
    final.root = tree.root();
    const std::string text =
        store::export_text(origin, records.size(), final.root, node.trust.incarnation, final.nonce);
    final.signature = seed.key().sign(crypto::statement::kLogExport, as_bytes(text));
    return whole();
  }
  Bytes whole() const {
    store::LogFileWriter out(origin, heads, records.size());
    for (const Bytes& record : records) out.add(record);
    return std::move(out).finish(final);
  }
  void cut(std::size_t size) {
    records.resize(size);
    while (heads.size() > 1 && heads[heads.size() - 2].size >= size) heads.pop_back();
    heads.back().size = size;
  }
  void add(int count) {
    for (int i = 0; i < count; ++i)
      records.push_back(store::record_bytes(LeafType::decision, body(1'000 + i)));
    heads.back().size = records.size();
  }
  void erase(std::size_t from, std::size_t to) {
    records.erase(records.begin() + static_cast<std::ptrdiff_t>(from),
                  records.begin() + static_cast<std::ptrdiff_t>(to));
  }
};

Bytes key_leaf(std::uint64_t epoch, const PublicKey& key) {
  return store::record_bytes(LeafType::log_key, store::log_key_body(epoch, key));
}

class Attacks {
 public:
  Attacks() {
    node_.work(100);
    seen_.push_back(node_.exported(std::nullopt));
    node_.work(50);
    unseen_ = node_.exported(std::nullopt);
    node_.work(90);
    seen_.push_back(node_.exported(std::nullopt));
    node_.copy_to(copies_ / "seen");
    node_.work(kCommits - 240);
    real_ = node_.answered();
  }

  std::vector<LogAttack> all() {
    honest();
    rewrites();
    truncations();
    moved();
    versions();
    other_nodes();
    old_ones();
    keys();
    witnessed_only();
    continuations();
    snapshots();
    return std::move(out_);
  }

 private:
  void add(const std::string& name, Bytes file, Code code, const std::string& place) {
    out_.push_back({.name = name,
                    .files = {std::move(file)},
                    .trust = node_.trust,
                    .record = node_.record,
                    .code = code,
                    .place = place,
                    .seen = seen_});
  }
  void only_witness(const std::string& name, Bytes file, Code code, const std::string& place) {
    add(name, std::move(file), Code::ok, "");
    out_.back().seen.push_back(real_);
    out_.back().witnessed = code;
    out_.back().witnessed_place = place;
  }

  void honest() { add("honest", real_, Code::ok, ""); }

  void rewrites() {
    Forgery one(real_);
    one.records[150].back() ^= 1U;
    add("rewrite", one.signed_from(4, node_), Code::log_record_wrong,
        "checkpoint 1 over records 129 to 257");
    add("rewrite-recomputed-tree", one.signed_from(1, node_), Code::log_signature_wrong,
        "checkpoint 1 over records 129 to 257");
  }

  void truncations() {
    Forgery cut(real_);
    cut.cut(506);
    add("truncate", cut.signed_from(3, node_), Code::log_signature_wrong,
        "checkpoint 3 over records 387 to 505");
    Forgery boundary(real_);
    boundary.cut(387);
    add("truncate-at-epoch-end", boundary.signed_from(3, node_), Code::log_signature_wrong,
        "last statement");
    cut.add(40);
    add("truncate-and-continue", cut.signed_from(3, node_), Code::log_signature_wrong,
        "checkpoint 3 over records 387 to 545");
    Forgery unsaid(real_);
    unsaid.records.resize(540);
    add("truncate-unsigned", unsaid.whole(), Code::log_malformed, "checkpoint sizes");
    Forgery more(real_);
    more.heads.insert(more.heads.end(), 1'000, more.heads.back());
    add("more-checkpoints-than-records", more.whole(), Code::log_malformed, "checkpoint sizes");
  }

  void moved() {
    Forgery more(real_);
    more.records.insert(more.records.begin() + 150, more.records[140]);
    for (std::size_t i = 1; i < more.heads.size(); ++i) ++more.heads[i].size;
    add("insert", more.signed_from(4, node_), Code::log_record_wrong,
        "checkpoint 1 over records 129 to 258");
    Forgery order(real_);
    std::swap(order.records[150], order.records[151]);
    add("reorder", order.signed_from(4, node_), Code::log_record_wrong,
        "checkpoint 1 over records 129 to 257");
  }

  void versions() {
    Forgery one(real_);
    one.records[530].front() = 9;
    add("version-unknown", one.signed_from(4, node_), Code::log_record_wrong, "record 530");
  }

  void other_nodes() {
    const Node other;
    other.work(kCommits);
    add("swap-between-nodes", other.exported(node_.trust.nonce), Code::log_other_node, "origin");
    Forgery renamed(other.exported(node_.trust.nonce));
    renamed.origin = node_.origin;
    add("swap-and-rename", renamed.signed_from(0, node_), Code::log_record_wrong, "record 0");
    const Forgery theirs(other.exported(std::nullopt));
    Forgery mixed(real_);
    std::copy(theirs.records.begin() + 258, theirs.records.begin() + 386,
              mixed.records.begin() + 258);
    add("swap-an-epoch", mixed.signed_from(4, node_), Code::log_record_wrong,
        "checkpoint 2 over records 258 to 386");
  }

  void old_ones() {
    add("old-export-asked-for-now", seen_.back(), Code::log_nonce, "nonce");
    add("old-export", seen_.back(), Code::ok, "");
    out_.back().trust.nonce.reset();
    add("old-export-unseen", unseen_, Code::ok, "");
    out_.back().trust.nonce.reset();
    out_.back().witnessed = Code::witness_size_regression;
    out_.back().witnessed_place = "epoch 3, record 484";
  }

  void keys() {
    const crypto::SigningKey own = crypto::SigningKey::generate();
    Forgery leaf(real_);
    leaf.records[257] = key_leaf(2, own.public_key());
    add("forged-key-leaf", leaf.signed_from(2, node_), Code::log_record_wrong,
        "checkpoint 1 over records 129 to 257");
    add("forged-key-leaf-recomputed", leaf.signed_from(1, node_), Code::log_signature_wrong,
        "checkpoint 1 over records 129 to 257");
    Forgery between(real_);
    between.records[530] = key_leaf(5, own.public_key());
    add("key-leaf-between", between.signed_from(4, node_), Code::log_key_chain, "log key 5");
    Forgery skipped(real_);
    skipped.erase(258, 387);
    skipped.heads.erase(skipped.heads.begin() + 2);
    for (std::size_t i = 2; i < skipped.heads.size(); ++i) skipped.heads[i].size -= 129;
    add("skipped-epoch", skipped.whole(), Code::log_key_chain, "log key 3");
    Forgery number(real_);
    number.records.push_back(key_leaf(6, node_.seed().next().next().key().public_key()));
    number.heads.back().size = number.records.size();
    add("skipped-epoch-number", number.signed_from(4, node_), Code::log_key_chain, "log key 5");
    Forgery headless(real_);
    headless.heads.erase(headless.heads.begin() + 2);
    add("epoch-without-checkpoint", headless.whole(), Code::log_key_chain, "log key 3");
  }

  // In the epoch in use the intruder signs what he likes: only memory outside the host knows.
  void witnessed_only() {
    const std::string place = "epoch 4, record 545";
    Forgery one(real_);
    one.records[530].back() ^= 1U;
    only_witness("rewrite-in-epoch-in-use", one.signed_from(4, node_), Code::witness_root_mismatch,
                 place);
    Forgery cut(real_);
    cut.cut(kLast + 1 - 10);
    only_witness("truncate-in-epoch-in-use", cut.signed_from(4, node_),
                 Code::witness_size_regression, place);
    cut.add(20);
    only_witness("truncate-and-continue-in-epoch-in-use", cut.signed_from(4, node_),
                 Code::witness_inconsistent, place);
  }

  // An export in parts, of which one is not the node's.
  void continuations() {
    const std::vector<Bytes> early = {seen_.front()};
    const auto add_parts = [&](const std::string& name, Bytes second, Code code,
                               const std::string& place) {
      add(name, seen_.front(), code, place);
      out_.back().files.push_back(std::move(second));
      out_.back().seen = early;
    };
    add_parts("continued", node_.answered(203), Code::ok, "");
    add_parts("continued-elsewhere", node_.answered(204), Code::log_not_adjoining, "first record");
    Bytes changed = node_.answered(203);
    const std::string wanted = body(10);
    const auto at = std::search(changed.begin(), changed.end(), wanted.begin(), wanted.end());
    TAPER_ASSERT(at != changed.end());
    at[5] ^= 1U;
    add_parts("continued-rewritten", std::move(changed), Code::log_record_wrong,
              "checkpoint 1 over records 203 to 257");
    // Two whole logs that contradict each other: the second continues nothing.
    Forgery other(real_);
    other.records[530].back() ^= 1U;
    add("two-wholes", real_, Code::log_not_adjoining, "first record");
    out_.back().files.push_back(other.signed_from(4, node_));
    out_.back().trust.nonce.reset();
    out_.back().witnessed = Code::ok;  // who never saw the first
  }

  void snapshots() {
    const ScratchDirectory copies;
    const auto restored = [&](int before, int after, Code code, const std::string& place) {
      const std::string copy = copies / std::to_string(before);
      node_.copy_to(copy);
      node_.work(before, 2'000);
      Bytes first = node_.answered();
      node_.restore(copy);
      node_.work(after, 3'000);
      only_witness("snapshot-restored-" + std::to_string(before), node_.answered(), code, place);
      out_.back().seen.push_back(std::move(first));
      node_.restore(copy);
    };
    restored(20, 25, Code::witness_inconsistent, "epoch 4, record 585");
    restored(80, 90, Code::witness_forked_epoch, "epoch 4, record 644");
    // To the very end of an export that was seen, which answers the newest nonce.
    node_.copy_to(copies / "now");
    node_.restore(copies_ / "seen");
    const std::string newest = "epoch 4, record 545";
    only_witness("snapshot-seen", node_.answered(), Code::witness_size_regression, newest);
    only_witness("snapshot-seen-empty", seen_.back(), Code::witness_size_regression, newest);
    out_.back().files.push_back(node_.answered(485));
    node_.restore(copies / "now");
  }

  Node node_;
  const ScratchDirectory copies_;
  std::vector<Bytes> seen_;
  Bytes unseen_;
  Bytes real_;
  std::vector<LogAttack> out_;
};

}  // namespace

std::vector<SignedHead> heads_of(const store::LogFile& log) {
  std::vector<SignedHead> heads;
  for (std::size_t i = 0; i < log.heads(); ++i) heads.push_back(log.head(i));
  return heads;
}

std::vector<LogAttack> make_log_attacks() { return Attacks().all(); }

namespace {

// Of a node that signs a record which is not of the one version.
Bytes receipt_of_version(std::uint8_t version, const Node& node) {
  Forgery log(node.exported(std::nullopt));
  log.records[2].front() = version;
  store::LogTree tree;
  for (std::size_t i = 0; i < 3; ++i) tree.append(store::leaf_hash(log.records[i]));
  const SignedHead head = store::sign_head(node.seed().key(), log.origin, 3, tree.root(), 0);
  ByteWriter out;
  out.raw(as_bytes("TPX1")).text(log.origin).u64(2).block(log.records[2]).u32(0);
  out.raw(store::encode(head)).u8(1);
  out.raw(
      store::node_hash(store::leaf_hash(log.records[0]), store::leaf_hash(log.records[1])).span());
  return std::move(out).bytes();
}

}  // namespace

std::vector<MadeReceipt> make_receipts() {
  const Node node;
  node.work(kCommits);
  const Node other;
  other.work(5);
  std::vector<MadeReceipt> out;
  for (const std::uint64_t number :
       {0U, 1U, 2U, 64U, 128U, 129U, 257U, 258U, 300U, 515U, 516U, 545U})
    out.push_back(
        {"receipt-" + std::to_string(number), node.receipt(number), node.trust, node.record});
  const auto changed = [&](const std::string& name, const Bytes& what, Code code,
                           const std::string& place) {
    Bytes file = node.receipt(300);
    const auto at = std::search(file.begin(), file.end(), what.begin(), what.end());
    TAPER_ASSERT(at != file.end());
    *at ^= 1U;
    out.push_back({"receipt-" + name, std::move(file), node.trust, node.record, code, place});
  };
  const Forgery log(node.exported(std::nullopt));
  changed("record-changed", log.records[300], Code::receipt_wrong, "epoch 2, record 300");
  changed("key-leaf-changed", log.records[257], Code::receipt_wrong, "epoch 1, record 257");
  changed("root-changed", to_bytes(log.heads[1].root.span()), Code::receipt_wrong, "epoch 1");
  changed("signature-changed", Bytes(log.heads[2].signature.begin(), log.heads[2].signature.end()),
          Code::receipt_wrong, "epoch 2");
  out.push_back({"receipt-of-another", other.receipt(3), node.trust, node.record,
                 Code::log_other_node, "origin"});
  out.push_back({"receipt-version", receipt_of_version(9, other), other.trust, other.record,
                 Code::receipt_wrong, "epoch 0, record 2"});
  return out;
}

}  // namespace taper::testing
