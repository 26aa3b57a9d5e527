// What every backend must do alike: one transaction, all or nothing, in order.
#include "store/store.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "store/node_store.h"
#include "tests/support/state_for_tests.h"
#include "tests/unit/store/store_over.h"

namespace taper::store {
namespace {

using taper::testing::DiskState;
using taper::testing::memory_store;

std::vector<std::string> keys_of(const ReadTxn& txn, Table table, std::string_view prefix,
                                 bool back = false) {
  std::vector<std::string> keys;
  const auto visit = [&keys](ByteSpan key, ByteSpan) {
    keys.emplace_back(as_text(key));
    return true;
  };
  const Status done = back ? txn.scan_back(table, as_bytes(prefix), visit)
                           : txn.scan(table, as_bytes(prefix), visit);
  REQUIRE(done.ok());
  return keys;
}

std::optional<std::string> value_of(const Store& store, Table table, std::string_view key) {
  std::optional<std::string> value;
  REQUIRE(store
              .read([&](const ReadTxn& txn) -> Status {
                TAPER_TRY(const std::optional<ByteSpan> found, txn.get(table, as_bytes(key)));
                if (found) value = std::string(as_text(*found));
                return success();
              })
              .ok());
  return value;
}

Status put_text(WriteTxn& txn, std::string_view key, std::string_view value) {
  return txn.put(Table::tasks, as_bytes(key), as_bytes(value));
}

using Texts = std::vector<std::string>;

}  // namespace

#define FOR_EACH_BACKEND                                       \
  const std::string backend = GENERATE("memory", "disk");      \
  CAPTURE(backend);                                            \
  std::unique_ptr<DiskState> disk;                             \
  if (backend == "disk") disk = std::make_unique<DiskState>(); \
  const std::unique_ptr<Store> store = disk ? disk->open() : memory_store()

TEST_CASE("a write is there afterwards and is numbered", "[store]") {
  FOR_EACH_BACKEND;
  const Result<Committed> first =
      store->write([](WriteTxn& txn) { return put_text(txn, "a", "1"); });
  REQUIRE(first.ok());
  CHECK(value_of(*store, Table::tasks, "a") == "1");
  CHECK(value_of(*store, Table::calls, "a") == std::nullopt);
  const Result<Committed> second = store->write([](WriteTxn& txn) -> Status {
    TAPER_CHECK(put_text(txn, "a", ""));
    TAPER_CHECK(txn.append(LeafType::decision, "{}"));
    return success();
  });
  REQUIRE(second.ok());
  CHECK(second->commit() == first->commit() + 1);
  CHECK(second->log_size() == first->log_size() + 1);
  CHECK(value_of(*store, Table::tasks, "a") == "");
}

TEST_CASE("a change that fails leaves nothing behind", "[store][R50]") {
  FOR_EACH_BACKEND;
  REQUIRE(store->write([](WriteTxn& txn) { return put_text(txn, "kept", "old"); }).ok());
  const LogHead before = store->log_head().value();
  const Result<Committed> failed = store->write([](WriteTxn& txn) -> Status {
    TAPER_CHECK(put_text(txn, "kept", "new"));
    TAPER_CHECK(put_text(txn, "kept", "newer"));
    TAPER_CHECK(put_text(txn, "added", "x"));
    TAPER_CHECK(txn.erase(Table::tasks, as_bytes("kept")));
    TAPER_CHECK(txn.append(LeafType::decision, "{}"));
    return Error(Code::budget_calls);
  });
  CHECK(failed.code() == Code::budget_calls);
  CHECK(value_of(*store, Table::tasks, "kept") == "old");
  CHECK(value_of(*store, Table::tasks, "added") == std::nullopt);
  const LogHead after = store->log_head().value();
  CHECK(after.size == before.size);
  CHECK(after.root == before.root);
  CHECK(store->write([](WriteTxn& txn) { return put_text(txn, "b", "2"); }).ok());
}

TEST_CASE("put_new never replaces", "[store]") {
  FOR_EACH_BACKEND;
  const auto mark = [](WriteTxn& txn) {
    return txn.put_new(Table::replay, as_bytes("nonce"), as_bytes("1"));
  };
  CHECK(store->write(mark).ok());
  CHECK(store->write(mark).code() == Code::key_present);
  // Its error may be handled; the rest of the transaction then counts.
  CHECK(store
            ->write([&](WriteTxn& txn) -> Status {
              CHECK(mark(txn).code() == Code::key_present);
              return put_text(txn, "seen", "twice");
            })
            .ok());
  CHECK(value_of(*store, Table::tasks, "seen") == "twice");
  CHECK(value_of(*store, Table::replay, "nonce") == "1");
}

TEST_CASE("a change sees what it did, and erasing what is absent is fine", "[store]") {
  FOR_EACH_BACKEND;
  CHECK(store
            ->write([](WriteTxn& txn) -> Status {
              TAPER_CHECK(put_text(txn, "a", "1"));
              TAPER_TRY(const std::optional<ByteSpan> found, txn.get(Table::tasks, as_bytes("a")));
              CHECK(found.has_value());
              TAPER_CHECK(txn.erase(Table::tasks, as_bytes("a")));
              TAPER_CHECK(txn.erase(Table::tasks, as_bytes("never")));
              TAPER_TRY(const std::optional<ByteSpan> gone, txn.get(Table::tasks, as_bytes("a")));
              CHECK_FALSE(gone.has_value());
              return success();
            })
            .ok());
}

TEST_CASE("scans go in byte order within a prefix, both ways", "[store]") {
  FOR_EACH_BACKEND;
  CHECK(store
            ->write([](WriteTxn& txn) -> Status {
              for (const char* key : {"b", "a/2", "a/1", "a", "a0", "\xff\xff", "\xff", "a/10"}) {
                TAPER_CHECK(put_text(txn, key, key));
              }
              return success();
            })
            .ok());
  CHECK(store
            ->read([](const ReadTxn& txn) -> Status {
              CHECK(keys_of(txn, Table::tasks, "a/") == Texts{"a/1", "a/10", "a/2"});
              CHECK(keys_of(txn, Table::tasks, "a/", true) == Texts{"a/2", "a/10", "a/1"});
              CHECK(keys_of(txn, Table::tasks, "\xff", true) == Texts{"\xff\xff", "\xff"});
              CHECK(keys_of(txn, Table::tasks, "").size() == 8);
              CHECK(keys_of(txn, Table::tasks, "", true).front() == "\xff\xff");
              CHECK(keys_of(txn, Table::tasks, "zz").empty());
              CHECK(keys_of(txn, Table::tasks, "zz", true).empty());
              CHECK(keys_of(txn, Table::roots, "", true).empty());
              int seen = 0;
              CHECK(txn.scan(Table::tasks, {}, [&seen](ByteSpan, ByteSpan) { return ++seen < 3; })
                        .ok());
              CHECK(seen == 3);
              return success();
            })
            .ok());
}

TEST_CASE("keys and records have their limits", "[store]") {
  FOR_EACH_BACKEND;
  const std::string longest(limits::kStoreKeyBytesMax, 'k');
  CHECK(store->write([&](WriteTxn& txn) { return put_text(txn, longest, "v"); }).ok());
  CHECK(store->write([&](WriteTxn& txn) { return put_text(txn, longest + "k", "v"); }).code() ==
        Code::store_failure);
  CHECK(store->write([&](WriteTxn& txn) { return put_text(txn, "", "v"); }).code() ==
        Code::store_failure);
  const auto append = [&](std::size_t size) {
    return store
        ->write([size](WriteTxn& txn) -> Status {
          TAPER_CHECK(txn.append(LeafType::outcome, std::string(size, 'x')));
          return success();
        })
        .code();
  };
  CHECK(append(limits::kAuditRecordBytesMax - 3) == Code::ok);
  CHECK(append(limits::kAuditRecordBytesMax - 2) == Code::too_large);
  CHECK(append(0) == Code::ok);
}

TEST_CASE("an operation that failed unnoticed fails the commit", "[store]") {
  FOR_EACH_BACKEND;
  const Result<Committed> result = store->write([](WriteTxn& txn) -> Status {
    TAPER_CHECK(put_text(txn, "a", "1"));
    static_cast<void>(put_text(txn, "", "lost"));
    return success();
  });
  CHECK(result.code() == Code::store_failure);
  CHECK(value_of(*store, Table::tasks, "a") == std::nullopt);
}

TEST_CASE("log keys change after their share of commits", "[store]") {
  FOR_EACH_BACKEND;
  CHECK(store->log_head()->size == 2);
  for (std::uint32_t i = 1; i < limits::kLogKeyCommits; ++i) {
    CHECK(store->log_head()->epoch == 0);
    REQUIRE(store
                ->write([](WriteTxn& txn) -> Status {
                  TAPER_CHECK(txn.append(LeafType::decision, "{}"));
                  return success();
                })
                .ok());
  }
  // The announcement of key 1 is the last record that key 0 signed.
  CHECK(store->log_head()->size == 2 + limits::kLogKeyCommits);
  CHECK(store->log_head()->epoch == 0);
  // Commits that append nothing sign nothing.
  REQUIRE(store->write([](WriteTxn& txn) { return put_text(txn, "a", "1"); }).ok());
  CHECK(store->log_head()->epoch == 0);
  REQUIRE(store
              ->write([](WriteTxn& txn) -> Status {
                TAPER_CHECK(txn.append(LeafType::decision, "{}"));
                return success();
              })
              .ok());
  CHECK(store->log_head()->epoch == 1);
}

namespace {

// An engine whose next commit answers as told. What it can do to you: lose the transaction, or keep
// it and not say so.
class UnsureEngine final : public Engine {
 public:
  explicit UnsureEngine(const Code& answer) : answer_(answer) {}
  Result<std::unique_ptr<EngineTxn>> begin(Access access) const override {
    TAPER_TRY(std::unique_ptr<EngineTxn> txn, inner_->begin(access));
    return std::unique_ptr<EngineTxn>(std::make_unique<Txn>(std::move(txn), answer_));
  }

 private:
  class Txn final : public EngineTxn {
   public:
    Txn(std::unique_ptr<EngineTxn> inner, const Code& answer)
        : inner_(std::move(inner)), answer_(answer) {}
    Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const override {
      return inner_->get(table, key);
    }
    Status scan(Table table, ByteSpan prefix, const Visit& visit) const override {
      return inner_->scan(table, prefix, visit);
    }
    Status scan_back(Table table, ByteSpan prefix, const Visit& visit) const override {
      return inner_->scan_back(table, prefix, visit);
    }
    Status put(Table table, ByteSpan key, ByteSpan value) override {
      return inner_->put(table, key, value);
    }
    Status put_new(Table table, ByteSpan key, ByteSpan value) override {
      return inner_->put_new(table, key, value);
    }
    Status erase(Table table, ByteSpan key) override { return inner_->erase(table, key); }
    Status reserve() override { return inner_->reserve(); }
    Status commit() override {
      if (answer_ == Code::ok) return inner_->commit();
      return Error(answer_);
    }

   private:
    std::unique_ptr<EngineTxn> inner_;
    const Code& answer_;
  };
  std::unique_ptr<Engine> inner_ = make_memory_engine();
  const Code& answer_;
};

std::unique_ptr<Store> unsure_store(const Code& answer) {
  auto engine = std::make_unique<UnsureEngine>(answer);
  return store_over(std::move(engine));
}

}  // namespace

TEST_CASE("after a commit of unknown fate no write is taken", "[store]") {
  Code answer = Code::ok;
  const std::unique_ptr<Store> store = unsure_store(answer);
  const auto change = [](WriteTxn& txn) { return put_text(txn, "a", "1"); };
  REQUIRE(store->write(change).ok());
  answer = Code::commit_unknown;
  CHECK(store->write(change).code() == Code::commit_unknown);
  answer = Code::ok;
  CHECK(store->write(change).code() == Code::store_failure);
  CHECK(store->log_head().ok());
}

TEST_CASE("a full store refuses one write and takes the next", "[store]") {
  Code answer = Code::ok;
  const std::unique_ptr<Store> store = unsure_store(answer);
  const auto change = [](WriteTxn& txn) -> Status {
    TAPER_CHECK(txn.append(LeafType::decision, "{}"));
    return success();
  };
  answer = Code::store_full;
  CHECK(store->write(change).code() == Code::store_full);
  CHECK(store->log_head()->size == 2);
  answer = Code::ok;
  const Result<Committed> next = store->write(change);
  REQUIRE(next.ok());
  CHECK(next->log_size() == 3);
}

}  // namespace taper::store
