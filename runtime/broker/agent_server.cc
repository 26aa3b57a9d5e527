#include "runtime/broker/agent_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <chrono>
#include <deque>
#include <list>
#include <map>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/broker/control_client.h"
#include "runtime/broker/frames.h"
#include "runtime/broker/local_socket.h"

namespace taper::broker {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadBytes = std::size_t{64} * 1024;

Result<ControlAddress> address_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == path.npos) return ControlAddress::of(".", path);
  return ControlAddress::of(path.substr(0, slash + 1), path.substr(slash + 1));
}

}  // namespace

struct AgentServer::State : std::enable_shared_from_this<State> {
  struct Peer;
  using PeerPtr = std::shared_ptr<Peer>;

  State(asio::io_context& context, ControlAddress where, int fd, Session::Host& its_host)
      : io(context),
        address(std::move(where)),
        listener(context, fd),
        pause(context),
        forget(context),
        host(its_host) {}

  // Without a socket of its own.
  State(asio::io_context& context, Session::Host& its_host)
      : io(context),
        listener(context),
        pause(context),
        forget(context),
        host(its_host),
        stopped(true) {}

  void make_room();
  void await_peer();
  void await_room();
  bool take_peer();  // false: this process can open nothing more for now
  void limit(const PeerPtr& peer);
  void read(const PeerPtr& peer);
  void take_bytes(const PeerPtr& peer, ByteSpan bytes);
  void take_next(const PeerPtr& peer);
  void take_message(const PeerPtr& peer, const Bytes& message);
  void misused(const PeerPtr& peer, const Error& error);
  void count_refused(uid_t uid);
  void opened(const PeerPtr& peer);
  void write(const PeerPtr& peer);
  void drop(const PeerPtr& peer);

  asio::io_context& io;
  std::optional<ControlAddress> address;
  asio::posix::stream_descriptor listener;
  asio::steady_timer pause, forget;
  Session::Host& host;
  std::array<std::uint8_t, kReadBytes> buffer{};  // of whoever is read from now
  std::map<uid_t, std::size_t> refused;           // openings, since `forget` was last over
  std::list<PeerPtr> peers;                       // the oldest first
  Options options;
  bool listening = false, stopped = false;
};

// Its handlers may run after the server is gone: then it is, too, and they touch nothing else.
struct AgentServer::State::Peer : std::enable_shared_from_this<Peer> {
  Peer(State& its_server, int fd, uid_t its_uid)
      : server(its_server),
        uid(its_uid),
        socket(its_server.io, asio::local::stream_protocol(), fd),
        deadline(its_server.io),
        session(its_server.host, [this](const Bytes& message) { send(message); }) {}

  Peer(State& its_server, int fd, const TaskId& task)
      : server(its_server),
        uid(::geteuid()),
        socket(its_server.io, asio::local::stream_protocol(), fd),
        deadline(its_server.io),
        session(its_server.host, task, [this](const Bytes& message) { send(message); }),
        live(true) {}

  // Written once whoever speaks has spoken: a session may answer while it is told something.
  void send(const Bytes& message) {
    queued += message.size();
    if (queued <= limits::kAgentQueueBytesMost) out.push_back(frame(message));
    asio::post(server.io, [weak = weak_from_this()] {
      if (const PeerPtr peer = weak.lock(); peer && !peer->gone) peer->server.write(peer);
    });
  }

  // While it leaves its replies unread, its requests wait too.
  bool is_behind() const { return queued >= limits::kAgentQueueBytesMax; }
  bool may_read() const { return !reading && !taking && !gone && !is_behind(); }

  State& server;
  uid_t uid;
  asio::local::stream_protocol::socket socket;  // writes without SIGPIPE
  asio::steady_timer deadline;  // to prove itself; of one that is over, to read its last message
  FrameReader frames{limits::kAgentOpenBytesMax};
  std::deque<Bytes> out;
  std::size_t queued = 0;  // bytes of messages in `out`
  Session session;
  bool reading = false, taking = false, writing = false, gone = false, live = false,
       closing = false;
};

// Too many have not proved themselves. Of the user who has the most of them, the one that had the
// longest time goes: whoever only holds connections open keeps no holder out, least another's.
void AgentServer::State::make_room() {
  std::map<uid_t, std::size_t> counts;
  std::size_t all = 0;
  for (const PeerPtr& peer : peers) {
    if (peer->live) continue;
    ++counts[peer->uid];
    ++all;
  }
  if (all <= limits::kAgentUnprovenMax) return;
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& one) { return one.second; });
  const auto oldest = std::ranges::find_if(
      peers, [most](const PeerPtr& peer) { return !peer->live && peer->uid == most->first; });
  drop(PeerPtr(*oldest));
}

void AgentServer::State::await_peer() {
  if (stopped || listening || peers.size() >= limits::kAgentPeersMax) return;
  listening = true;
  const auto held = weak_from_this();
  listener.async_wait(asio::posix::descriptor_base::wait_read,
                      [this, held](const error_code& error) {
                        if (error || held.expired() || stopped) return;
                        listening = false;
                        take_peer() ? await_peer() : await_room();
                      });
}

// The peer that waits would wake us again at once, without end.
void AgentServer::State::await_room() {
  listening = true;
  pause.expires_after(std::chrono::milliseconds(limits::kAgentPauseMs));
  pause.async_wait([this, held = weak_from_this()](const error_code& error) {
    if (error || held.expired()) return;
    listening = false;
    await_peer();
  });
}

bool AgentServer::State::take_peer() {
  Fd accepted(::accept4(listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!accepted) return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
  const std::optional<uid_t> uid = peer_uid(accepted.get());
  if (!uid) return true;
  const PeerPtr peer = std::make_shared<Peer>(*this, accepted.release(), *uid);
  peers.push_back(peer);
  make_room();
  if (!peer->gone) limit(peer);
  read(peer);
  return true;
}

void AgentServer::State::limit(const PeerPtr& peer) {
  peer->deadline.expires_after(std::chrono::milliseconds(options.open_within_ms));
  peer->deadline.async_wait([this, peer](const error_code& error) {
    if (!error && !peer->gone && (!peer->live || peer->closing)) drop(peer);
  });
}

void AgentServer::State::read(const PeerPtr& peer) {
  if (!peer->may_read()) return;
  peer->reading = true;
  peer->socket.async_wait(asio::socket_base::wait_read, [this, peer](const error_code& error) {
    peer->reading = false;
    if (peer->gone) return;
    if (error) return drop(peer);
    const int fd = peer->socket.native_handle();
    const ssize_t length = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return read(peer);
    if (length <= 0) return drop(peer);
    take_bytes(peer, {buffer.data(), static_cast<std::size_t>(length)});
  });
}

void AgentServer::State::take_bytes(const PeerPtr& peer, ByteSpan bytes) {
  peer->frames.feed(bytes);
  take_next(peer);
}

// Each message may be a commit. After one of them others have their turn, timers too: a peer with
// much to ask holds up neither the cells' beat nor another's task.
void AgentServer::State::take_next(const PeerPtr& peer) {
  peer->taking = false;
  // What it has asked already waits, too, until it has read.
  if (peer->gone || (peer->is_behind() && !peer->session.over())) return;
  peer->frames.allow(peer->session.message_bytes_max());
  Result<std::optional<Bytes>> message = std::optional<Bytes>();
  if (!peer->session.over()) message = peer->frames.next();
  if (!message.ok()) misused(peer, message.error());
  peer->taking = message.ok() && message->has_value();
  if (peer->taking) take_message(peer, **message);
  if (options.after) options.after();
  write(peer);
  await_peer();
  if (peer->taking) {
    asio::post(io, [this, peer] { take_next(peer); });
  } else if (!peer->session.over()) {
    read(peer);
  }
}

// An opening costs several signatures to refuse: a user who had many refused just now, with
// a stolen capsule perhaps, has no more looked at for a while.
void AgentServer::State::take_message(const PeerPtr& peer, const Bytes& message) {
  const bool opens = peer->session.asked().has_value();
  const auto before = refused.find(peer->uid);
  if (opens && before != refused.end() && before->second >= limits::kAgentRefusedPerSMax)
    return misused(peer, Error(Code::session_busy));
  peer->session.take(message);
  if (peer->session.live() && !peer->live) opened(peer);
  if (opens && !peer->live) count_refused(peer->uid);
}

void AgentServer::State::misused(const PeerPtr& peer, const Error& error) {
  host.misused(peer->session, error);
  peer->session.end(error.code());
}

void AgentServer::State::count_refused(uid_t uid) {
  if (refused.empty()) {
    forget.expires_after(std::chrono::seconds(1));
    forget.async_wait([this, held = weak_from_this()](const error_code& error) {
      if (!error && !held.expired()) refused.clear();
    });
  }
  ++refused[uid];
}

// One task's holders do not take all the room that others need.
void AgentServer::State::opened(const PeerPtr& peer) {
  peer->live = true;
  peer->deadline.cancel();
  const auto count = std::ranges::count_if(peers, [&peer](const PeerPtr& other) {
    return other->session.live() && other->session.task() == peer->session.task();
  });
  if (static_cast<std::size_t>(count) > limits::kAgentSessionsPerTaskMax)
    peer->session.end(Code::session_busy);
}

void AgentServer::State::write(const PeerPtr& peer) {
  if (peer->gone) return;
  if (peer->queued > limits::kAgentQueueBytesMost) return drop(peer);
  if (peer->session.over() && !std::exchange(peer->closing, true)) limit(peer);
  if (peer->writing) return;
  if (peer->out.empty()) {
    if (peer->session.over()) drop(peer);
    return;
  }
  peer->writing = true;
  const auto written = [this, peer](const error_code& error, std::size_t) {
    peer->writing = false;
    if (peer->gone) return;
    if (error) return drop(peer);
    peer->queued -= peer->out.front().size() - sizeof(std::uint32_t);
    peer->out.pop_front();
    write(peer);
    if (!peer->session.over() && !peer->taking && !peer->reading) take_next(peer);
  };
  asio::async_write(peer->socket, asio::buffer(peer->out.front()), written);
}

void AgentServer::State::drop(const PeerPtr& peer) {
  if (std::exchange(peer->gone, true)) return;
  peer->session.lost();
  error_code ignored;
  peer->deadline.cancel();
  peer->socket.close(ignored);
  std::erase_if(peers, [kept = peer](const PeerPtr& other) { return other == kept; });
  await_peer();
}

AgentServer::AgentServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<AgentServer>> AgentServer::listen(asio::io_context& io,
                                                         const std::string& path,
                                                         Session::Host& host) {
  TAPER_TRY(ControlAddress address, address_of(path));
  TAPER_TRY(Fd socket, bind_local({.path = address.path(),
                                   .name = "agent.sock",
                                   .type = SOCK_STREAM,
                                   .mode = S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP,
                                   .waiting = static_cast<int>(limits::kAgentUnprovenMax)}));
  return std::unique_ptr<AgentServer>(
      new AgentServer(std::make_shared<State>(io, std::move(address), socket.release(), host)));
}

std::unique_ptr<AgentServer> AgentServer::over(asio::io_context& io, Fd channel,
                                               Session::Host& host, const TaskId& task,
                                               std::function<void()> after) {
  auto state = std::make_shared<State>(io, host);
  state->options.after = std::move(after);
  const auto peer = std::make_shared<State::Peer>(*state, channel.release(), task);
  state->peers.push_back(peer);
  state->read(peer);
  return std::unique_ptr<AgentServer>(new AgentServer(std::move(state)));
}

Session& AgentServer::channel() {
  TAPER_ASSERT(!state_->peers.empty());
  return state_->peers.front()->session;
}

AgentServer::~AgentServer() {
  state_->stopped = true;
  while (!state_->peers.empty()) state_->drop(state_->peers.front());
  if (state_->address) ::unlink(state_->address->path().c_str());
}

void AgentServer::serve(Options options) {
  state_->options = std::move(options);
  state_->await_peer();
}

void AgentServer::stop() {
  state_->stopped = true;
  error_code ignored;
  state_->listener.cancel(ignored);
  state_->pause.cancel();
  state_->forget.cancel();
}

std::size_t AgentServer::peers() const { return state_->peers.size(); }

}  // namespace taper::broker
