#include "runtime/broker/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "runtime/base/file.h"

namespace taper::broker {
namespace {

std::string take(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  std::string taken = value == nullptr ? "" : value;
  ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
  return taken;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  manager.socket_ = take("NOTIFY_SOCKET");
  const std::string wait_us = take("WATCHDOG_USEC");
  std::int64_t us = 0;
  const auto read = std::from_chars(wait_us.data(), wait_us.data() + wait_us.size(), us);
  constexpr std::int64_t kHalfMs = 2'000;  // microseconds in two milliseconds
  if (read.ec == std::errc() && us >= kHalfMs) manager.alive_every_ms_ = us / kHalfMs;
  return manager;
}

// A name that begins with @ is in the abstract namespace.
void ServiceManager::say(std::string_view state) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  // Best effort: a manager that does not hear of us acts by its own rules.
  [[maybe_unused]] const ssize_t sent =
      ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address), length);
}

}  // namespace taper::broker
