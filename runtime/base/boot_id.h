// Which boot a boot clock counts from. A time namespace can shift CLOCK_BOOTTIME; what was counted
// there must not be carried on outside, so it counts from a boot of its own.
#pragma once

#include <string_view>

#include "runtime/base/ids.h"

namespace taper {

// `host`, the kernel's boot id, in a time namespace of these offsets, as proc_pid_timens_offsets
// shows them: itself where they do not shift the boot clock, else another for each shift.
BootId boot_within(BootId host, std::string_view timens_offsets);

}  // namespace taper
