// The way to one server: lines to it and from it, on a clock.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/upstream/lines.h"

namespace taper::upstream {

// Times are milliseconds of CLOCK_BOOTTIME.
class Link {
 public:
  virtual ~Link() = default;
  virtual std::int64_t now_ms() const = 0;
  // Starts the server, in the place of one that was started before. Error: upstream_broken "start".
  virtual Status start() = 0;
  // One message, which has no line feed in it. Errors: upstream_broken "ended", "timeout".
  virtual Status send(std::string_view line, std::int64_t until_ms) = 0;
  // The server's next line. Errors as above.
  virtual Result<Line> receive(std::int64_t until_ms) = 0;
};

}  // namespace taper::upstream
