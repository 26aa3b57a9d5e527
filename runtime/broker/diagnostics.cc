#include "runtime/broker/diagnostics.h"

#include <poll.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace taper::broker {
namespace {

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("taper", std::make_shared<spdlog::sinks::stderr_sink_st>());
    made.set_level(spdlog::level::warn);
    made.set_pattern("%n: %l: %v");
    return made;
  }();
  return instance;
}

}  // namespace

// Whoever does not read our warnings does not stop us: they are told where there is room for one.
void warn(std::string_view text) {
  pollfd room{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&room, 1, 0) == 1 && (room.revents & POLLOUT) != 0) logger().warn("{}", text);
}

}  // namespace taper::broker
