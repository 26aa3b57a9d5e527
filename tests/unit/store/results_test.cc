// Result files: each call's in its own, gone when erased.
#include "store/results.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "tests/support/scratch_directory.h"

namespace taper::store {
namespace {

Hash of(std::string_view text) { return crypto::hash(as_bytes(text)); }

TEST_CASE("results are kept, replaced and erased by task", "[store]") {
  const taper::testing::ScratchDirectory directory;
  ResultFiles results(directory.path());
  const TaskId first = crypto::random_id<TaskId>();
  const TaskId second = crypto::random_id<TaskId>();
  const CallId call = crypto::random_id<CallId>();
  CHECK(results.read(first, call, of("two")).code() == Code::result_missing);
  CHECK(results.erase_task(first).ok());
  CHECK(results.erase_all_but({}).ok());
  REQUIRE(results.write(first, call, as_bytes("one")).ok());
  REQUIRE(results.write(first, call, as_bytes("two")).ok());
  REQUIRE(results.write(second, call, as_bytes("other")).ok());
  CHECK(as_text(results.read(first, call, of("two")).value()) == "two");
  const std::string path = directory / ("results/" + first.hex() + "/" + call.hex());
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  CHECK(results.erase_all_but({first}).ok());
  CHECK(results.read(second, call, of("other")).code() == Code::result_missing);
  CHECK(as_text(results.read(first, call, of("two")).value()) == "two");
  CHECK(results.erase_task(first).ok());
  CHECK(results.read(first, call, of("two")).code() == Code::result_missing);
  CHECK(::stat((directory / ("results/" + first.hex())).c_str(), &info) != 0);
}

TEST_CASE("a result over the limit is refused", "[store]") {
  const taper::testing::ScratchDirectory directory;
  ResultFiles results(directory.path());
  const Bytes large(limits::kResultBytesMax + 1);
  CHECK(results.write(TaskId{}, CallId{}, large).code() == Code::too_large);
  CHECK(results.read(TaskId{}, CallId{}, Hash{}).code() == Code::result_missing);
}

TEST_CASE("only the result that was committed is read", "[store]") {
  const taper::testing::ScratchDirectory directory;
  ResultFiles results(directory.path());
  const TaskId task = crypto::random_id<TaskId>();
  const CallId call = crypto::random_id<CallId>();
  REQUIRE(results.write(task, call, as_bytes("mine")).ok());
  REQUIRE(results.read(task, call, of("mine")).ok());
  const std::string path = directory / ("results/" + task.hex() + "/" + call.hex());
  CHECK(results.read(task, call, Hash{}).code() == Code::store_corrupt);
  const auto refused = [&] { return results.read(task, call, of("mine")).code(); };
  SECTION("other bytes") { std::ofstream(path) << "main"; }
  SECTION("more than a result may hold") { std::filesystem::resize_file(path, 64 << 20); }
  SECTION("the same, through a symbolic link") {
    std::filesystem::rename(path, path + "-moved");
    REQUIRE(::symlink((path + "-moved").c_str(), path.c_str()) == 0);
  }
  SECTION("a pipe, which nobody waits at") {
    std::filesystem::remove(path);
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  }
  SECTION("a folder") {
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
  }
  CHECK(refused() == Code::store_corrupt);
}

TEST_CASE("a folder of results that is none is the host's failure", "[store]") {
  const taper::testing::ScratchDirectory directory;
  ResultFiles results(directory.path());
  const TaskId task = crypto::random_id<TaskId>();
  std::filesystem::create_directory(directory / "results");
  std::ofstream(directory / ("results/" + task.hex())) << "no folder";
  CHECK(results.write(task, CallId{}, as_bytes("x")).code() == Code::store_failure);
}

}  // namespace
}  // namespace taper::store
