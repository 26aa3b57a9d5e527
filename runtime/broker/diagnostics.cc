#include "runtime/broker/diagnostics.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

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

void warn(std::string_view text) { logger().warn("{}", text); }

}  // namespace taper::broker
