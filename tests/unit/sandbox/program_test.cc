#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "crypto/crypto.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {

TEST_CASE("a program is hashed where it is sealed", "[sandbox][cell][R53]") {
  REQUIRE(crypto::initialise().ok());
  const auto program = Program::load("/bin/true");
  REQUIRE(program.ok());
  CHECK(program->hash() == crypto::hash(as_bytes(testing::text_of("/bin/true"))));
  CHECK(::pwrite(program->fd(), "x", 1, 0) < 0);
  CHECK(::ftruncate(program->fd(), 1) != 0);
}

TEST_CASE("unfit programs are refused", "[sandbox][cell][R53]") {
  REQUIRE(crypto::initialise().ok());
  const testing::ScratchDirectory directory;
  const std::string elf = testing::text_of("/bin/true");
  const auto refused = [](const std::string& path) {
    return Program::load(path).code() == Code::program_unfit;
  };
  CHECK(Program::load(directory.add("good", elf, 0755)).ok());
  CHECK(refused("bin/true"));
  CHECK(refused(""));
  CHECK(refused(directory.path()));
  CHECK(refused(directory.path() + "/absent"));
  CHECK(refused("/dev/null"));
  CHECK(refused(directory.add("script", "#!/bin/sh\nexit 0\n", 0755)));
  CHECK(refused(directory.add("empty", "", 0755)));
  CHECK(refused(directory.add("group", elf, 0775)));
  CHECK(refused(directory.add("world", elf, 0757)));
  REQUIRE(::chmod(directory.path().c_str(), 0777) == 0);
  CHECK(refused(directory.path() + "/good"));
}

TEST_CASE("a program is read again only where its file may have changed", "[sandbox][R18]") {
  REQUIRE(crypto::initialise().ok());
  const testing::ScratchDirectory directory;
  std::string elf = testing::text_of("/bin/true");
  const std::string path = directory.add("tool", elf, 0755);
  // Under a hash that it does not have, so that it shows whether the file was read.
  const Hash wrong;
  const auto known_from = [&] {
    std::map<Hash, Program> known;
    auto program = Program::load(path);
    REQUIRE(program.ok());
    known.emplace(wrong, std::move(*program));
    return known;
  };
  const auto reads = [&](const std::map<Hash, Program>& known) {
    const auto program = Program::load(path, known);
    REQUIRE(program.ok());
    return program->hash() != wrong;
  };
  // Written to just now: a second write might bear the same times.
  CHECK(reads(known_from()));
  ::usleep(2'100'000);
  const auto known = known_from();
  CHECK_FALSE(reads(known));
  CHECK(Program::load("/bin/true", known)->hash() == crypto::hash(as_bytes(elf)));
  struct stat before{};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  elf.back() ^= 1;
  directory.add("tool", elf, 0755);
  const timespec times[] = {before.st_atim, before.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  CHECK(Program::load(path, known)->hash() == crypto::hash(as_bytes(elf)));
}

}  // namespace taper::sandbox
