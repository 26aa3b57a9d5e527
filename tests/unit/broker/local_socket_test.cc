#include "runtime/broker/local_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/scratch_directory.h"

namespace taper::broker {
namespace {

TEST_CASE("a socket that somebody serves is left alone, however it answers", "[broker]") {
  const testing::ScratchDirectory folder;
  LocalSocket wanted{.path = folder.path() + "/s",
                     .name = "s",
                     .type = SOCK_STREAM,
                     .mode = S_IRUSR | S_IWUSR,
                     .waiting = 1};
  auto served = bind_local(wanted);
  REQUIRE(served.ok());
  CHECK(bind_local(wanted).code() == Code::file_exists);
  wanted.type = SOCK_SEQPACKET;  // it does not even take a connection of that type
  CHECK(bind_local(wanted).code() == Code::file_exists);
  CHECK(::access(wanted.path.c_str(), F_OK) == 0);
  // One that its owner left behind gives way, and so it does for who holds a lock.
  served->reset();
  auto next = bind_local(wanted);
  REQUIRE(next.ok());
  wanted.rivals = Rivals::excluded;
  CHECK(bind_local(wanted).ok());
}

}  // namespace
}  // namespace taper::broker
