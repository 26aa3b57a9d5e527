// agent.sock for real: a holder's client on one end, strangers beside it.
#include "runtime/broker/agent_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/frames.h"
#include "runtime/broker/session_client.h"
#include "tests/support/scratch_directory.h"
#include "tests/unit/broker/session_fakes.h"

namespace taper::broker {
namespace {

struct Served {
  testing::ScratchDirectory folder;
  std::string path = folder.path() + "/agent.sock";
  boost::asio::io_context io{1};
  FakeHost host;
  std::unique_ptr<AgentServer> server = listen();

  std::unique_ptr<AgentServer> listen() {
    auto made = AgentServer::listen(io, path, host);
    REQUIRE(made.ok());
    return std::move(*made);
  }
  Served() { server->serve({}); }
  explicit Served(std::int64_t open_within_ms) {
    server->serve({.open_within_ms = open_within_ms});
  }
  void turn() {
    io.restart();
    for (int i = 0; i < 50; ++i) io.poll();
  }
};

class Peer {
 public:
  explicit Peer(Served& served) : served_(served) {
    socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, served.path.c_str(), served.path.size());
    REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                      sizeof(address)) == 0);
  }
  // Gives how much went out.
  std::size_t write(ByteSpan bytes) {
    const ssize_t length = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return length < 0 ? 0 : static_cast<std::size_t>(length);
  }
  // What came, as messages; `closed` when the server is gone.
  std::vector<Bytes> read() {
    served_.turn();
    Bytes buffer(1 << 20);
    for (;;) {
      const ssize_t length = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      closed = length == 0 || (length < 0 && errno == ECONNRESET);
      if (length <= 0) break;
      reader_.feed({buffer.data(), static_cast<std::size_t>(length)});
    }
    std::vector<Bytes> out;
    for (;;) {
      Result<std::optional<Bytes>> next = reader_.next();
      REQUIRE(next.ok());
      if (!*next) return out;
      out.push_back(std::move(**next));
    }
  }
  bool closed = false;

 private:
  Served& served_;
  Fd socket_;
  FrameReader reader_{limits::kAgentMessageBytesMax};
};

struct Holder {
  explicit Holder(Served& served)
      : peer(served),
        client(served.host.holder(),
               [this](const Bytes& message) { (void)peer.write(frame(message)); },
               {.opened = [](const Opened&) {},
                .happened = nullptr,
                .over = [this](const Error& error) { ended = error.code(); }}) {
    client.start();
    pump();
    pump();
  }
  void pump() {
    for (const Bytes& message : peer.read()) client.take(message);
  }
  Result<SessionReply> call() {
    Result<SessionReply> got = Error(Code::unset);
    SessionRequest request;
    request.ask = Ask::call;
    request.tool = "time.now";
    client.ask(request, [&got](Result<SessionReply> reply) { got = std::move(reply); });
    for (int i = 0; i < 20 && got.code() == Code::unset; ++i) pump();
    return got;
  }
  Peer peer;
  SessionClient client;
  Code ended = Code::ok;
};

TEST_CASE("a holder opens a session over the socket and is answered", "[broker][session]") {
  Served served;
  Holder holder(served);
  REQUIRE(holder.client.live());
  for (int i = 0; i < 3; ++i) CHECK(holder.call().ok());
  CHECK(served.host.requests.size() == 3);
  served.host.answer = std::string(3 * 1024 * 1024, 'x');
  const Result<SessionReply> large = holder.call();
  REQUIRE(large.ok());
  CHECK(large->body.size() == served.host.answer.size());
}

TEST_CASE("garbage ends the connection it came by and no other", "[broker][session]") {
  Served served;
  Holder holder(served);
  for (const std::string_view text :
       {std::string_view("\xff\xff\xff\xff", 4), std::string_view("\0\0\0\0", 4),
        std::string_view("\4\0\0\0junk", 8)}) {
    Peer stranger(served);
    (void)stranger.write(as_bytes(text));
    served.turn();
    (void)stranger.read();
    CHECK(stranger.closed);
  }
  CHECK(served.host.misuses == std::vector<Code>(3, Code::message_malformed));
  CHECK(holder.call().ok());
}

TEST_CASE("connections held open keep no holder out", "[broker][session]") {
  Served served;
  Holder before(served);
  std::vector<std::unique_ptr<Peer>> strangers;
  for (std::size_t i = 0; i < 3 * limits::kAgentUnprovenMax; ++i) {
    strangers.push_back(std::make_unique<Peer>(served));
    served.turn();
  }
  CHECK(served.server->peers() <= limits::kAgentUnprovenMax + 1);
  Holder after(served);
  REQUIRE(after.client.live());
  CHECK(after.call().ok());
  CHECK(before.call().ok());
  (void)strangers.front()->read();
  CHECK(strangers.front()->closed);
}

TEST_CASE("requests of a peer that reads nothing are not taken without end", "[broker][session]") {
  Served served;
  Holder holder(served);
  served.host.answer = std::string(1024 * 1024, 'x');
  SessionRequest request;
  request.ask = Ask::describe;
  for (int i = 0; i < 200; ++i) {
    holder.client.ask(request, [](const Result<SessionReply>&) {});
    served.turn();
  }
  const std::size_t taken = served.host.requests.size();
  CHECK(taken < 20);
  for (int i = 0; i < 2000 && served.host.requests.size() < 200; ++i) holder.pump();
  CHECK(served.host.requests.size() > taken);
}

// In bytes; always the same where a sanitizer keeps what was freed.
std::int64_t resident() {
#if defined(TAPER_SANITIZED)
  return 0;
#endif
  std::ifstream file("/proc/self/statm");
  std::int64_t pages = 0;
  file >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

TEST_CASE("a storm of garbage is counted, fills nothing and holds up nobody", "[broker][session]") {
  Served served;
  Holder holder(served);
  REQUIRE(holder.client.live());
  const Bytes hello = frame(encode(AgentMessage(Hello{})));
  Bytes twice = hello;  // the second does not belong there
  twice.insert(twice.end(), hello.begin(), hello.end());
  const std::int64_t before = resident();
  constexpr std::size_t kMessages = 10'000;
  for (std::size_t i = 0; i < kMessages; ++i) {
    Peer stranger(served);
    if (i % 2 == 0) {
      (void)stranger.write(twice);
    } else {
      (void)stranger.write(as_bytes(std::string_view("\4\0\0\0junk", 8)));
    }
    served.turn();
    if (i % 100 == 0) CHECK(holder.call().ok());
    CHECK(served.server->peers() <= limits::kAgentUnprovenMax + 1);
  }
  CHECK(served.host.misuses.size() == kMessages);
  CHECK(served.host.withdrawn.size() == kMessages / 2);
  served.turn();
  CHECK(served.server->peers() == 1);
  CHECK(resident() - before < 32 * 1024 * 1024);
  CHECK(holder.call().ok());
}

TEST_CASE("openings refused again and again are looked at no more", "[broker][session]") {
  Served served;
  Holder holder(served);
  const int before = served.host.admissions;
  const std::int64_t begun_ms = SystemClock().now().boot_ms;
  constexpr std::size_t kOffers = 4 * limits::kAgentRefusedPerSMax;
  for (std::size_t i = 0; i < kOffers; ++i) {  // a stolen capsule, without its holder's key
    Peer thief(served);
    (void)thief.write(frame(encode(AgentMessage(Hello{}))));
    served.turn();
    (void)thief.write(frame(encode(AgentMessage(Open{}))));
    served.turn();
    (void)thief.read();
    CHECK(thief.closed);
  }
  // A slow machine needs more than one second for them.
  const auto seconds = (SystemClock().now().boot_ms - begun_ms) / 1000 + 2;
  const auto most = static_cast<std::ptrdiff_t>(limits::kAgentRefusedPerSMax) * seconds;
  CHECK(served.host.admissions - before <= most);
  CHECK(std::ranges::count(served.host.misuses, Code::session_busy) >=
        static_cast<std::ptrdiff_t>(kOffers) - most);
  CHECK(holder.call().ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  served.turn();
  Holder again(served);
  CHECK(again.client.live());
}

TEST_CASE("a connection that does not prove itself in time is cut off", "[broker][session]") {
  Served served(300);
  Holder holder(served);
  REQUIRE(holder.client.live());
  Peer silent(served), half(served);
  const Bytes hello = frame(encode(AgentMessage(Hello{})));
  (void)half.write(ByteSpan(hello).first(6));
  served.turn();
  CHECK(served.server->peers() == 3);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  served.turn();
  CHECK(served.server->peers() == 1);
  (void)silent.read();
  (void)half.read();
  CHECK(silent.closed);
  CHECK(half.closed);
  CHECK(holder.call().ok());
}

TEST_CASE("a stranger may not announce more than an opening needs", "[broker][session]") {
  Served served;
  Peer stranger(served);
  const std::size_t length = limits::kAgentOpenBytesMax + 1;
  (void)stranger.write(ByteWriter().u32(static_cast<std::uint32_t>(length)).bytes());
  (void)stranger.read();
  CHECK(stranger.closed);
  Holder holder(served);
  const std::size_t more = limits::kAgentRequestBytesMax + 1;  // nor one that is known, more yet
  (void)holder.peer.write(ByteWriter().u32(static_cast<std::uint32_t>(more)).bytes());
  holder.pump();
  CHECK(holder.ended == Code::message_malformed);
}

TEST_CASE("a flood by one user pushes out his own connections alone", "[broker][session]") {
  if (::geteuid() != 0) return;
  Served served;
  REQUIRE(::chmod(served.folder.path().c_str(), 0711) == 0);
  REQUIRE(::chmod(served.path.c_str(), 0666) == 0);
  Peer first(served);  // ours, the oldest of all
  served.turn();
  std::vector<std::unique_ptr<Peer>> strangers;
  REQUIRE(::seteuid(21212) == 0);
  for (std::size_t i = 0; i < 2 * limits::kAgentUnprovenMax; ++i) {
    strangers.push_back(std::make_unique<Peer>(served));
    served.turn();
  }
  REQUIRE(::seteuid(0) == 0);
  (void)first.read();
  CHECK_FALSE(first.closed);
  (void)strangers.front()->read();
  CHECK(strangers.front()->closed);
}

TEST_CASE("one task's sessions leave room for another's", "[broker][session][R48]") {
  Served served;
  std::vector<std::unique_ptr<Holder>> many;
  for (std::size_t i = 0; i <= limits::kAgentSessionsPerTaskMax; ++i)
    many.push_back(std::make_unique<Holder>(served));
  CHECK(many.back()->ended == Code::session_busy);
  CHECK(many.front()->call().ok());
  served.host.task = crypto::random_id<TaskId>();
  Holder other(served);
  CHECK(other.call().ok());
}

TEST_CASE("a peer that never reads is cut off before it fills the memory", "[broker][session]") {
  Served served;
  Holder holder(served);
  served.host.answer = std::string(4 * 1024 * 1024, 'x');
  served.host.answers_at_once = false;
  SessionRequest request;
  request.ask = Ask::describe;
  Session* session = nullptr;
  served.host.asked_by = [&session](Session& asking) { session = &asking; };
  for (std::size_t i = 0; i < limits::kSessionAsksMax; ++i)
    holder.client.ask(request, [](const Result<SessionReply>&) {});
  served.turn();
  REQUIRE(session != nullptr);
  REQUIRE(session->open_requests() == limits::kSessionAsksMax);
  const std::int64_t before = resident();
  for (std::uint64_t i = 0; i < limits::kSessionAsksMax; ++i)
    session->reply(i, Code::ok, served.host.answer);
  CHECK(resident() - before < 2 * static_cast<std::int64_t>(limits::kAgentQueueBytesMost));
  served.turn();
  CHECK(served.server->peers() == 0);
  CHECK(served.host.departures == 1);
}

TEST_CASE("a path of any length holds a socket of mode 0660", "[broker][session]") {
  testing::ScratchDirectory folder;
  const std::string deep = folder.path() + "/" + std::string(200, 'd');
  REQUIRE(::mkdir(deep.c_str(), 0700) == 0);
  boost::asio::io_context io{1};
  FakeHost host;
  {
    const auto server = AgentServer::listen(io, deep + "/agent.sock", host);
    REQUIRE(server.ok());
    struct stat found{};
    REQUIRE(::stat((deep + "/agent.sock").c_str(), &found) == 0);
    CHECK((found.st_mode & 07777U) == 0660U);
  }
  CHECK(::access((deep + "/agent.sock").c_str(), F_OK) != 0);
}

TEST_CASE("a server that goes leaves nothing behind that answers", "[broker][session]") {
  Served served;
  {
    Holder holder(served);
    REQUIRE(holder.client.live());
    Peer half(served);
    (void)half.write(frame(encode(AgentMessage(Hello{}))));
    served.turn();
    served.server.reset();
    CHECK(served.host.departures == 2);
    CHECK(served.host.withdrawn.size() == 1);
    holder.pump();
    CHECK(holder.peer.closed);
  }
  served.turn();
  served.server = served.listen();
  served.server->serve({});
  Holder again(served);
  CHECK(again.call().ok());
}

TEST_CASE("a stale socket is replaced, another file is not", "[broker][session]") {
  Served served;
  served.server.reset();
  CHECK(::access(served.path.c_str(), F_OK) != 0);
  REQUIRE(replace_file(served.path, as_bytes("mine"), 0600).ok());
  CHECK(AgentServer::listen(served.io, served.path, served.host).code() == Code::file_exists);
}

}  // namespace
}  // namespace taper::broker
