#include "runtime/broker/control_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>

#include "runtime/base/limits.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/diagnostics.h"

namespace taper::broker {

namespace asio = boost::asio;

namespace {

bool is_trusted_peer(int fd) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  if (peer.uid == 0 || peer.uid == ::geteuid()) return true;
  warn("control.sock: refused a peer of uid " + std::to_string(peer.uid));
  return false;
}

struct Peer {
  Peer(asio::io_context& io, int fd) : socket(io, fd), deadline(io) {}
  asio::posix::stream_descriptor socket;
  asio::steady_timer deadline;
};

// What an owner that was killed left behind. Anything else there is not ours to remove.
Status remove_stale(const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0)
    return errno == ENOENT ? success() : Status(os_error("stat control.sock", errno));
  if (!S_ISSOCK(found.st_mode))
    return Error(Code::file_exists, {.field = "control.sock",
                                     .expected = "a socket, or nothing",
                                     .got = "another file",
                                     .fix = "move control.sock out of the state"});
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os_error("unlink control.sock", errno);
  return success();
}

Result<Fd> bind_socket(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return os_error("socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TAPER_ASSERT(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.c_str(), path.size());
  TAPER_CHECK(remove_stale(path));
  // The mode of the socket itself bounds that of its name, so it is never open to others.
  if (::fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0) return os_error("fchmod", errno);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return os_error("bind control.sock", errno);
  if (::listen(socket.get(), static_cast<int>(limits::kControlPeersMax)) != 0)
    return os_error("listen on control.sock", errno);
  return socket;
}

}  // namespace

struct ControlServer::State {
  State(asio::io_context& context, ControlAddress where, int fd)
      : io(context), address(std::move(where)), listener(context, fd), pause(context) {}

  void await_peer();
  void await_room();
  bool take_peer();  // false: this process can open nothing more for now
  void answer(std::list<Peer>::iterator peer);
  void drop(std::list<Peer>::iterator peer);

  asio::io_context& io;
  ControlAddress address;
  asio::posix::stream_descriptor listener;
  asio::steady_timer pause;
  std::list<Peer> peers;
  Handler handler;
  std::function<void()> after;
  bool stopped = false;
};

void ControlServer::State::await_peer() {
  if (stopped || peers.size() >= limits::kControlPeersMax) return;
  listener.async_wait(asio::posix::descriptor_base::wait_read,
                      [this](const boost::system::error_code& error) {
                        if (error || stopped) return;
                        take_peer() ? await_peer() : await_room();
                      });
}

// The peer that waits would wake us again at once, without end.
void ControlServer::State::await_room() {
  pause.expires_after(std::chrono::milliseconds(limits::kControlPauseMs));
  pause.async_wait([this](const boost::system::error_code& error) {
    if (!error) await_peer();
  });
}

bool ControlServer::State::take_peer() {
  Fd accepted(::accept4(listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!accepted) return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
  if (!is_trusted_peer(accepted.get())) return true;
  const auto peer = peers.emplace(peers.end(), io, accepted.release());
  peer->deadline.expires_after(std::chrono::milliseconds(limits::kControlTimeoutMs));
  // Closing the socket ends its wait, which drops the peer.
  peer->deadline.async_wait([peer](const boost::system::error_code& error) {
    boost::system::error_code ignored;
    if (!error) peer->socket.close(ignored);
  });
  peer->socket.async_wait(asio::posix::descriptor_base::wait_read,
                          [this, peer](const boost::system::error_code& error) {
                            if (!error && !stopped) answer(peer);
                            drop(peer);
                          });
  return true;
}

void ControlServer::State::answer(std::list<Peer>::iterator peer) {
  Bytes buffer(limits::kControlMessageBytesMax + 1);
  const int fd = peer->socket.native_handle();
  const ssize_t length = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (length <= 0) return;
  buffer.resize(static_cast<std::size_t>(length));
  const Result<ControlRequest> request = decode_request(buffer);
  const ControlReply reply =
      request.ok() ? handler(*request)
                   : ControlReply{.code = request.code(), .detail = to_line(request.error())};
  const Bytes message = encode(reply);
  if (::send(fd, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    warn("control.sock: a reply could not be sent");
  if (after) after();
}

void ControlServer::State::drop(std::list<Peer>::iterator peer) {
  peer->deadline.cancel();
  const bool full = peers.size() >= limits::kControlPeersMax;
  // The timer's handler still names the peer, so it goes after that has run.
  asio::post(io, [this, peer, full] {
    peers.erase(peer);
    if (full) await_peer();
  });
}

ControlServer::ControlServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(asio::io_context& io,
                                                             const std::string& state) {
  TAPER_TRY(ControlAddress address, ControlAddress::of(state));
  TAPER_TRY(Fd socket, bind_socket(address.path()));
  return std::unique_ptr<ControlServer>(
      new ControlServer(std::make_unique<State>(io, std::move(address), socket.release())));
}

ControlServer::~ControlServer() { ::unlink(state_->address.path().c_str()); }

void ControlServer::serve(Handler handler, std::function<void()> after) {
  state_->handler = std::move(handler);
  state_->after = std::move(after);
  state_->await_peer();
}

void ControlServer::stop() {
  state_->stopped = true;
  boost::system::error_code ignored;
  state_->listener.cancel(ignored);
  state_->pause.cancel();
}

}  // namespace taper::broker
