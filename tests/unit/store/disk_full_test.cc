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
#include "tests/support/small_disk.h"
#include "tests/support/state_for_tests.h"

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
