// The issuer's serial counter, beside its key.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace taper::tools {

// Takes the next serial of the issuer key at `key_path` and makes it durable in KEY.serial before
// returning it, so no serial is given twice, whatever happens next. A new counter starts at
// `now_s` << 32, plus the nanoseconds of its file's own time << 2: above all that a counter lost
// before can have given, unless the clock was set back. Safe among several signers on one host.
// Errors: key_file_malformed when the counter is damaged, os_failure.
Result<std::uint64_t> take_serial(const std::string& key_path, std::int64_t now_s);

}  // namespace taper::tools
