// Logs exported in parts, and the memory of whoever witnesses them.
#include "store/auditor/witness.h"

#include <catch2/catch.hpp>

#include "store/audit_export.h"
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
