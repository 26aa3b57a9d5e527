#include "tools/taper/connect/socket_link.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/frames.h"

namespace taper::tools {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kReadBytes = std::size_t{64} * 1024;

Error unreachable(const std::string& path, const char* expected, const std::string& got) {
  return Error(Code::control_unreachable,
               {.field = path,
                .expected = expected,
                .got = got,
                .fix = "see that taperd runs on this state; agent.sock is its socket"});
}

// Outlives its link while a read or a write is under way.
struct State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, Fd connected, std::string its_path, Flow its_flow)
      : socket(io, asio::local::stream_protocol(), connected.release()),
        path(std::move(its_path)),
        flow(std::move(its_flow)) {}

  void send(const Bytes& message) {
    queued += message.size();
    out.push_back(broker::frame(message));
    write();
  }
  void write() {
    if (writing || gone || out.empty()) return;
    writing = true;
    asio::async_write(
        socket, asio::buffer(out.front()),
        [self = shared_from_this()](const error_code& error, std::size_t) { self->wrote(error); });
  }
  void wrote(const error_code& error) {
    writing = false;
    if (gone) return;
    if (error) return lose(error.message());
    queued -= out.front().size() - sizeof(std::uint32_t);
    out.pop_front();
    write();
    flow.drained();
  }
  void read() {
    if (reading || gone || !flow.may_read()) return;
    reading = true;
    socket.async_read_some(asio::buffer(buffer), [self = shared_from_this()](
                                                     const error_code& error, std::size_t length) {
      self->reading = false;
      if (self->gone) return;
      if (error) return self->lose("the connection ended");
      self->take({self->buffer.data(), length});
    });
  }
  void take(ByteSpan bytes) {
    frames.feed(bytes);
    while (!gone) {
      Result<std::optional<Bytes>> next = frames.next();
      if (!next.ok()) return client->lost(next.error());
      if (!*next) break;
      client->take(**next);
    }
    read();
  }
  void lose(const std::string& got) { client->lost(unreachable(path, "a session", got)); }

  asio::local::stream_protocol::socket socket;  // writes without SIGPIPE
  std::string path;
  Flow flow;
  broker::FrameReader frames{limits::kAgentMessageBytesMax};
  std::array<std::uint8_t, kReadBytes> buffer{};
  std::deque<Bytes> out;
  std::size_t queued = 0;  // bytes of messages in `out`
  bool reading = false, writing = false, gone = false;
  std::optional<broker::SessionClient> client;
};

class SocketLink final : public SessionLink {
 public:
  explicit SocketLink(std::shared_ptr<State> state) : state_(std::move(state)) { state_->read(); }
  ~SocketLink() override {
    error_code ignored;
    state_->gone = true;
    state_->socket.close(ignored);
  }
  SocketLink(const SocketLink&) = delete;
  SocketLink& operator=(const SocketLink&) = delete;

  broker::SessionClient& client() override { return *state_->client; }
  std::size_t queued() const override { return state_->queued; }
  void resume() override { state_->read(); }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace

Result<Fd> open_socket(const std::string& path) {
  const std::filesystem::path given(path);
  const std::string folder = given.has_parent_path() ? given.parent_path().string() : ".";
  TAPER_TRY(const broker::ControlAddress short_path,
            broker::ControlAddress::of(folder, given.filename().string()));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return os_error("socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (short_path.path().size() >= sizeof(address.sun_path)) return os_error(path, ENAMETOOLONG);
  std::memcpy(address.sun_path, short_path.path().c_str(), short_path.path().size());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return unreachable(path, "a listener", std::strerror(errno));
  return socket;
}

std::unique_ptr<SessionLink> link_over(asio::io_context& io, Fd socket, const std::string& path,
                                       authority::HolderHandshake handshake,
                                       SessionKeeper::Listener listener, Flow flow) {
  const auto state = std::make_shared<State>(io, std::move(socket), path, std::move(flow));
  state->client.emplace(
      std::move(handshake), [raw = state.get()](const Bytes& message) { raw->send(message); },
      std::move(listener));
  return std::make_unique<SocketLink>(state);
}

}  // namespace taper::tools
