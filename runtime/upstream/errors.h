// What can go wrong with a server, as the errors that a call is answered with. Texts of the server
// are cut, and stand on one line.
#pragma once

#include <string_view>

#include "runtime/base/result.h"

namespace taper::upstream {

// upstream_broken. `where`: start, initialize, message, ended, timeout or flood.
Error broken(std::string_view where, std::string_view got);
// upstream_drift: `what` of the pinned tool, or the era, is no longer what it was.
Error drifted(std::string_view what, std::string_view expected, std::string_view got);

// At most `max` bytes of it, whole characters; sandbox::kCutMark at the end of what was longer.
std::string cut_text(std::string_view text, std::size_t max);
// The same with blanks for control characters.
std::string one_line(std::string_view text, std::size_t max);

}  // namespace taper::upstream
