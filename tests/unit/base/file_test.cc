#include "runtime/base/file.h"

#include <sys/stat.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace taper {
namespace {

struct TemporaryDirectory {
  TemporaryDirectory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path = "/tmp/taper-base-XXXXXX";
};

std::size_t entries(const std::string& path) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path)) ++count;
  return count;
}

}  // namespace

TEST_CASE("files are created once and replaced whole", "[base]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path + "/file";
  REQUIRE(create_file(path, as_bytes("one"), 0600).ok());
  CHECK(create_file(path, as_bytes("two"), 0600).code() == Code::file_exists);
  CHECK(as_text(*read_file(path, 100)) == "one");
  REQUIRE(replace_file(path, as_bytes("three"), 0640).ok());
  CHECK(as_text(*read_file(path, 100)) == "three");
  struct stat facts{};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 07777U) == 0640U);
  CHECK(entries(directory.path) == 1);
}

TEST_CASE("reading stops at its cap", "[base]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path + "/file";
  REQUIRE(create_file(path, as_bytes(std::string(1000, 'x')), 0600).ok());
  CHECK(read_file(path, 1000).ok());
  CHECK(read_file(path, 999).code() == Code::too_large);
  CHECK(read_file(directory.path + "/absent", 10).code() == Code::file_missing);
}

TEST_CASE("only regular files and what the shell handed over are read", "[base]") {
  const TemporaryDirectory directory;
  const std::string fifo = directory.path + "/fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(read_file(fifo, 10).code() == Code::file_unreadable);  // and does not wait for a writer
  CHECK(read_file("/dev/zero", 10).code() == Code::file_unreadable);
  CHECK(read_file(directory.path, 10).code() == Code::file_unreadable);
  CHECK(open_input(fifo).code() == Code::file_unreadable);
  CHECK(read_file("/proc/self/stat", 4096).ok());

  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const Fd out(ends[0]);
  Fd in(ends[1]);
  REQUIRE(write_all(in.get(), "pipe", as_bytes("said")).ok());
  in.reset();
  CHECK(as_text(*read_file("/dev/fd/" + std::to_string(out.get()), 10)) == "said");
}

TEST_CASE("a file that is too large is not begun", "[base]") {
  const TemporaryDirectory directory;
  const std::string path = directory.path + "/sparse";
  REQUIRE(create_file(path, {}, 0600).ok());
  REQUIRE(::truncate(path.c_str(), 1LL << 40) == 0);
  const Result<Bytes> read = read_file(path, std::size_t{1} << 33U);
  REQUIRE(read.code() == Code::too_large);
  CHECK(read.error().detail().got == std::to_string(1LL << 40));
}

}  // namespace taper
