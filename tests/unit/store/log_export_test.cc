// The exported log and whoever edits it on the way to its auditor.
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "store/audit_export.h"
#include "store/log_file.h"
#include "store/log_tree.h"
#include "store/state_files.h"
#include "tests/support/log_attacks.h"
#include "tests/support/state_for_tests.h"

namespace taper::store {
namespace {

using taper::testing::DiskState;

void append_records(Store& store, int count) {
  for (int i = 0; i < count; ++i) {
    REQUIRE(store
                .write([i](WriteTxn& txn) -> Status {
                  const std::string number = std::to_string(i);
                  TAPER_CHECK(txn.append(LeafType::decision, R"({"task":"t","n":)" + number + "}"));
                  TAPER_CHECK(txn.append(LeafType::outcome, R"({"task":"t","n":)" + number + "}"));
                  return success();
                })
                .ok());
  }
}

Bytes exported(const DiskState& state, const std::optional<Nonce>& nonce = std::nullopt) {
  Result<Bytes> file = export_log(state.path(), state.identity.state().origin, nonce);
  INFO((file.ok() ? std::string() : to_line(file.error())));
  REQUIRE(file.ok());
  return std::move(file).value();
}

// Writes the parts of `log` again, after `edit` had its way with the records.
Bytes rewritten(const LogFile& log, const std::function<void(std::vector<Bytes>&)>& edit) {
  std::vector<Bytes> records;
  ByteReader reader(log.record_bytes);
  for (std::uint64_t i = 0; i < log.records; ++i) records.push_back(to_bytes(take_record(reader)));
  edit(records);
  LogFileWriter out(log.origin, testing::heads_of(log), records.size());
  for (const Bytes& record : records) out.add(record);
  return std::move(out).finish(log.final);
}

}  // namespace

TEST_CASE("a log is verified with nothing but the node's record", "[store][R63]") {
  const DiskState state;
  const int commits = GENERATE(0, 1, 5, 62, 63, 64, 130, 200);
  append_records(*state.open(), commits);
  const Bytes file = exported(state);
  const Result<VerifiedLog> verified = verify_log(file, state.identity.trust());
  INFO((verified.ok() ? std::string() : to_line(verified.error())));
  REQUIRE(verified.ok());
  const std::uint64_t changes = (static_cast<std::uint64_t>(commits) + 1) / limits::kLogKeyCommits;
  CHECK(verified->epochs == 1 + changes);
  CHECK(verified->records == 2 + 2 * static_cast<std::uint64_t>(commits) + changes);
  CHECK(verified->root == state.open()->log_head()->root);
  CHECK_FALSE(verified->recency_proven);
}

TEST_CASE("whoever has the host's key cannot sign an older record anew", "[store][R63]") {
  const DiskState state;
  append_records(*state.open(), static_cast<int>(2 * limits::kLogKeyCommits));
  const Bytes file = exported(state);
  LogFile log = parse_log_file(file).value();
  const LogSeed seed = read_seed(state.path()).value();
  LogTree tree;
  const auto forge = [&](std::vector<Bytes>& records) {
    records[4].back() ^= 1U;
    for (const Bytes& record : records) tree.append(leaf_hash(record));
    log.final.root = tree.root();
    const std::string text = export_text(log.origin, log.records, tree.root(),
                                         state.identity.incarnation, log.final.nonce);
    log.final.signature = seed.key().sign(crypto::statement::kLogExport, as_bytes(text));
  };
  CHECK(verify_log(rewritten(log, forge), state.identity.trust()).code() == Code::log_record_wrong);
}

TEST_CASE("the records of a task come back whole and in order", "[store][R59]") {
  const DiskState state;
  append_records(*state.open(), 3);
  std::vector<std::string> seen;
  REQUIRE(read_log(exported(state), [&seen](const LogRecord& record) {
            CHECK(record.number == seen.size());
            seen.push_back(std::string(record.type_name) + " " + std::string(record.body));
          }).ok());
  REQUIRE(seen.size() == 8);
  CHECK(seen[0].starts_with(R"(incarnation {"incarnation":")" + state.identity.incarnation.hex()));
  CHECK(seen[1] == R"(log_key {"epoch":0,"key":")" + state.identity.log_key_0.hex() + R"("})");
  CHECK(seen[2] == R"(decision {"task":"t","n":0})");
  CHECK(seen[7] == R"(outcome {"task":"t","n":2})");
}

TEST_CASE("a log written beside its owner verifies", "[store]") {
  const DiskState state;
  const auto owner = state.open();
  append_records(*owner, 66);
  CHECK(verify_log(exported(state), state.identity.trust()).ok());
  append_records(*owner, 66);
  CHECK(verify_log(exported(state), state.identity.trust()).ok());
}

TEST_CASE("every changed byte of an exported log is refused", "[store][R63]") {
  const DiskState state;
  append_records(*state.open(), 64);
  Bytes file = exported(state, Nonce{});
  const LogTrust trust = state.identity.trust();
  REQUIRE(verify_log(file, trust).ok());
  for (std::size_t i = 0; i < file.size(); ++i) {
    const std::uint8_t bit = static_cast<std::uint8_t>(1U << (i % 8));
    file[i] = static_cast<std::uint8_t>(file[i] ^ bit);
    const Result<VerifiedLog> verified = verify_log(file, trust);
    if (verified.ok()) FAIL("byte " << i << " may be changed");
    if (describe(verified.code()).kind != Kind::corrupt) {
      CHECK(verified.code() == Code::too_large);
    }
    file[i] = static_cast<std::uint8_t>(file[i] ^ bit);
  }
  CHECK(verify_log(file, trust).ok());
}

TEST_CASE("every truncation and every addition is refused", "[store][R63]") {
  const DiskState state;
  append_records(*state.open(), 10);
  Bytes file = exported(state);
  for (std::size_t i = 0; i < file.size(); ++i) {
    CHECK(verify_log(ByteSpan(file).first(i), state.identity.trust()).code() ==
          Code::log_malformed);
    CHECK(read_log(ByteSpan(file).first(i), [](const LogRecord&) {}).code() == Code::log_malformed);
  }
  for (const char extra : {char{0}, char{1}, char{-1}}) {
    Bytes longer = file;
    longer.push_back(static_cast<std::uint8_t>(extra));
    CHECK(verify_log(longer, state.identity.trust()).code() == Code::log_malformed);
  }
}

TEST_CASE("records swapped, dropped, doubled or changed are refused", "[store][R63]") {
  const DiskState state;
  append_records(*state.open(), 40);
  const Bytes file = exported(state);
  const LogFile log = parse_log_file(file).value();
  CHECK(rewritten(log, [](std::vector<Bytes>&) {}) == file);
  const auto code_after = [&](const std::function<void(std::vector<Bytes>&)>& edit) {
    return verify_log(rewritten(log, edit), state.identity.trust()).code();
  };
  CHECK(code_after([](auto& r) { std::swap(r[7], r[8]); }) == Code::log_record_wrong);
  CHECK(code_after([](auto& r) { r[9] = r[11]; }) == Code::log_record_wrong);
  CHECK(code_after([](auto& r) { r[9].back() ^= 1U; }) == Code::log_record_wrong);
  CHECK(code_after([](auto& r) { r.erase(r.begin() + 5); }) == Code::log_malformed);
  CHECK(code_after([](auto& r) { r.pop_back(); }) == Code::log_malformed);
  CHECK(code_after([](auto& r) { r.push_back(r.back()); }) == Code::log_malformed);
  CHECK(code_after([](auto& r) { std::swap(r[0], r[1]); }) == Code::log_record_wrong);
  CHECK(code_after([](auto& r) { r[1] = record_bytes(LeafType::decision, "{}"); }) ==
        Code::log_key_chain);
  CHECK(code_after([](auto& r) {
          r[9] = record_bytes(LeafType::log_key, log_key_body(1, PublicKey{}));
        }) == Code::log_key_chain);
}

TEST_CASE("the tail of a log cannot be cut with an earlier export's end", "[store][R63]") {
  const DiskState state;
  append_records(*state.open(), 20);
  const Bytes early = exported(state);
  append_records(*state.open(), 64);
  const Bytes late = exported(state);
  LogFile log = parse_log_file(late).value();
  const LogFile old = parse_log_file(early).value();
  log.final = old.final;
  CHECK(verify_log(rewritten(log, [](auto&) {}), state.identity.trust()).code() ==
        Code::log_record_wrong);
  // Without a nonce an old export stands for itself; a nonce shows that it is old.
  CHECK(verify_log(early, state.identity.trust()).ok());
  LogTrust asked = state.identity.trust();
  asked.nonce = crypto::random_id<Nonce>();
  CHECK(verify_log(early, asked).code() == Code::log_nonce);
}

TEST_CASE("who takes the host cannot sign what was written before", "[store][R63]") {
  const DiskState state;
  append_records(*state.open(), 70);
  const Bytes file = exported(state);
  const LogFile log = parse_log_file(file).value();
  // The intruder changes a record of epoch 0, and signs the new tree with every key he can have.
  std::vector<Bytes> records;
  ByteReader reader(log.record_bytes);
  for (std::uint64_t i = 0; i < log.records; ++i) records.push_back(to_bytes(take_record(reader)));
  records[9] = record_bytes(LeafType::decision, "{}");
  const crypto::SigningKey own = crypto::SigningKey::generate();
  std::vector<SignedHead> heads = testing::heads_of(log);
  LogTree tree;
  for (const Bytes& record : records) {
    tree.append(leaf_hash(record));
    for (std::size_t epoch = 0; epoch < heads.size(); ++epoch) {
      if (heads[epoch].size != tree.size()) continue;
      heads[epoch] = sign_head(own, log.origin, tree.size(), tree.root(), epoch);
    }
  }
  LogFileWriter out(log.origin, heads, records.size());
  for (const Bytes& record : records) out.add(record);
  const Bytes forged = std::move(out).finish(log.final);
  CHECK(verify_log(forged, state.identity.trust()).code() == Code::log_signature_wrong);
}

TEST_CASE("a log key is announced by its number, in these words alone", "[store][R63]") {
  // The host itself signs, with the keys that are really its own.
  const DiskState state;
  append_records(*state.open(), 1);
  const Bytes file = exported(state);
  const LogFile log = parse_log_file(file).value();
  const LogSeed first = read_seed(state.path()).value();
  const crypto::SigningKey second = first.next().key();
  const auto code_of = [&](const std::string& announced) {
    std::vector<Bytes> records = {
        record_bytes(LeafType::incarnation,
                     incarnation_body(state.identity.incarnation, log.origin)),
        record_bytes(LeafType::log_key, log_key_body(0, state.identity.log_key_0)),
        record_bytes(LeafType::log_key, announced), record_bytes(LeafType::decision, "{}")};
    LogTree tree;
    for (std::size_t i = 0; i < 3; ++i) tree.append(leaf_hash(records[i]));
    const SignedHead old = sign_head(first.key(), log.origin, 3, tree.root(), 0);
    tree.append(leaf_hash(records[3]));
    const SignedHead last = sign_head(second, log.origin, 4, tree.root(), 1);
    FinalStatement end{std::nullopt, tree.root()};
    end.signature = second.sign(
        crypto::statement::kLogExport,
        as_bytes(export_text(log.origin, 4, tree.root(), state.identity.incarnation, end.nonce)));
    LogFileWriter out(log.origin, {old, last}, records.size());
    for (const Bytes& record : records) out.add(record);
    return verify_log(std::move(out).finish(end), state.identity.trust()).code();
  };
  CHECK(code_of(log_key_body(1, second.public_key())) == Code::ok);
  CHECK(code_of(log_key_body(0, second.public_key())) == Code::log_key_chain);
  CHECK(code_of(log_key_body(2, second.public_key())) == Code::log_key_chain);
  CHECK(code_of(" " + log_key_body(1, second.public_key())) == Code::log_key_chain);
}

TEST_CASE("a nonce that is asked for must be answered", "[store]") {
  const DiskState state;
  append_records(*state.open(), 3);
  const Nonce nonce = crypto::random_id<Nonce>();
  LogTrust trust = state.identity.trust();
  trust.nonce = nonce;
  const Result<VerifiedLog> verified = verify_log(exported(state, nonce), trust);
  REQUIRE(verified.ok());
  CHECK(verified->recency_proven);
  CHECK(verify_log(exported(state), trust).code() == Code::log_nonce);
  CHECK(verify_log(exported(state, crypto::random_id<Nonce>()), trust).code() == Code::log_nonce);
  // An answer to a question that was not asked proves nothing and harms nothing.
  const Result<VerifiedLog> unasked = verify_log(exported(state, nonce), state.identity.trust());
  REQUIRE(unasked.ok());
  CHECK_FALSE(unasked->recency_proven);
}

TEST_CASE("a log of another node, incarnation or first key is refused", "[store]") {
  const DiskState state;
  const Bytes file = exported(state);
  LogTrust trust = state.identity.trust();
  SECTION("node") {
    trust.node = crypto::random_id<PublicKey>();
    CHECK(verify_log(file, trust).code() == Code::log_other_node);
  }
  SECTION("incarnation") {
    trust.incarnation = crypto::random_id<Incarnation>();
    CHECK(verify_log(file, trust).code() == Code::log_other_node);
  }
  SECTION("first key") {
    trust.log_key_0 = crypto::random_id<PublicKey>();
    CHECK(verify_log(file, trust).code() == Code::log_key_chain);
  }
}

TEST_CASE("a log that changes while it is verified is refused", "[store]") {
  const DiskState state;
  append_records(*state.open(), 20);
  Bytes file = exported(state);
  const LogFile log = parse_log_file(file).value();
  const auto at = static_cast<std::size_t>(log.record_bytes.data() - file.data());
  int looks = 0;
  // After the framing was gone over: the records are longer than the file.
  const auto change = [&](ByteSpan) {
    if (++looks == 2) std::fill(file.begin() + static_cast<std::ptrdiff_t>(at), file.end(), 0xFF);
  };
  CHECK(verify_log(file, state.identity.trust(), {.passed = change}).code() == Code::log_malformed);
  CHECK(looks >= 2);
}

TEST_CASE("counts in a hostile file cost nothing", "[store]") {
  ByteWriter file;
  file.raw(as_bytes("TPA1")).text("taper/x").u32(0xFFFFFFFF);
  CHECK(read_log(file.bytes(), [](const LogRecord&) {}).code() == Code::log_malformed);
  ByteWriter records;
  records.raw(as_bytes("TPA1")).text("taper/x").u32(0).u64(~std::uint64_t{0});
  CHECK(read_log(records.bytes(), [](const LogRecord&) {}).code() == Code::log_malformed);
}

TEST_CASE("millions of checkpoints cost no memory", "[store]") {
  constexpr std::size_t kHeads = 2'000'000;
  constexpr std::int64_t kKibMax = std::int64_t{64} * 1024;
  const DiskState state;
  const LogTrust trust = state.identity.trust();
  ByteWriter front;
  front.raw(as_bytes("TPA1")).text(state.identity.state().origin).u32(kHeads);
  // Zeros that nobody wrote take no memory either.
  const std::size_t size = front.bytes().size() + kHeads * kSignedHeadBytes + 8 + 1 + 32 + 64;
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(at != MAP_FAILED);
  std::ranges::copy(front.bytes(), static_cast<std::uint8_t*>(at));
  const auto peak_kib = [] {
    struct rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return std::int64_t{used.ru_maxrss};
  };
  const std::int64_t before = peak_kib();
  CHECK(verify_log(ByteSpan(static_cast<std::uint8_t*>(at), size), trust).code() ==
        Code::log_malformed);
  CHECK(peak_kib() - before < kKibMax);
  ::munmap(at, size);
}

}  // namespace taper::store
