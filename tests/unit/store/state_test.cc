// A state on disk: who may open it, and old or foreign parts put back into it.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "store/engine.h"
#include "store/node_store.h"
#include "store/store.h"
#include "tests/support/state_for_tests.h"
#include "tests/unit/store/store_over.h"

namespace taper::store {
namespace {

namespace fs = std::filesystem;
using taper::testing::DiskState;
using taper::testing::ScratchDirectory;
using taper::testing::StoreIdentity;

void commit_records(Store& store, int count) {
  for (int i = 0; i < count; ++i) {
    REQUIRE(store
                .write([i](WriteTxn& txn) -> Status {
                  TAPER_CHECK(txn.append(LeafType::decision, std::to_string(i)));
                  return success();
                })
                .ok());
  }
}

void copy(const DiskState& state, const std::string& name, const std::string& to) {
  fs::copy_file(state / name, state.directory / to, fs::copy_options::overwrite_existing);
}
void put_back(const DiskState& state, const std::string& from, const std::string& name) {
  fs::copy_file(state.directory / from, state / name, fs::copy_options::overwrite_existing);
}

// Runs `body` in a child and gives its exit status.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a state is made once, for its owner alone", "[store]") {
  const DiskState state;
  for (const char* name : {"", "/data.mdb", "/marker", "/log.seed", "/lock"}) {
    struct stat info{};
    REQUIRE(::stat((state.path() + name).c_str(), &info) == 0);
    CHECK((info.st_mode & 077) == 0);
  }
  const StoreIdentity other;
  CHECK(create_state(state.path(), other.state(), LogSeed::generate()).code() == Code::file_exists);
  CHECK(state.open_code() == Code::ok);
}

TEST_CASE("a directory without a state is none", "[store]") {
  const ScratchDirectory empty;
  for (const bool read_only : {false, true}) {
    CHECK(open_state({empty.path(), "", read_only}).code() == Code::not_a_state);
    CHECK(open_state({empty / "absent", "", read_only}).code() == Code::not_a_state);
  }
}

TEST_CASE("one process owns a state", "[store]") {
  const DiskState state;
  const auto owner = state.open();
  CHECK(state.open_code() == Code::state_locked);
  CHECK(in_child([&state] { return state.open_code() == Code::state_locked ? 0 : 1; }) == 0);
}

TEST_CASE("the lock ends with its owner", "[store]") {
  const DiskState state;
  CHECK(in_child([&state] {
          const auto owner = open_state(state.options(false));
          if (owner.ok()) ::raise(SIGKILL);
          return 1;
        }) == -1);
  CHECK(state.open_code() == Code::ok);
}

TEST_CASE("a lock file that was taken away stops the writes", "[store]") {
  const DiskState state;
  const auto owner = state.open();
  commit_records(*owner, 1);
  const auto nothing = [](WriteTxn&) { return success(); };
  SECTION("removed") { fs::remove(state / "lock"); }
  SECTION("replaced") { REQUIRE(replace_file(state / "lock", {}, 0600).ok()); }
  CHECK(owner->write(nothing).code() == Code::state_locked);
  CHECK(owner->write(nothing).code() == Code::store_failure);
  CHECK(owner->log_head().ok());
}

TEST_CASE("a commit of another process under the owner stops the writes", "[store]") {
  const DiskState state;
  const auto owner = state.open();
  CHECK(in_child([&state]() -> int {
          fs::rename(state / "lock", state / "lock.away");
          const auto thief = open_state(state.options(false));
          if (!thief.ok()) return 1;
          commit_records(**thief, 1);
          fs::rename(state / "lock.away", state / "lock");
          return 0;
        }) == 0);
  const std::uint64_t size = owner->log_head()->size;
  const auto append = [](WriteTxn& txn) -> Status {
    TAPER_CHECK(txn.append(LeafType::decision, "{}"));
    return success();
  };
  CHECK(owner->write(append).code() == Code::state_locked);
  CHECK(owner->write(append).code() == Code::store_failure);
  CHECK(owner->log_head()->size == size);
}

TEST_CASE("a child that was forked does not hold the lock longer than its parent", "[store]") {
  const DiskState state;
  CHECK(in_child([&state]() -> int {
          const auto owner = open_state(state.options(false));
          if (!owner.ok()) return 1;
          // What is executed from the owner must not inherit the lock.
          if (::fork() == 0) ::execl("/bin/sleep", "sleep", "2", nullptr);
          ::raise(SIGKILL);
          return 2;
        }) == -1);
  // Until it has become another program it is the owner's copy, lock and all.
  for (int i = 0; i < 500 && state.open_code() == Code::state_locked; ++i) ::usleep(1000);
  CHECK(state.open_code() == Code::ok);
}

TEST_CASE("another node's record opens no state, not for reading either", "[store]") {
  const DiskState state;
  StateOptions options = state.options(false);
  options.origin = StoreIdentity().state().origin;
  for (const bool read_only : {false, true}) {
    options.read_only = read_only;
    CHECK(open_state(options).code() == Code::node_record_malformed);
    options.origin.clear();
  }
  CHECK(open_state(options).code() == Code::node_record_malformed);
}

TEST_CASE("readers stand beside the owner and write nothing", "[store]") {
  const DiskState state;
  const auto owner = state.open();
  commit_records(*owner, 1);
  auto reader = open_state(state.options(true));
  REQUIRE(reader.ok());
  CHECK(reader.value()->log_head()->size == 3);
  commit_records(*owner, 70);
  CHECK(reader.value()->log_head()->size == owner->log_head()->size);
  CHECK(reader.value()->log_head()->root == owner->log_head()->root);
  CHECK(reader.value()->write([](WriteTxn&) { return success(); }).code() == Code::store_failure);
  // Closing the reader must not take the owner's locks away.
  reader = Error(Code::unset);
  commit_records(*owner, 1);
}

TEST_CASE("a state put back whole is older than its marker's twin", "[store][R10][R50]") {
  const DiskState state;
  const std::string twins = state.directory / "twins";
  std::filesystem::create_directory(twins);
  StateOptions options = state.options(false);
  options.twins = twins;
  StateOptions reading = options;
  reading.read_only = true;
  const std::string kept = state.directory / "kept";
  const auto put_back = [&] {
    std::filesystem::remove_all(state.path());
    std::filesystem::copy(kept, state.path(), std::filesystem::copy_options::recursive);
  };
  CHECK(twin_in_force(options).empty());
  const auto use = [&] {
    auto owner = open_state(options);
    REQUIRE(owner.ok());
    commit_records(**owner, 3);
  };
  use();
  const std::string twin = twin_in_force(options);
  REQUIRE(twin.starts_with(twins + "/"));
  std::filesystem::copy(state.path(), kept, std::filesystem::copy_options::recursive);
  use();  // and what goes on stays in force
  use();
  put_back();
  CHECK(state.open_code() == Code::ok);  // nobody asked for twins
  put_back();
  CHECK(open_state(options).code() == Code::store_rolled_back);
  CHECK(open_state(reading).code() == Code::store_rolled_back);

  SECTION("another boot has none") {
    std::filesystem::remove(twin);
    CHECK(open_state(options).ok());
  }
  SECTION("where none can be made there is none") {
    options.twins = reading.twins = twins + "/gone";
    CHECK(open_state(options).ok());
    CHECK(open_state(reading).ok());
  }
  SECTION("what is no twin is not taken for one, and hinders no reader") {
    std::filesystem::remove(twin);
    SECTION("a link") { std::filesystem::create_symlink(state / "marker", twin); }
    SECTION("a folder") { std::filesystem::create_directory(twin); }
    SECTION("garbage") { REQUIRE(create_file(twin, Bytes(76, 7), 0600).ok()); }
    SECTION("too much") { REQUIRE(create_file(twin, Bytes(4096, 7), 0600).ok()); }
    SECTION("half of one") { REQUIRE(create_file(twin, Bytes(20, 7), 0600).ok()); }
    SECTION("a pipe") { REQUIRE(::mkfifo(twin.c_str(), 0600) == 0); }
    SECTION("for others to read") { REQUIRE(create_file(twin, Bytes(), 0644).ok()); }
    CHECK(open_state(options).code() == Code::twin_unfit);
    CHECK(open_state(reading).ok());
    CHECK(twin_in_force(options).empty());
  }
  SECTION("one that was left behind is not in force") {
    put_back();
    CHECK(twin_in_force(options) == twin);
    commit_records(*state.open(), 12);
    CHECK(twin_in_force(options).empty());
    CHECK(open_state(options).ok());
    CHECK(twin_in_force(options) == twin);
  }
  SECTION("one that was made and not written is none yet") {
    std::filesystem::remove(twin);
    REQUIRE(create_file(twin, Bytes(), 0600).ok());
    CHECK(open_state(reading).ok());
    CHECK(open_state(options).ok());
    CHECK(twin_in_force(options) == twin);
  }
}

TEST_CASE("of two copies of one state only one is in use", "[store][R10]") {
  const DiskState state;
  StateOptions options = state.options(false);
  options.twins = state.directory / "twins";
  std::filesystem::create_directory(options.twins);
  StateOptions copy = options;
  copy.directory = state.directory / "copy";
  std::filesystem::copy(state.path(), copy.directory, std::filesystem::copy_options::recursive);
  {
    const auto owner = open_state(options);
    REQUIRE(owner.ok());
    CHECK(open_state(copy).code() == Code::state_locked);
  }
  CHECK(open_state(copy).ok());
}

TEST_CASE("readers of other processes see what is committed", "[store]") {
  const DiskState state;
  int ready[2];
  int done[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(done) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto owner = open_state(state.options(false));
    if (!owner.ok()) ::_exit(1);
    const auto append = [](WriteTxn& txn) -> Status {
      TAPER_CHECK(txn.append(LeafType::decision, "{}"));
      return success();
    };
    if (!owner.value()->write(append).ok()) ::_exit(2);
    char byte = 'x';
    if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) != 1) ::_exit(3);
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK(state.open_code() == Code::state_locked);
  const auto reader = open_state(state.options(true));
  REQUIRE(reader.ok());
  CHECK(reader.value()->log_head()->size == 3);
  REQUIRE(::write(done[1], &byte, 1) == 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) ::close(fd);
}

TEST_CASE("an older copy put back is refused", "[store][R10][R50]") {
  const DiskState state;
  commit_records(*state.open(), 3);
  copy(state, "data.mdb", "old");
  commit_records(*state.open(), 1);
  put_back(state, "old", "data.mdb");
  CHECK(state.open_code() == Code::store_rolled_back);
  CHECK(state.open_code(true) == Code::store_rolled_back);
}

TEST_CASE("a marker that was not synced in time does no harm", "[store]") {
  const DiskState state;
  commit_records(*state.open(), 1);
  copy(state, "marker", "old");
  commit_records(*state.open(), 2);
  put_back(state, "old", "marker");
  const auto store = state.open();
  CHECK(store->log_head()->size == 5);
  CHECK(store->sync_marker().ok());
}

TEST_CASE("a marker that is damaged, gone or of another state is refused", "[store]") {
  const DiskState state;
  const DiskState other;
  SECTION("another state's") {
    fs::copy_file(other / "marker", state / "marker", fs::copy_options::overwrite_existing);
    CHECK(state.open_code() == Code::store_rolled_back);
  }
  SECTION("gone") {
    fs::remove(state / "marker");
    CHECK(state.open_code() == Code::store_corrupt);
    CHECK(state.open_code(true) == Code::store_corrupt);
  }
  SECTION("damaged") {
    Bytes bytes = read_file(state / "marker", 256).value();
    bytes[20] ^= 1U;
    REQUIRE(replace_file(state / "marker", bytes, 0600).ok());
    CHECK(state.open_code() == Code::store_corrupt);
  }
}

TEST_CASE("a seed left behind by a crash is moved forward", "[store]") {
  const DiskState state;
  copy(state, "log.seed", "seed");
  commit_records(*state.open(), 3 * static_cast<int>(limits::kLogKeyCommits));
  put_back(state, "seed", "log.seed");
  const auto store = state.open();
  CHECK(store->log_head()->epoch >= 2);
  commit_records(*store, 1);
}

TEST_CASE("a seed that is ahead, foreign, damaged or exposed is refused", "[store]") {
  const DiskState state;
  SECTION("ahead of the log") {
    copy(state, "data.mdb", "data");
    copy(state, "marker", "marker");
    commit_records(*state.open(), static_cast<int>(limits::kLogKeyCommits));
    put_back(state, "data", "data.mdb");
    put_back(state, "marker", "marker");
    CHECK(state.open_code() == Code::store_corrupt);
  }
  SECTION("another log's") {
    const DiskState other;
    fs::copy_file(other / "log.seed", state / "log.seed", fs::copy_options::overwrite_existing);
    CHECK(state.open_code() == Code::store_corrupt);
  }
  SECTION("damaged") {
    Bytes bytes = read_file(state / "log.seed", 256).value();
    bytes[15] ^= 1U;
    REQUIRE(replace_file(state / "log.seed", bytes, 0600).ok());
    CHECK(state.open_code() == Code::store_corrupt);
  }
  SECTION("exposed") {
    REQUIRE(::chmod((state / "log.seed").c_str(), 0640) == 0);
    CHECK(state.open_code() == Code::key_file_exposed);
  }
}

TEST_CASE("old seeds stand in no file", "[store]") {
  const DiskState state;
  const Bytes first = read_file(state / "log.seed", 256).value();
  const ByteSpan seed = ByteSpan(first).subspan(12, 32);
  const auto holds_seed = [&](const std::string& name) {
    const Bytes bytes = read_file(state / name, 64 * 1024 * 1024).value();
    return std::search(bytes.begin(), bytes.end(), seed.begin(), seed.end()) != bytes.end();
  };
  CHECK(holds_seed("log.seed"));
  commit_records(*state.open(), static_cast<int>(limits::kLogKeyCommits));
  for (const char* name : {"log.seed", "data.mdb", "marker"}) CHECK_FALSE(holds_seed(name));
}

TEST_CASE("an old seed is gone when its owner rests, before the next commit and at the end",
          "[store]") {
  const DiskState state;
  const Bytes old = read_file(state / "log.seed", 256).value();
  const auto stands = [&] { return read_file(state / "log.seed", 256).value() == old; };
  std::unique_ptr<Store> store = state.open();
  CHECK_FALSE(store->owes_rest());
  commit_records(*store, static_cast<int>(limits::kLogKeyCommits) - 2);
  CHECK_FALSE(store->owes_rest());
  commit_records(*store, 1);
  CHECK(store->owes_rest());
  CHECK(stands());
  SECTION("it rests") { store->rest(); }
  SECTION("it commits") {
    CHECK_FALSE(store
                    ->write([&](WriteTxn&) -> Status {
                      CHECK_FALSE(stands());
                      return Error(Code::too_large);
                    })
                    .ok());
  }
  SECTION("it ends") { store.reset(); }
  CHECK_FALSE(stands());
  CHECK_FALSE((store && store->owes_rest()));
  store.reset();
  commit_records(*state.open(), 1);
}

TEST_CASE("the seed of another owner is left alone", "[store]") {
  const DiskState state;
  std::unique_ptr<Store> store = state.open();
  commit_records(*store, static_cast<int>(limits::kLogKeyCommits) - 1);
  REQUIRE(store->owes_rest());
  fs::remove(state / "lock");
  const Bytes before = read_file(state / "log.seed", 256).value();
  SECTION("by who rests") { store->rest(); }
  SECTION("by who ends") {}
  store.reset();
  CHECK(read_file(state / "log.seed", 256).value() == before);
}

TEST_CASE("a store of another format is refused by its number", "[store]") {
  const DiskState state;
  const auto written_by = [&state](std::uint32_t other) {
    const auto engine = open_lmdb_engine(state.path(), OpenMode::write, 1U << 24U).value();
    const auto txn = engine->begin(Access::write).value();
    ByteWriter format;
    format.u32(other);
    REQUIRE(txn->put(Table::meta, as_bytes("store.format"), format.bytes()).ok());
    REQUIRE(txn->commit().ok());
  };
  for (const std::uint32_t other : {limits::kStoreFormat - 1, limits::kStoreFormat + 1}) {
    written_by(other);
    CHECK(state.open_code() == Code::store_version);
  }
}

TEST_CASE("a lost checkpoint is noticed at once", "[store]") {
  const DiskState state;
  {
    const auto engine = open_lmdb_engine(state.path(), OpenMode::write, 1U << 24U).value();
    const auto txn = engine->begin(Access::write).value();
    REQUIRE(txn->erase(Table::log_heads, big_endian(0)).ok());
    REQUIRE(txn->commit().ok());
  }
  CHECK(state.open_code() == Code::store_corrupt);
}

TEST_CASE("a full map refuses the write whole, and the next smaller one is taken", "[store]") {
  const ScratchDirectory directory;
  auto engine = open_lmdb_engine(directory.path(), OpenMode::create, 1U << 20U).value();
  const auto over = store_over(std::move(engine));
  Store& store = *over;
  const Bytes large(2U << 20U);
  const auto put = [&store](ByteSpan value) {
    return store.write([&](WriteTxn& write) -> Status {
      TAPER_CHECK(write.put(Table::tasks, as_bytes("small"), as_bytes("x")));
      return write.put(Table::tasks, as_bytes("large"), value);
    });
  };
  CHECK(put(large).code() == Code::store_full);
  REQUIRE(store
              .read([](const ReadTxn& read) -> Status {
                TAPER_TRY(const auto found, read.get(Table::tasks, as_bytes("small")));
                CHECK_FALSE(found.has_value());
                return success();
              })
              .ok());
  CHECK(put(as_bytes("fits")).ok());
}

TEST_CASE("a commit that the disk breaks off is unknown and stops the writes", "[store]") {
  const DiskState state;
  const std::uint64_t size = fs::file_size(state / "data.mdb");
  const int status = in_child([&]() -> int {
    const auto store = open_state(state.options(false));
    if (!store.ok()) return 1;
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{size, size};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const Bytes large(2 * limits::kStoreReserveBytes);
    const auto put = [&](WriteTxn& txn) { return txn.put(Table::tasks, as_bytes("k"), large); };
    const auto small = [&](WriteTxn& txn) {
      return txn.put(Table::tasks, as_bytes("k"), as_bytes("v"));
    };
    if (store.value()->write(put).code() != Code::commit_unknown) return 3;
    if (store.value()->write(small).code() != Code::store_failure) return 4;
    return store.value()->log_head().ok() ? 0 : 5;
  });
  CHECK(status == 0);
  commit_records(*state.open(), 1);
}

}  // namespace taper::store
