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

}  // namespace taper::sandbox
