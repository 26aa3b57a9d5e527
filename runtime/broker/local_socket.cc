#include "runtime/broker/local_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace taper::broker {
namespace {

Fd new_socket(int type) { return Fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

Error taken(std::string field, std::string expected, std::string got, std::string fix) {
  return Error(Code::file_exists, {.field = std::move(field),
                                   .expected = std::move(expected),
                                   .got = std::move(got),
                                   .fix = std::move(fix)});
}

Status remove_stale(const LocalSocket& wanted, const sockaddr_un& address) {
  struct stat found{};
  if (::lstat(wanted.path.c_str(), &found) != 0)
    return errno == ENOENT ? success() : Status(os_error("stat " + wanted.name, errno));
  if (!S_ISSOCK(found.st_mode))
    return taken(wanted.name, "a socket, or nothing", "another file",
                 "move " + wanted.name + " out of the way");
  if (wanted.rivals == Rivals::possible) {
    const Fd tried = new_socket(wanted.type);
    if (!tried) return os_error("socket", errno);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    const int failed = ::connect(tried.get(), name, sizeof(address)) == 0 ? 0 : errno;
    // One that is busy, or of another type, is somebody's all the same.
    if (failed != ECONNREFUSED && failed != ENOENT)
      return taken(wanted.path, "a socket that nobody serves", "one that somebody does",
                   "give another path");
  }
  if (::unlink(wanted.path.c_str()) != 0 && errno != ENOENT)
    return os_error("unlink " + wanted.name, errno);
  return success();
}

}  // namespace

Result<Fd> bind_local(const LocalSocket& wanted) {
  Fd socket = new_socket(wanted.type);
  if (!socket) return os_error("socket", errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (wanted.path.size() >= sizeof(address.sun_path)) return os_error(wanted.name, ENAMETOOLONG);
  std::memcpy(address.sun_path, wanted.path.c_str(), wanted.path.size());
  TAPER_CHECK(remove_stale(wanted, address));
  // The mode of the socket itself bounds that of its name, so it is never open to others.
  if (::fchmod(socket.get(), wanted.mode) != 0) return os_error("fchmod", errno);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return os_error("bind " + wanted.name, errno);
  if (::chmod(wanted.path.c_str(), wanted.mode) != 0)
    return os_error("chmod " + wanted.name, errno);
  if (::listen(socket.get(), wanted.waiting) != 0)
    return os_error("listen on " + wanted.name, errno);
  return socket;
}

std::optional<uid_t> peer_uid(int fd) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return std::nullopt;
  return peer.uid;
}

}  // namespace taper::broker
