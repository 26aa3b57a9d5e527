// Result files: each call's in its own, gone when erased.
#include "store/results.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "tests/support/scratch_directory.h"

namespace taper::store {

TEST_CASE("results are kept, replaced and erased by task", "[store]") {
  const taper::testing::ScratchDirectory directory;
  ResultFiles results(directory.path());
  const TaskId first = crypto::random_id<TaskId>();
  const TaskId second = crypto::random_id<TaskId>();
  const CallId call = crypto::random_id<CallId>();
  CHECK(results.read(first, call).code() == Code::result_missing);
  CHECK(results.erase_task(first).ok());
  CHECK(results.erase_all_but({}).ok());
  REQUIRE(results.write(first, call, as_bytes("one")).ok());
  REQUIRE(results.write(first, call, as_bytes("two")).ok());
  REQUIRE(results.write(second, call, as_bytes("other")).ok());
  CHECK(as_text(results.read(first, call).value()) == "two");
  const std::string path = directory / ("results/" + first.hex() + "/" + call.hex());
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  CHECK(results.erase_all_but({first}).ok());
  CHECK(results.read(second, call).code() == Code::result_missing);
  CHECK(as_text(results.read(first, call).value()) == "two");
  CHECK(results.erase_task(first).ok());
  CHECK(results.read(first, call).code() == Code::result_missing);
  CHECK(::stat((directory / ("results/" + first.hex())).c_str(), &info) != 0);
}

TEST_CASE("a result over the limit is refused", "[store]") {
  const taper::testing::ScratchDirectory directory;
  ResultFiles results(directory.path());
  const Bytes large(limits::kResultBytesMax + 1);
  CHECK(results.write(TaskId{}, CallId{}, large).code() == Code::too_large);
  CHECK(results.read(TaskId{}, CallId{}).code() == Code::result_missing);
}

}  // namespace taper::store
