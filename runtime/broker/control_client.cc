#include "runtime/broker/control_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/base/clock.h"
#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

Error unreachable(const char* step, int error_number) {
  return Error(
      Code::control_unreachable,
      {.field = "control.sock", .expected = step, .got = std::strerror(error_number), .fix = ""});
}

Result<Fd> connect_to(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return os_error("socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  TAPER_ASSERT(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.c_str(), path.size());
  // A capsule and a plan's inputs are one message.
  const int room = static_cast<int>(limits::kControlMessageBytesMax);
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) != 0)
    return os_error("setsockopt", errno);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return unreachable("a listener", errno);
  return socket;
}

Status wait_readable(int fd, std::int64_t within_ms) {
  const SystemClock clock;
  const std::int64_t deadline = clock.now().boot_ms + within_ms;
  for (;;) {
    const std::int64_t left = deadline - clock.now().boot_ms;
    if (left <= 0) return unreachable("an answer in time", ETIMEDOUT);
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return success();
    if (ready < 0 && errno != EINTR) return unreachable("an answer", errno);
  }
}

}  // namespace

Result<ControlAddress> ControlAddress::of(const std::string& directory, const std::string& name) {
  const int held = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (held < 0) return os_error("open " + directory, errno);
  return ControlAddress(held, "/proc/self/fd/" + std::to_string(held) + "/" + name);
}

Result<ControlTalk> ControlTalk::with_owner(const std::string& state) {
  TAPER_TRY(const ControlAddress address, ControlAddress::of(state));
  TAPER_TRY(Fd socket, connect_to(address.path()));
  return ControlTalk(std::move(socket));
}

Status ControlTalk::send(const ControlRequest& request) const {
  const Bytes message = encode(request);
  if (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0)
    return unreachable("the request sent", errno);
  return success();
}

Result<ControlAnswer> ControlTalk::next(std::optional<std::int64_t> within_ms) const {
  if (within_ms) TAPER_CHECK(wait_readable(socket_.get(), *within_ms));
  Bytes buffer(limits::kControlMessageBytesMax);
  const ssize_t length = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_TRUNC);
  if (length <= 0) return unreachable("an answer", length == 0 ? ECONNRESET : errno);
  if (static_cast<std::size_t>(length) > buffer.size()) return Error(Code::message_malformed);
  buffer.resize(static_cast<std::size_t>(length));
  return decode_answer(buffer);
}

Error ControlTalk::refusal(const ControlAnswer& answer) {
  const auto* reply = std::get_if<ControlReply>(&answer);
  if (reply == nullptr || reply->code == Code::ok) return Error(Code::message_malformed);
  return Error(reply->code, reply->detail);
}

Error owner_gone(const TaskId& task, std::string how) {
  return Error(
      Code::control_unreachable,
      {.field = "task " + task.hex(),
       .expected = "its owner, until it ends",
       .got = std::move(how),
       .fix = "look first: 'taper task show'. One that is active goes on, or is taken up by "
              "running the capsule again; one that is over would be begun anew"});
}

Error owner_stopping(const TaskId& task) {
  return Error(Code::owner_stopping,
               {.field = "task " + task.hex(),
                .expected = "its owner, until it ends",
                .got = "it stops, and what ran was killed",
                .fix = "the task waits: run its capsule again, and it goes on where it stood"});
}

Result<ControlReply> ask_owner(const std::string& state, const ControlRequest& request) {
  TAPER_TRY(const ControlTalk talk, ControlTalk::with_owner(state));
  TAPER_CHECK(talk.send(request));
  return talk.expect<ControlReply>();
}

}  // namespace taper::broker
