// The audit log: what a record and its signed checkpoint cost beside the bare commit, on a memory
// file system so that the disk does not hide it; and how fast an auditor checks a whole log.
#include <array>
#include <charconv>
#include <cstdlib>
#include <string>

#include "crypto/crypto.h"
#include "runtime/authority/node.h"
#include "runtime/base/file.h"
#include "store/audit_export.h"
#include "store/audit_verify.h"
#include "tests/bench/raw_lmdb.h"
#include "tests/bench/rows.h"

namespace taper::bench {
namespace {

constexpr const char* kAppend = "audit append and checkpoint";
// What one append changes: leaf, tree node, head, meta.
constexpr std::array<std::size_t, 4> kAppendPuts = {400, 32, 200, 64};
constexpr std::uint64_t kRecordsPerCommit = 100;

// As many as TAPER_BENCH_RECORDS says.
std::uint64_t records() {
  constexpr std::uint64_t kUsual = 100'000;
  const char* asked = std::getenv("TAPER_BENCH_RECORDS");
  std::uint64_t count = 0;
  if (asked == nullptr) return kUsual;
  const std::string_view text = asked;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), count);
  return read.ec == std::errc() && count > 0 ? count : kUsual;
}

const std::string& record() {
  static const std::string text = "{\"call\":\"" + std::string(380, '0') + "\"}";
  return text;
}

struct Log {
  store::LogSeed seed = store::LogSeed::generate();
  crypto::SigningKey node = crypto::SigningKey::generate();
  store::StateIdentity identity;
  store::LogTrust trust;
  std::string directory;
  std::unique_ptr<store::Store> store;

  explicit Log(std::string where) : directory(std::move(where) + "/state") {
    identity.incarnation = crypto::random_id<Incarnation>();
    identity.origin = "taper/" + node.public_key().hex() + "/" + identity.incarnation.hex();
    trust = {.node = node.public_key(),
             .incarnation = identity.incarnation,
             .log_key_0 = seed.key().public_key(),
             .nonce = std::nullopt};
    TAPER_ASSERT(store::create_state(directory, identity, std::move(seed)).ok());
    auto opened =
        store::open_state({.directory = directory, .origin = identity.origin, .read_only = false});
    TAPER_ASSERT(opened.ok());
    store = std::move(opened).value();
  }
  bool append(std::uint64_t count) const {
    return store
        ->write([count](store::WriteTxn& txn) -> Status {
          for (std::uint64_t i = 0; i < count; ++i) {
            TAPER_CHECK(txn.append(store::LeafType::decision, record()));
          }
          return success();
        })
        .ok();
  }
};

void bench_append(benchmark::State& state) {
  const Log log(memory_directory("log"));
  for (auto _ : state) {
    if (!log.append(1)) state.SkipWithError("not appended");
  }
}

void bench_bare(benchmark::State& state) {
  RawLmdb lmdb(memory_directory("lmdb"), kAppendPuts);
  for (auto _ : state) {
    if (!lmdb.commit(kAppendPuts.size())) state.SkipWithError("LMDB refused");
  }
}

struct Exported {
  Bytes file;
  store::LogTrust trust;
};

// Where TAPER_BENCH_LOG asks for it: the log, and its node's record beside it.
void keep(const Log& log, ByteSpan file) {
  const char* path = std::getenv("TAPER_BENCH_LOG");
  if (path == nullptr) return;
  const authority::NodeRecord record = {.name = "bench",
                                        .sign = log.node.public_key(),
                                        .seal = {},
                                        .incarnation = log.identity.incarnation,
                                        .log_key_0 = log.trust.log_key_0};
  const std::string text = authority::write_node_record(record, log.node);
  TAPER_ASSERT(replace_file(path, file, 0600).ok());
  TAPER_ASSERT(replace_file(std::string(path) + ".pub", as_bytes(text), 0600).ok());
}

// Made once: it takes longer than what is measured.
const Exported& exported() {
  static const Exported made = [] {
    const Log log(memory_directory("log"));
    for (std::uint64_t i = 0; i < records(); i += kRecordsPerCommit) {
      TAPER_ASSERT(log.append(kRecordsPerCommit));
    }
    Result<Bytes> file = store::export_log(log.directory, log.identity.origin, std::nullopt);
    TAPER_ASSERT(file.ok());
    keep(log, *file);
    return Exported{std::move(file).value(), log.trust};
  }();
  return made;
}

void bench_verify(benchmark::State& state) {
  const Exported& log = exported();
  for (auto _ : state) {
    const auto verified = store::verify_log(log.file, log.trust);
    if (!verified.ok()) state.SkipWithError(to_line(verified.error()).c_str());
  }
}

// A leaf and, on average, one node above it.
void bench_hashing(benchmark::State& state) {
  const Bytes leaf(record().size() + 16);
  const Bytes node(65);
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < records(); ++i) {
      benchmark::DoNotOptimize(crypto::tree_hash({leaf}));
      benchmark::DoNotOptimize(crypto::tree_hash({node}));
    }
  }
}

}  // namespace

void register_log() {
  add(kAppend, Side::ours, "one record, one commit", "<= floor + 30 us", bench_append);
  add(kAppend, Side::floor, "LMDB commit, 4 puts", "", bench_bare);
  const std::string verify = "audit verify, " + std::to_string(records()) + " records";
  add(verify, Side::ours, "verify_log()", "<= 10 us a record", bench_verify);
  add(verify, Side::floor, "SHA-256 of as many bytes", "", bench_hashing);
}

}  // namespace taper::bench
