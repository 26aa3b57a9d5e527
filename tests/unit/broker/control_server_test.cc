#include "runtime/broker/control_server.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
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

// Answers by what is asked: show is answered, challenge asks on, run is held.
struct Clerk final : ControlServer::Host {
  void take(ControlServer::Peer& peer, ControlRequest request) override {
    ++taken;
    last = &peer;
    if (request.verb == ControlVerb::challenge) return peer.ask(ControlChallenge{});
    if (request.verb == ControlVerb::run) return peer.hold(RunBegun{});
    peer.end(ControlReply{Code::ok});
  }
  void gone(ControlServer::Peer& peer) override {
    ++left;
    if (last == &peer) last = nullptr;
  }
  int taken = 0, left = 0;
  ControlServer::Peer* last = nullptr;
};

TEST_CASE("a peer that cannot be taken up now is not tried without end", "[broker]") {
  const testing::ScratchDirectory scratch;
  boost::asio::io_context io;
  auto server = ControlServer::listen(io, scratch.path());
  REQUIRE(server.ok());
  Clerk clerk;
  (*server)->serve(clerk, [] {});
  const Fd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{static_cast<rlim_t>(client.get()) + 16, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  std::vector<Fd> full = fill_descriptors();
  const bool connected = connect_to(client.get(), scratch / "control.sock");
  const Bytes request = encode(ControlRequest{.verb = ControlVerb::show});
  const bool sent = ::send(client.get(), request.data(), request.size(), 0) > 0;
  const std::size_t tries = io.run_for(1s);
  full.clear();
  io.run_for(1s);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(connected);
  CHECK(sent);
  CHECK(tries > 0);
  CHECK(tries < 50);
  CHECK(clerk.taken == 1);
  CHECK(clerk.left == 1);
}

struct Served {
  Served() {
    auto made = ControlServer::listen(io, scratch.path());
    REQUIRE(made.ok());
    server = std::move(made).value();
    server->serve(clerk, [] {});
  }
  Fd connect() {
    Fd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    REQUIRE(connect_to(client.get(), scratch / "control.sock"));
    return client;
  }
  void say(const Fd& client, const Bytes& message) {
    REQUIRE(::send(client.get(), message.data(), message.size(), MSG_NOSIGNAL) > 0);
    io.restart();
    io.run_for(20ms);
  }
  void ask(const Fd& client, ControlVerb verb) {
    say(client, encode(ControlRequest{.verb = verb}));
  }
  // The index of the answer that has come; empty: the peer was cut off. None yet: fails.
  std::optional<std::size_t> heard(const Fd& client) {
    Bytes buffer(limits::kControlMessageBytesMax);
    const ssize_t length = ::recv(client.get(), buffer.data(), buffer.size(), 0);
    REQUIRE((length >= 0 || errno == ECONNRESET));
    if (length <= 0) return std::nullopt;
    buffer.resize(static_cast<std::size_t>(length));
    const auto answer = decode_answer(buffer);
    REQUIRE(answer.ok());
    return answer->index();
  }

  const testing::ScratchDirectory scratch;
  boost::asio::io_context io;
  Clerk clerk;
  std::unique_ptr<ControlServer> server;
};

constexpr std::size_t kReply = 0, kChallenge = 1, kBegun = 5, kStep = 6;

TEST_CASE("a conversation goes on until its last word", "[broker]") {
  Served served;
  const Fd client = served.connect();
  served.ask(client, ControlVerb::challenge);
  CHECK(served.heard(client) == kChallenge);
  served.ask(client, ControlVerb::challenge);
  CHECK(served.heard(client) == kChallenge);
  CHECK(served.clerk.left == 0);
  served.ask(client, ControlVerb::show);
  CHECK(served.heard(client) == kReply);
  CHECK_FALSE(served.heard(client));
  CHECK(served.clerk.left == 1);
}

TEST_CASE("garbage on control.sock reaches nobody", "[broker]") {
  Served served;
  for (const Bytes& garbage :
       {Bytes(1, 0), Bytes(limits::kControlMessageBytesMax / 2, 0x41), encode(ControlRequest{}),
        encode(ControlReply{Code::ok}), encode(RunBegun{})}) {
    const Fd client = served.connect();
    const int room = limits::kControlMessageBytesMax;
    REQUIRE(::setsockopt(client.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
    served.say(client, garbage);
    CHECK(served.heard(client) == kReply);
    CHECK_FALSE(served.heard(client));
  }
  CHECK(served.clerk.taken == 0);
  CHECK(served.clerk.left == 0);
}

TEST_CASE("a peer that is held is told until the end, and says nothing", "[broker]") {
  Served served;
  const Fd client = served.connect();
  served.ask(client, ControlVerb::run);
  CHECK(served.heard(client) == kBegun);
  served.clerk.last->tell(StepReport());
  served.clerk.last->tell(StepReport());
  served.io.restart();
  served.io.run_for(20ms);
  CHECK(served.heard(client) == kStep);
  CHECK(served.heard(client) == kStep);
  SECTION("its end") {
    served.clerk.last->end(ControlReply{Code::ok});
    served.io.restart();
    served.io.run_for(20ms);
    CHECK(served.heard(client) == kReply);
  }
  SECTION("out of turn") { served.ask(client, ControlVerb::show); }
  CHECK_FALSE(served.heard(client));
  CHECK(served.clerk.taken == 1);
  CHECK(served.clerk.left == 1);
}

TEST_CASE("a peer that does not read is cut off, and holds up nobody", "[broker]") {
  Served served;
  const Fd client = served.connect();
  served.ask(client, ControlVerb::run);
  StepReport step;
  step.result = std::string(limits::kStepResultShownBytes, 'x');
  for (std::size_t told = 0; served.clerk.last != nullptr; told += step.result.size()) {
    REQUIRE(told < 2 * limits::kControlHeldQueueBytesMost);
    served.clerk.last->tell(step);
    served.io.restart();
    served.io.poll();
  }
  const Fd other = served.connect();
  served.ask(other, ControlVerb::show);
  CHECK(served.heard(other) == kReply);
}

TEST_CASE("those who are held take no room from those who ask", "[broker]") {
  Served served;
  std::vector<Fd> held;
  for (std::size_t i = 0; i < limits::kControlPeersMax + 2; ++i) {
    held.push_back(served.connect());
    served.ask(held.back(), ControlVerb::run);
    CHECK(served.heard(held.back()) == kBegun);
  }
  const Fd client = served.connect();
  served.ask(client, ControlVerb::show);
  CHECK(served.heard(client) == kReply);
}

}  // namespace
}  // namespace taper::broker
