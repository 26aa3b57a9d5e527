#include "runtime/broker/control_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <deque>
#include <list>
#include <utility>

#include "runtime/base/limits.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/diagnostics.h"
#include "runtime/broker/local_socket.h"

namespace taper::broker {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// Empty: none of ours.
std::optional<uid_t> trusted_peer(int fd) {
  const std::optional<uid_t> uid = peer_uid(fd);
  if (!uid || *uid == 0 || *uid == ::geteuid()) return uid;
  warn("control.sock: refused a peer of uid " + std::to_string(*uid));
  return std::nullopt;
}

bool hung_up(int fd) {
  pollfd peer{.fd = fd, .events = POLLRDHUP, .revents = 0};
  return ::poll(&peer, 1, 0) > 0 && (peer.revents & (POLLRDHUP | POLLHUP)) != 0;
}

}  // namespace

// Its handlers may run after the server is gone: then it is, too, and they touch nothing else.
struct ControlServer::State : std::enable_shared_from_this<State> {
  struct Conversation;
  using PeerPtr = std::shared_ptr<Conversation>;

  State(asio::io_context& context, ControlAddress where, int fd)
      : io(context), address(std::move(where)), listener(context, fd), pause(context) {}

  std::size_t unheld() const;
  void await_peer();
  void await_room();
  bool take_peer();  // false: this process can open nothing more for now
  void limit(const PeerPtr& peer);
  void read(const PeerPtr& peer);
  void take_packet(const PeerPtr& peer);
  void write(const PeerPtr& peer);
  void drop(const PeerPtr& peer);

  asio::io_context& io;
  ControlAddress address;
  asio::posix::stream_descriptor listener;
  asio::steady_timer pause;
  std::list<PeerPtr> peers;
  Host* host = nullptr;
  std::function<void()> after;
  bool listening = false, stopped = false;
};

struct ControlServer::State::Conversation final : Peer, std::enable_shared_from_this<Conversation> {
  enum class Phase : std::uint8_t { asking, held, ended };

  Conversation(State& its_server, int fd, uid_t its_uid)
      : server(its_server), socket(its_server.io, fd), deadline(its_server.io), user(its_uid) {}

  void end(const ControlAnswer& last) override { say(last, Phase::ended); }
  void ask(const ControlAnswer& answer) override { say(answer, Phase::asking); }
  void hold(const ControlAnswer& answer) override { say(answer, Phase::held); }
  void tell(const ControlAnswer& answer) override { say(answer, phase); }
  uid_t uid() const override { return user; }

  // Written once whoever speaks has spoken: its host is never called from within itself.
  void say(const ControlAnswer& answer, Phase next) {
    phase = next;
    Bytes message = encode(answer);
    queued += message.size();
    if (queued <= most()) out.push_back(std::move(message));
    asio::post(server.io, [weak = weak_from_this()] {
      if (const PeerPtr peer = weak.lock(); peer && !peer->gone) peer->server.write(peer);
    });
  }

  std::size_t most() const {
    return phase == Phase::held ? limits::kControlHeldQueueBytesMost
                                : limits::kControlQueueBytesMost;
  }

  State& server;
  asio::posix::stream_descriptor socket;
  asio::steady_timer deadline;  // to ask, or to read what was said; none while it is held
  uid_t user;
  std::deque<Bytes> out;
  std::size_t queued = 0;  // bytes of messages in `out`
  Phase phase = Phase::asking;
  bool writing = false, gone = false, closing = false, known = false;  // known: to the host
};

std::size_t ControlServer::State::unheld() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      peers, [](const PeerPtr& peer) { return peer->phase != Conversation::Phase::held; }));
}

void ControlServer::State::await_peer() {
  if (stopped || listening || unheld() >= limits::kControlPeersMax) return;
  listening = true;
  listener.async_wait(asio::posix::descriptor_base::wait_read,
                      [this, held = weak_from_this()](const error_code& error) {
                        if (error || held.expired() || stopped) return;
                        listening = false;
                        take_peer() ? await_peer() : await_room();
                      });
}

// The peer that waits would wake us again at once, without end.
void ControlServer::State::await_room() {
  listening = true;
  pause.expires_after(std::chrono::milliseconds(limits::kControlPauseMs));
  pause.async_wait([this, held = weak_from_this()](const error_code& error) {
    if (error || held.expired()) return;
    listening = false;
    await_peer();
  });
}

bool ControlServer::State::take_peer() {
  Fd accepted(::accept4(listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!accepted) return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
  const std::optional<uid_t> uid = trusted_peer(accepted.get());
  if (!uid) return true;
  const auto peer = std::make_shared<Conversation>(*this, accepted.release(), *uid);
  peers.push_back(peer);
  limit(peer);
  read(peer);
  return true;
}

void ControlServer::State::limit(const PeerPtr& peer) {
  peer->deadline.expires_after(std::chrono::milliseconds(limits::kControlTimeoutMs));
  peer->deadline.async_wait([this, peer](const error_code& error) {
    if (!error && !peer->gone && peer->phase != Conversation::Phase::held) drop(peer);
  });
}

void ControlServer::State::read(const PeerPtr& peer) {
  peer->socket.async_wait(asio::posix::descriptor_base::wait_read,
                          [this, peer](const error_code& error) {
                            if (peer->gone) return;
                            error || stopped ? drop(peer) : take_packet(peer);
                          });
}

// Out of turn nothing is said: only a peer that has gone is heard of.
void ControlServer::State::take_packet(const PeerPtr& peer) {
  Bytes buffer(limits::kControlMessageBytesMax + 1);
  const ssize_t length =
      ::recv(peer->socket.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return read(peer);
  if (length <= 0 || peer->phase != Conversation::Phase::asking || !peer->out.empty())
    return drop(peer);
  buffer.resize(static_cast<std::size_t>(length));
  Result<ControlRequest> request = decode_request(buffer);
  // Whoever gave up before a run was begun does not want it any more.
  if (request.ok() && request->verb == ControlVerb::run && hung_up(peer->socket.native_handle()))
    return drop(peer);
  if (request.ok()) {
    peer->known = true;
    host->take(*peer, std::move(*request));
  } else {
    peer->end(reply_of(request.error()));
  }
  limit(peer);
  read(peer);
  await_peer();
  if (after) after();
}

void ControlServer::State::write(const PeerPtr& peer) {
  if (peer->gone) return;
  if (peer->queued > peer->most()) return drop(peer);
  if (peer->phase == Conversation::Phase::ended && !std::exchange(peer->closing, true)) limit(peer);
  if (peer->writing) return;
  while (!peer->out.empty()) {
    const Bytes& message = peer->out.front();
    const ssize_t sent = ::send(peer->socket.native_handle(), message.data(), message.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      if (errno != EPIPE) warn("control.sock: an answer could not be sent");
      return drop(peer);
    }
    if (sent < 0) break;
    peer->queued -= message.size();
    peer->out.pop_front();
  }
  if (peer->out.empty()) {
    if (peer->phase == Conversation::Phase::ended) drop(peer);
    return;
  }
  limit(peer);
  peer->writing = true;
  peer->socket.async_wait(asio::posix::descriptor_base::wait_write,
                          [this, peer](const error_code& error) {
                            peer->writing = false;
                            if (peer->gone) return;
                            error ? drop(peer) : write(peer);
                          });
}

void ControlServer::State::drop(const PeerPtr& peer) {
  if (std::exchange(peer->gone, true)) return;
  if (peer->known) host->gone(*peer);
  error_code ignored;
  peer->deadline.cancel();
  peer->socket.close(ignored);
  std::erase_if(peers, [kept = peer](const PeerPtr& other) { return other == kept; });
  await_peer();
  if (after && !stopped) after();
}

ControlServer::ControlServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<ControlServer>> ControlServer::listen(asio::io_context& io,
                                                             const std::string& state) {
  TAPER_TRY(ControlAddress address, ControlAddress::of(state));
  TAPER_TRY(Fd socket, bind_local({.path = address.path(),
                                   .name = "control.sock",
                                   .type = SOCK_SEQPACKET,
                                   .mode = S_IRUSR | S_IWUSR,
                                   .waiting = static_cast<int>(limits::kControlPeersMax),
                                   .rivals = Rivals::excluded}));
  return std::unique_ptr<ControlServer>(
      new ControlServer(std::make_shared<State>(io, std::move(address), socket.release())));
}

ControlServer::~ControlServer() {
  state_->stopped = true;
  while (!state_->peers.empty()) state_->drop(State::PeerPtr(state_->peers.front()));
  ::unlink(state_->address.path().c_str());
}

void ControlServer::serve(Host& host, std::function<void()> after) {
  state_->host = &host;
  state_->after = std::move(after);
  state_->await_peer();
}

void ControlServer::stop() {
  state_->stopped = true;
  error_code ignored;
  state_->listener.cancel(ignored);
  state_->pause.cancel();
}

}  // namespace taper::broker
