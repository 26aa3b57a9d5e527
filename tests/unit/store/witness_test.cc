// Logs exported in parts, and the memory of whoever witnesses them.
#include "store/auditor/witness.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "store/audit_export.h"
#include "store/log_file.h"
#include "store/log_statements.h"
#include "tests/support/state_for_tests.h"

namespace taper::store {
namespace {

using taper::testing::DiskState;

void work(Store& store, int commits) {
  for (int i = 0; i < commits; ++i) {
    REQUIRE(store
                .write([](WriteTxn& txn) -> Status {
                  TAPER_CHECK(txn.append(LeafType::decision, "{}"));
                  return success();
                })
                .ok());
  }
}

Bytes exported(const DiskState& state, std::uint64_t from = 0,
               const std::optional<Nonce>& nonce = std::nullopt) {
  Result<Bytes> file = export_log(state.path(), state.identity.state().origin, nonce, from);
  INFO((file.ok() ? std::string() : to_line(file.error())));
  REQUIRE(file.ok());
  return std::move(file).value();
}

WitnessMemory memory_of(const DiskState& state) {
  const LogTrust trust = state.identity.trust();
  return {trust.node, trust.incarnation, trust.log_key_0};
}

}  // namespace

TEST_CASE("a log that is exported in parts verifies from part to part", "[store][R63]") {
  const DiskState state;
  const auto store = state.open();
  LogTrust trust = state.identity.trust();
  WitnessMemory memory = memory_of(state);
  std::string evidence;
  std::uint64_t size = 0;
  // Over ends of epochs, just before, at and behind them, and with nothing new at all.
  for (const int commits : {0, 10, 51, 1, 1, 1, 0, 62, 1, 0, 1, 200, 0}) {
    work(*store, commits);
    const Bytes file = exported(state, size);
    const Result<VerifiedLog> log = verify_log(file, trust);
    INFO(commits << (log.ok() ? std::string() : to_line(log.error())));
    REQUIRE(log.ok());
    CHECK(log->first == size);
    CHECK(log->records == store->log_head()->size);
    CHECK(log->root == store->log_head()->root);
    const auto look = memory.look(file, std::nullopt, 7, {}, evidence);
    REQUIRE(look.ok());
    CHECK((look->sight == Sight::nothing) == (log->records == size));
    // The whole says the same.
    CHECK(verify_log(exported(state), state.identity.trust())->root == log->root);
    size = log->records;
    trust.after = log->end;
  }
  CHECK(memory.look(exported(state), std::nullopt, 8, {}, evidence)->sight == Sight::nothing);
  const auto from = [&](std::uint64_t number) {
    return export_log(state.path(), state.identity.state().origin, std::nullopt, number).code();
  };
  CHECK(from(1) == Code::log_not_adjoining);
  CHECK(from(2) == Code::ok);
  CHECK(from(size) == Code::ok);
  CHECK(from(size + 1) == Code::log_not_adjoining);
  // A part stands for nothing alone.
  CHECK(verify_log(exported(state, size), state.identity.trust()).code() ==
        Code::log_not_adjoining);
}

TEST_CASE("a log that is too long for a file is exported in several", "[store][R63]") {
  const DiskState state;
  const auto store = state.open();
  work(*store, 5 * static_cast<int>(limits::kLogKeyCommits) + 30);
  const std::uint64_t size = store->log_head()->size;
  const std::string origin = state.identity.state().origin;
  const Nonce nonce = crypto::random_id<Nonce>();
  // A little more than an epoch of them.
  const std::uint64_t most = 512 + exported(state).size() / 4;
  LogTrust trust = state.identity.trust();
  WitnessMemory memory = memory_of(state);
  std::string evidence;
  std::vector<Bytes> files;
  std::uint64_t next = 0;
  for (bool goes_on = true; goes_on;) {
    files.push_back(export_log(state.path(), origin, nonce, next, most).value());
    const Bytes& file = files.back();
    CHECK(file.size() <= most);
    const LogFront front = read_log_front(file).value();
    goes_on = front.goes_on;
    CHECK(front.first == next);
    // No answer to the nonce lies before the log's end.
    trust.nonce = nonce;
    CHECK(verify_log(file, trust).code() == (goes_on ? Code::log_nonce : Code::ok));
    if (goes_on) trust.nonce.reset();
    const Result<VerifiedLog> log = verify_log(file, trust);
    INFO((log.ok() ? std::string() : to_line(log.error())));
    REQUIRE(log.ok());
    CHECK(log->goes_on == goes_on);
    CHECK(log->recency_proven == !goes_on);
    CHECK(log->records == front.end);
    CHECK(memory.look(file, trust.nonce, 7, {}, evidence)->sight ==
          (next == 0 ? Sight::first : Sight::grown));
    next = front.end;
    trust.after = log->end;
  }
  CHECK(files.size() >= 5);
  CHECK(next == size);
  CHECK(trust.after->root() == store->log_head()->root);
  CHECK(memory.look(exported(state), std::nullopt, 8, {}, evidence)->sight == Sight::nothing);
  // Where the rest is left out, that is told; and no part is left out between.
  CHECK(verify_log(files[0], state.identity.trust())->goes_on);
  CHECK(verify_log(files[1], state.identity.trust()).code() == Code::log_not_adjoining);
  for (std::size_t i = 0; i < files[1].size(); ++i) {
    Bytes changed = files[1];
    changed[i] ^= 1U;
    trust.nonce.reset();
    trust.after = verify_log(files[0], state.identity.trust())->end;
    if (verify_log(changed, trust).ok()) FAIL("byte " << i << " may be changed");
  }
  CHECK(export_log(state.path(), origin, nonce, 0, 1000).code() == Code::too_large);
}

TEST_CASE("a file that the log goes on behind ends where an epoch does", "[store][R63]") {
  const DiskState state;
  work(*state.open(), static_cast<int>(limits::kLogKeyCommits) + 30);
  const Bytes whole = exported(state);
  const LogFile log = parse_log_file(whole).value();
  const auto cut = [&log](std::size_t heads, std::uint64_t records) {
    std::vector<SignedHead> kept;
    for (std::size_t i = 0; i < heads; ++i) kept.push_back(log.head(i));
    LogFileWriter out(log.origin, kept, records, {}, true);
    ByteReader reader(log.record_bytes);
    for (std::uint64_t i = 0; i < records; ++i) out.add(take_record(reader));
    return std::move(out).finish(std::nullopt);
  };
  const LogTrust trust = state.identity.trust();
  CHECK(verify_log(cut(1, log.head(0).size), trust)->goes_on);
  // The epoch in use is in the hands of whoever has the host.
  CHECK(verify_log(cut(2, log.records), trust).code() == Code::log_key_chain);
  CHECK(verify_log(cut(1, log.head(0).size - 1), trust).code() == Code::log_malformed);
  CHECK(verify_log(cut(0, 0), trust).code() == Code::log_malformed);
}

TEST_CASE("a witness's memory is read as it was written, or not at all", "[store]") {
  const DiskState state;
  const auto store = state.open();
  WitnessMemory memory = memory_of(state);
  std::string evidence;
  for (const int commits : {3, 70, 60, 5}) {
    work(*store, commits);
    REQUIRE(memory.look(exported(state), std::nullopt, 1'700'000'000, {}, evidence).ok());
  }
  for (int i = 0; i < 2; ++i) {
    const Nonce nonce = crypto::random_id<Nonce>();
    REQUIRE(memory.look(exported(state, 0, nonce), nonce, 1'700'000'000, {}, evidence).ok());
  }
  const std::string text = memory.text().value();
  const Result<WitnessMemory> again = WitnessMemory::parse(text);
  REQUIRE(again.ok());
  CHECK(again->text().value() == text);
  CHECK(again->seen().size() == 4);
  CHECK(again->seen().back().answered.size() == 2);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    if (WitnessMemory::parse(changed).ok()) FAIL("byte " << i << " may be changed");
  }
  for (std::size_t i = 0; i < text.size(); i += 7)
    CHECK(WitnessMemory::parse(text.substr(0, i)).code() == Code::witness_malformed);
  CHECK(WitnessMemory::parse(text + "\n").code() == Code::witness_malformed);
}

TEST_CASE("an older answer comes again only as what it was", "[store][R63]") {
  const DiskState state;
  const auto store = state.open();
  WitnessMemory memory = memory_of(state);
  std::string evidence;
  const Nonce first = crypto::random_id<Nonce>();
  const Nonce second = crypto::random_id<Nonce>();
  const Nonce later = crypto::random_id<Nonce>();
  const auto code = [&](const Bytes& file, const std::optional<Nonce>& nonce) {
    return memory.look(file, nonce, 7, {}, evidence).code();
  };
  const Bytes answer = exported(state, 0, first);
  const Bytes idle = exported(state, 0, second);
  // What the same state says to a nonce that was made after it was put back.
  const Bytes rolled_back = exported(state, 0, later);
  const std::uint64_t size = store->log_head()->size;
  const Bytes nothing_more = exported(state, size, later);
  REQUIRE(code(answer, first) == Code::ok);
  REQUIRE(code(idle, second) == Code::ok);
  work(*store, 5);
  const Bytes unseen = exported(state, 0, later);
  work(*store, 5);
  REQUIRE(code(exported(state), std::nullopt) == Code::ok);
  for (const auto& [file, nonce] : {std::pair(&answer, first), std::pair(&idle, second)}) {
    const auto look = memory.look(*file, nonce, 7, {}, evidence);
    REQUIRE(look.ok());
    CHECK(look->sight == Sight::nothing);
    CHECK(look->log.records < memory.seen().back().at.size);
    CHECK(code(*file, std::nullopt) == Code::ok);
  }
  const std::string before = memory.text().value();
  for (const Bytes* file : {&rolled_back, &nothing_more, &unseen}) {
    CHECK(code(*file, later) == Code::witness_size_regression);
    // The nonce that they answered is part of what they signed.
    CHECK(evidence.find(later.hex()) != std::string::npos);
  }
  CHECK(code(unseen, std::nullopt) == Code::witness_size_regression);
  CHECK(evidence.empty());
  CHECK(memory.text().value() == before);
}

TEST_CASE("a witness signs the checkpoint and its time", "[store]") {
  const DiskState state;
  WitnessMemory memory = memory_of(state);
  std::string evidence;
  REQUIRE(memory.look(exported(state), std::nullopt, 5, {}, evidence).ok());
  const EpochHead& head = memory.seen().back().head;
  const crypto::SigningKey key = crypto::SigningKey::generate();
  const std::string note = cosigned_note(memory.origin(), head, key, 1'700'000'000);
  const std::string text = checkpoint_text(memory.origin(), head.size, head.root, head.epoch);
  CHECK(note.starts_with(text + "\nlog " + head.key.hex() + " "));
  const std::string front = "\nwitness " + key.public_key().hex() + " 1700000000 ";
  const std::size_t at = note.find(front);
  REQUIRE(at != std::string::npos);
  const auto signature = from_hex(note.substr(at + front.size(), 128));
  REQUIRE(signature);
  CHECK(crypto::verify(key.public_key(), crypto::statement::kCosignature,
                       as_bytes("cosignature/v1\ntime 1700000000\n" + text), *signature));
}

}  // namespace taper::store
