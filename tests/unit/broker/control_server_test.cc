#include "runtime/broker/control_server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <vector>

#include "runtime/broker/control_client.h"
#include "tests/support/scratch_directory.h"

namespace taper::broker {
namespace {

using namespace std::chrono_literals;

bool connect_to(int socket, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

// Until this process may open no more.
std::vector<Fd> fill_descriptors() {
  std::vector<Fd> out;
  for (;;) {
    Fd more(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!more) return out;
    out.push_back(std::move(more));
  }
}

TEST_CASE("a peer that cannot be taken up now is not tried without end", "[broker]") {
  const testing::ScratchDirectory scratch;
  boost::asio::io_context io;
  auto server = ControlServer::listen(io, scratch.path());
  REQUIRE(server.ok());
  int answered = 0;
  (*server)->serve(
      [](const ControlRequest&) { return ControlReply{.code = Code::ok, .detail = ""}; },
      [&answered] { ++answered; });
  const Fd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{static_cast<rlim_t>(client.get()) + 16, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  std::vector<Fd> full = fill_descriptors();
  const bool connected = connect_to(client.get(), scratch / "control.sock");
  const Bytes request = encode(ControlRequest{});
  const bool sent = ::send(client.get(), request.data(), request.size(), 0) > 0;
  const std::size_t tries = io.run_for(1s);
  full.clear();
  io.run_for(1s);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(connected);
  CHECK(sent);
  CHECK(tries > 0);
  CHECK(tries < 50);
  CHECK(answered == 1);
}

}  // namespace
}  // namespace taper::broker
