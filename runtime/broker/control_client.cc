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
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return unreachable("a listener", errno);
  return socket;
}

Status wait_readable(int fd) {
  const SystemClock clock;
  const std::int64_t deadline = clock.now().boot_ms + limits::kControlTimeoutMs;
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

Result<ControlReply> ask_owner(const std::string& state, const ControlRequest& request) {
  TAPER_TRY(const ControlAddress address, ControlAddress::of(state));
  TAPER_TRY(const Fd socket, connect_to(address.path()));
  const Bytes message = encode(request);
  if (::send(socket.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0)
    return unreachable("the request sent", errno);
  TAPER_CHECK(wait_readable(socket.get()));
  Bytes buffer(limits::kControlMessageBytesMax);
  const ssize_t length = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_TRUNC);
  if (length <= 0) return unreachable("an answer", length == 0 ? ECONNRESET : errno);
  if (static_cast<std::size_t>(length) > buffer.size()) return Error(Code::message_malformed);
  buffer.resize(static_cast<std::size_t>(length));
  return decode_reply(buffer);
}

}  // namespace taper::broker
