// What an auditor released is forgotten, and nothing that is proved later changes by it.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <map>
#include <random>

#include "runtime/base/limits.h"
#include "store/audit_export.h"
#include "store/audit_receipt.h"
#include "store/auditor/receipt.h"
#include "store/auditor/witness.h"
#include "tests/support/state_for_tests.h"

namespace taper::store {
namespace {

using taper::testing::DiskState;
using taper::testing::StoreIdentity;

Result<bool> nothing(ByteSpan /*record*/) { return false; }

void work(Store& store, int commits, int records = 1, const std::string& body = "{}") {
  for (int i = 0; i < commits; ++i) {
    REQUIRE(store
                .write([&](WriteTxn& txn) -> Status {
                  for (int n = 0; n < records; ++n)
                    TAPER_CHECK(txn.append(LeafType::decision, body));
                  return success();
                })
                .ok());
  }
}

// As the authority does: with a record of it.
Result<bool> release(Store& store, std::uint64_t size, const TreeHash& root) {
  bool taken = false;
  TAPER_CHECK(store.write([&](WriteTxn& txn) -> Status {
    TAPER_TRY(taken, txn.release(size, root));
    TAPER_CHECK(txn.append(LeafType::release, "{}"));
    return success();
  }));
  return taken;
}

bool prune_some(Store& store, const WriteTxn::Needed& needed = nothing) {
  bool more = false;
  REQUIRE(store
              .write([&](WriteTxn& txn) -> Status {
                TAPER_TRY(more, txn.prune(needed));
                return success();
              })
              .ok());
  return more;
}

LogFloor floor_of(const Store& store) {
  LogFloor floor;
  REQUIRE(store
              .read([&floor](const ReadTxn& txn) -> Status {
                TAPER_TRY(floor, log_floor(txn));
                return success();
              })
              .ok());
  return floor;
}

// The type of a record that is here.
std::optional<LeafType> kept_type(const Store& store, std::uint64_t number) {
  std::optional<LeafType> type;
  REQUIRE(store
              .read([&](const ReadTxn& txn) -> Status {
                TAPER_TRY(const auto record, txn.get(Table::log_leaves, big_endian(number)));
                if (record) type = static_cast<LeafType>((*record)[1]);
                return success();
              })
              .ok());
  return type;
}

Result<Bytes> exported(const DiskState& state, std::uint64_t from = 0) {
  return export_log(state.path(), state.identity.state().origin, std::nullopt, from);
}

}  // namespace

TEST_CASE("a pruned log proves what an unpruned twin of it proves", "[store][R59][R63]") {
  const auto random_seed = GENERATE(range(1U, 9U));
  std::mt19937 dice(random_seed);
  const auto roll = [&dice](std::uint64_t below) { return dice() % below; };
  const StoreIdentity identity;
  const Bytes secret(32, static_cast<std::uint8_t>(random_seed));
  const auto store = open_memory(identity.state(), LogSeed(0, secret));
  const auto twin = open_memory(identity.state(), LogSeed(0, secret));
  std::map<std::uint64_t, TreeHash> roots;
  for (int round = 0; round < 60; ++round) {
    for (std::uint64_t commits = roll(30); commits-- > 0;) {
      const std::string body = R"({"n":)" + std::to_string(roll(1'000'000)) + "}";
      const int records = 1 + static_cast<int>(roll(30));
      work(*store, 1, records, body);
      work(*twin, 1, records, body);
      roots.emplace(store->log_head()->size, store->log_head()->root);
    }
    if (roots.empty()) continue;
    const auto chosen = std::next(roots.begin(), static_cast<std::ptrdiff_t>(roll(roots.size())));
    const std::uint64_t before = floor_of(*store).released;
    const Result<bool> taken = release(*store, chosen->first, chosen->second);
    REQUIRE(taken.ok());
    CHECK(*taken == (chosen->first > before));
    REQUIRE(twin->write([](WriteTxn& txn) -> Status {
                  TAPER_CHECK(txn.append(LeafType::release, "{}"));
                  return success();
                })
                .ok());
    // Some of it, perhaps all; or all of a transaction that comes to nothing.
    const LogFloor whole = floor_of(*store);
    CHECK(store
              ->write([](WriteTxn& txn) -> Status {
                TAPER_CHECK(txn.prune(nothing));
                return Error(Code::internal);
              })
              .code() == Code::internal);
    CHECK(floor_of(*store).kept == whole.kept);
    for (std::uint64_t steps = roll(4); steps-- > 0 && prune_some(*store);) continue;
    const LogFloor floor = floor_of(*store);
    CHECK(floor.kept <= floor.released);
    CHECK(floor.released == std::max(before, chosen->first));
    const LogHead head = *store->log_head();
    REQUIRE(head.size == twin->log_head()->size);
    REQUIRE(head.root == twin->log_head()->root);
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t number = roll(head.size);
      const auto type = kept_type(*twin, number);
      const bool stays = number >= floor.kept || type == LeafType::log_key || number == 0;
      INFO(number << " of " << head.size << ", kept " << floor.kept);
      REQUIRE(kept_type(*store, number) == (stays ? type : std::nullopt));
      if (stays) {
        REQUIRE(make_receipt(*store, number).value() == make_receipt(*twin, number).value());
      }
    }
  }
}

TEST_CASE("only this log's own front is released", "[store][R59]") {
  const DiskState state;
  auto store = state.open();
  work(*store, 100);
  const LogHead early = *store->log_head();
  work(*store, 30);
  const LogHead head = *store->log_head();
  TreeHash other = head.root;
  other.bytes[5] ^= 1U;
  CHECK(release(*store, head.size, other).code() == Code::release_mismatch);
  CHECK(release(*store, head.size - 1, head.root).code() == Code::release_mismatch);
  CHECK(release(*store, head.size + 1, head.root).code() == Code::release_mismatch);
  CHECK(floor_of(*store).released == 0);
  CHECK_FALSE(prune_some(*store));
  CHECK(floor_of(*store).kept == 0);
  CHECK(release(*store, early.size, early.root).value());
  CHECK_FALSE(release(*store, early.size, early.root).value());
  CHECK(release(*store, head.size, head.root).value());
  CHECK_FALSE(release(*store, early.size, early.root).value());  // nothing comes back by it
  store.reset();
  store = state.open();
  CHECK(floor_of(*store).released == head.size);
}

TEST_CASE("what is needed stays, and all behind it", "[store][R59]") {
  const auto store = taper::testing::memory_store();
  work(*store, 20, 1, R"({"old":1})");
  work(*store, 1, 1, R"({"live":1})");
  work(*store, 20, 1, R"({"old":2})");
  const LogHead head = *store->log_head();
  REQUIRE(release(*store, head.size, head.root).value());
  bool lives = true;
  const WriteTxn::Needed needed = [&lives](ByteSpan record) -> Result<bool> {
    return lives && as_text(record).find("live") != std::string_view::npos;
  };
  CHECK_FALSE(prune_some(*store, needed));
  const std::uint64_t live = 2 + 20;
  CHECK(floor_of(*store).kept == live);
  CHECK(kept_type(*store, live - 1) == std::nullopt);
  for (std::uint64_t number = live; number < head.size; ++number)
    CHECK(kept_type(*store, number) == LeafType::decision);
  lives = false;
  CHECK_FALSE(prune_some(*store, needed));
  CHECK(floor_of(*store).kept == head.size);
  CHECK(kept_type(*store, head.size) == LeafType::release);
}

TEST_CASE("an archive and what the node has behind it verify together", "[store][R59][R63]") {
  const DiskState state;
  auto store = state.open();
  // Below, at and above the end of an epoch.
  const int commits = GENERATE(10, 62, 63, 64, 200);
  work(*store, commits);
  const Bytes archive = exported(state).value();
  LogTrust trust = state.identity.trust();
  const VerifiedLog seen = verify_log(archive, trust).value();
  WitnessMemory memory(trust.node, trust.incarnation, trust.log_key_0);
  std::string evidence;
  REQUIRE(memory.look(archive, std::nullopt, 7, {}, evidence).ok());
  work(*store, 3);
  REQUIRE(release(*store, seen.records, seen.root).value());
  while (prune_some(*store)) continue;
  REQUIRE(floor_of(*store).kept == seen.records);
  store.reset();  // the tree is taken up from what stayed
  store = state.open();
  work(*store, 70);

  const Bytes rest = exported(state).value();
  CHECK(read_log_front(rest)->first == seen.records);
  CHECK(rest == exported(state, seen.records).value());
  trust.after = seen.end;
  const Result<VerifiedLog> whole = verify_log(rest, trust);
  INFO((whole.ok() ? std::string() : to_line(whole.error())));
  REQUIRE(whole.ok());
  CHECK(whole->root == store->log_head()->root);
  const auto look = memory.look(rest, std::nullopt, 8, {}, evidence);
  REQUIRE(look.ok());
  CHECK(look->sight == Sight::grown);

  const Result<Bytes> gone = exported(state, seen.records - 1);
  CHECK(gone.code() == Code::log_pruned);
  CHECK(gone.error().detail().expected == std::to_string(seen.records) + " or more");
  for (std::uint64_t number = seen.records; number < store->log_head()->size; number += 7) {
    const Result<Bytes> receipt = make_receipt(*store, number);
    REQUIRE(receipt.ok());
    CHECK(check_receipt(*receipt, state.identity.trust()).ok());
  }
}

TEST_CASE("a transaction forgets no more than its share", "[store]") {
  const auto store = taper::testing::memory_store();
  const bool large = GENERATE(false, true);
  const std::size_t share = large ? 4 : limits::kPruneRecordsMax;
  const std::string body(large ? limits::kPruneBytesMax / 4 : 10, ' ');
  work(*store, 1, static_cast<int>(3 * share), body);
  const LogHead head = *store->log_head();
  REQUIRE(release(*store, head.size, head.root).value());
  std::uint64_t kept = 0;
  int steps = 0;
  for (bool more = true; more; ++steps) {
    more = prune_some(*store);
    CHECK(floor_of(*store).kept - kept <= share + 2);  // and the log's keys
    kept = floor_of(*store).kept;
  }
  CHECK(kept == head.size);
  CHECK(steps >= 3);
}

TEST_CASE("a process killed while it forgets leaves a whole log", "[store][R50]") {
  const DiskState state;
  auto store = state.open();
  work(*store, 60, 200);
  const Bytes archive = exported(state).value();
  const VerifiedLog seen = verify_log(archive, state.identity.trust()).value();
  REQUIRE(release(*store, seen.records, seen.root).value());
  store.reset();
  std::mt19937 dice(4);
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto own = open_state(state.options(false));
      if (!own.ok()) ::_exit(1);
      for (bool more = true; more;) {
        const auto done = own.value()->write([&more](WriteTxn& txn) -> Status {
          TAPER_TRY(more, txn.prune(nothing));
          return success();
        });
        if (!done.ok()) ::_exit(2);
      }
      ::_exit(0);
    }
    ::usleep(dice() % 30'000);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE((WIFSIGNALED(status) || WEXITSTATUS(status) == 0));
    store = state.open();
    const LogFloor floor = floor_of(*store);
    CHECK(floor.released == seen.records);
    if (floor.kept > 2) CHECK(kept_type(*store, floor.kept - 1) != LeafType::decision);
    CHECK(kept_type(*store, floor.kept).has_value());
    work(*store, 1);
    LogTrust trust = state.identity.trust();
    trust.after = seen.end;
    CHECK(verify_log(exported(state).value(), trust).ok());
    store.reset();
  }
}

}  // namespace taper::store
