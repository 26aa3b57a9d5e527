// What a service tells systemd about itself (sd_notify(3)); nothing where nobody asked for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace taper::broker {

class ServiceManager {
 public:
  // From NOTIFY_SOCKET and WATCHDOG_USEC, which are then taken out of the environment.
  static ServiceManager from_environment();

  void ready() const { say("READY=1"); }
  void reloading() const { say("RELOADING=1"); }  // until `ready`
  void stopping() const { say("STOPPING=1"); }
  void alive() const { say("WATCHDOG=1"); }
  // How often `alive` is due: half of what systemd waits. Empty: it does not wait.
  std::optional<std::int64_t> alive_every_ms() const { return alive_every_ms_; }

 private:
  void say(std::string_view state) const;
  std::string socket_;
  std::optional<std::int64_t> alive_every_ms_;
};

}  // namespace taper::broker
