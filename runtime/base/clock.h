// Time. Two clocks are read together: CLOCK_BOOTTIME, which counts suspend and cannot be set,
// measures leases; the wall clock, which can, is only compared with signed bounds.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper {

struct Now {
  std::int64_t boot_ms = 0;  // CLOCK_BOOTTIME since boot, milliseconds
  std::int64_t wall_s = 0;   // CLOCK_REALTIME, seconds since 1970 UTC
  BootId boot_id;            // which boot `boot_ms` counts from
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now now() const = 0;
};

// The system's clocks. The boot id is read once, at construction.
class SystemClock final : public Clock {
 public:
  SystemClock();
  Now now() const override;

 private:
  BootId boot_id_;
};

// The wall clock alone, for processes that may open nothing, not even the boot id.
std::int64_t wall_clock_s();

// That CLOCK_BOOTTIME is the host's: a time namespace can set it back. Whatever begins or takes up
// tasks asks first. Error: boot_clock_shifted, also where it cannot be told.
Status check_boot_clock();
// What proc_pid_timens_offsets shows, time_namespaces(7), moves no clock.
bool is_unshifted(std::string_view timens_offsets);

// A clock that stands where it was put, for tests and simulation.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Now start) : now_(start) {}
  Now now() const override { return now_; }
  void advance_ms(std::int64_t ms);  // both clocks
  void step_wall_s(std::int64_t seconds) { now_.wall_s += seconds; }
  void reboot(BootId boot_id);  // the boot clock starts again from zero

 private:
  Now now_;
  std::int64_t wall_rest_ms_ = 0;
};

}  // namespace taper
