// A full disk. What this does to you: mounts a small file system in a mount namespace of its own
// and fills it to the last block.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "store/audit_export.h"
#include "store/node_store.h"
#include "tests/support/small_disk.h"
#include "tests/support/state_for_tests.h"
#include "tests/unit/store/store_over.h"

namespace taper::store {
namespace {

using taper::testing::enter_small_disk;
using taper::testing::fill_disk;
using taper::testing::ScratchDirectory;
using taper::testing::StoreIdentity;

constexpr unsigned kDiskMegabytes = 40;
constexpr int kRecords = 20'000;

Code append(Store& store, std::initializer_list<LeafType> types) {
  const std::string body = R"({"text":")" + std::string(500, 'x') + R"("})";
  return store
      .write([&](WriteTxn& txn) -> Status {
        for (const LeafType type : types) TAPER_CHECK(txn.append(type, body));
        return txn.put(Table::tasks, as_bytes("task"), as_bytes(body));
      })
      .code();
}

// Runs `body`, which gives 0 or the number of the check that failed, in a child on a small disk.
int on_small_disk(const std::function<int(const std::string& disk)>& body) {
  const ScratchDirectory mount;
  const pid_t child = ::fork();
  if (child == 0) {
    if (!enter_small_disk(mount.path(), kDiskMegabytes)) ::_exit(100);
    ::_exit(body(mount.path()));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

// Starts are taken until the space that may be used for them is spent, and refused from then on.
bool starts_stop(Store& store, LeafType type) {
  int taken = 0;
  for (; taken < kRecords; ++taken) {
    const Code code = append(store, {type});
    if (code != Code::ok) {
      return code == Code::store_full && append(store, {type}) == Code::store_full;
    }
  }
  return false;
}

int stop_on_a_full_disk(const std::string& disk) {
  StoreIdentity identity;
  LogSeed seed = LogSeed::generate();
  identity.log_key_0 = seed.key().public_key();
  const StateOptions options{
      .directory = disk + "/state", .origin = identity.state().origin, .read_only = false};
  if (!create_state(options.directory, identity.state(), std::move(seed)).ok()) return 1;
  {
    const auto store = open_state(options);
    if (!store.ok() || append(**store, {LeafType::activation}) != Code::ok) return 2;
    if (!fill_disk(disk + "/filler")) return 3;
    if (!starts_stop(**store, LeafType::decision)) return 4;
    if (append(**store, {LeafType::activation}) != Code::store_full) return 5;
    if (append(**store, {LeafType::refusals}) != Code::store_full) return 6;
    if (append(**store, {LeafType::ending, LeafType::decision}) != Code::store_full) return 7;
    for (int i = 0; i < 300; ++i) {
      if (append(**store, {LeafType::outcome}) != Code::ok) return 8;
      if (append(**store, {LeafType::refusals, LeafType::ending}) != Code::ok) return 9;
      if (append(**store, {LeafType::terminal}) != Code::ok) return 10;
      if (append(**store, {}) != Code::ok) return 11;
    }
  }
  // A new process on the disk that is still full.
  const auto store = open_state(options);
  if (!store.ok()) return 12;
  if (append(**store, {LeafType::recovery}) != Code::ok) return 13;
  if (append(**store, {LeafType::decision}) != Code::store_full) return 14;
  const auto file = export_log(options.directory, options.origin, std::nullopt);
  if (!file.ok() || !verify_log(*file, identity.trust()).ok()) return 15;
  std::filesystem::remove(disk + "/filler");
  return append(**store, {LeafType::decision}) == Code::ok ? 0 : 16;
}

Code append_large(Store& store, LeafType type) {
  static const std::string body = R"({"text":")" + std::string(60'000, 'x') + R"("})";
  return store
      .write([&](WriteTxn& txn) -> Status {
        TAPER_CHECK(txn.append(type, body));
        return success();
      })
      .code();
}

// How many are taken until one is refused for want of room; -1: refused for anything else.
int taken_until_full(Store& store) {
  for (int taken = 0; taken < kRecords; ++taken) {
    const Code code = append_large(store, LeafType::decision);
    if (code != Code::ok) return code == Code::store_full ? taken : -1;
  }
  return -1;
}

bool release_all(Store& store) {
  const LogHead head = store.log_head().value();
  return store
      .write([&](WriteTxn& txn) -> Status {
        TAPER_TRY(const bool more, txn.release(head.size, head.root));
        CHECK(more);
        TAPER_CHECK(txn.append(LeafType::release, "{}"));
        return success();
      })
      .ok();
}

bool forget_all(Store& store) {
  bool more = true;
  while (more) {
    const auto forget = [&more](WriteTxn& txn) -> Status {
      TAPER_TRY(more, txn.prune([](ByteSpan) -> Result<bool> { return false; }));
      return success();
    };
    if (!store.write(forget).ok()) return false;
  }
  return true;
}

// Fills the store, makes room in it by a release, and fills it anew: 0, or what failed.
int fill_release_fill(Store& store) {
  const int first = taken_until_full(store);
  if (first < 100) return 1;
  if (!release_all(store)) return 2;
  if (append_large(store, LeafType::import) != Code::store_full) return 3;
  Code beside_a_reader = Code::ok;
  const Status looked = store.read([&](const ReadTxn&) -> Status {
    if (!forget_all(store)) return Error(Code::store_failure);
    beside_a_reader = append_large(store, LeafType::import);
    return success();
  });
  // Whoever began to read before may still look at every page that was freed.
  if (!looked.ok() || beside_a_reader != Code::store_full) return 4;
  if (append_large(store, LeafType::import) != Code::ok) return 5;
  const int second = taken_until_full(store);
  if (second < first / 4) return 6;
  for (int i = 0; i < 300; ++i)
    if (append(store, {LeafType::ending}) != Code::ok) return 7;
  return release_all(store) && forget_all(store) && taken_until_full(store) >= first / 4 ? 0 : 8;
}

// The process that filled the disk goes on, and another one after it.
int release_on_a_full_disk(const std::string& disk) {
  StoreIdentity identity;
  LogSeed seed = LogSeed::generate();
  identity.log_key_0 = seed.key().public_key();
  const StateOptions options{
      .directory = disk + "/state", .origin = identity.state().origin, .read_only = false};
  if (!create_state(options.directory, identity.state(), std::move(seed)).ok()) return 20;
  {
    const auto store = open_state(options);
    if (!store.ok()) return 21;
    if (const int failed = fill_release_fill(**store); failed != 0) return failed;
    if (!release_all(**store) || !forget_all(**store)) return 22;
  }
  const auto store = open_state(options);
  return store.ok() && append_large(**store, LeafType::import) == Code::ok ? 0 : 23;
}

int no_state_on_a_full_disk(const std::string& disk) {
  const StoreIdentity identity;
  if (!fill_disk(disk + "/filler")) return 1;
  const Status made = create_state(disk + "/state", identity.state(), LogSeed::generate());
  return made.code() == Code::store_full || made.code() == Code::os_failure ? 0 : 2;
}

}  // namespace

TEST_CASE("stopping is written on a full disk, starting is refused", "[store][R50]") {
  CHECK(on_small_disk(stop_on_a_full_disk) == 0);
}

TEST_CASE("what a full disk's log forgets is room for what is written next", "[store][R50][R59]") {
  CHECK(on_small_disk(release_on_a_full_disk) == 0);
}

TEST_CASE("and so it is at the end of the map", "[store][R50][R59]") {
  constexpr std::size_t kMap = std::size_t{24} << 20U;
  const ScratchDirectory directory;
  auto engine = open_lmdb_engine(directory.path(), OpenMode::create, kMap).value();
  const auto over = store_over(std::move(engine));
  Store& store = *over;
  CHECK(fill_release_fill(store) == 0);
}

TEST_CASE("a state is not made on a full disk", "[store]") {
  CHECK(on_small_disk(no_state_on_a_full_disk) == 0);
}

TEST_CASE("the reserve is allocated in the file, not only counted", "[store]") {
  const testing::DiskState state;
  struct stat info{};
  REQUIRE(::stat((state / "data.mdb").c_str(), &info) == 0);
  CHECK(static_cast<std::size_t>(info.st_blocks) * 512 >= limits::kStoreReserveBytes);
}

// What was allocated and never written is a hole to who asks for data.
TEST_CASE("blocks are written in advance by who commits often", "[store]") {
  constexpr std::size_t kMiB = std::size_t{1024} * 1024;
  const testing::DiskState state;
  const auto store = state.open();
  const auto written = [&state] {
    const Fd file(::open((state / "data.mdb").c_str(), O_RDONLY | O_CLOEXEC));
    std::size_t bytes = 0;
    for (off_t at = 0; (at = ::lseek(file.get(), at, SEEK_DATA)) >= 0;) {
      const off_t end = ::lseek(file.get(), at, SEEK_HOLE);
      bytes += static_cast<std::size_t>(end - at);
      at = end;
    }
    return bytes;
  };
  CHECK(append(*store, {LeafType::decision}) == Code::ok);
  CHECK(written() < kMiB / 2);
  for (int i = 0; i < 200; ++i) REQUIRE(append(*store, {LeafType::decision}) == Code::ok);
  CHECK(written() > kMiB);
  CHECK(written() < limits::kStoreReserveBytes);
}

}  // namespace taper::store
