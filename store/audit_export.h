// Exporting the audit log for the centre. docs/formats/log.md
#pragma once

#include <optional>

#include "runtime/base/limits.h"
#include "store/store.h"

namespace taper::store {

// The log as one file, from record `from` on: every record's exact bytes, the last checkpoint of
// each log key that signed above `from`, and a last statement {origin, size, root, incarnation,
// nonce} signed by the current log key. From 0 it is the whole log, or, once something was
// released, what begins there. A file that would have more than `bytes_max` bytes ends where an
// epoch is complete, without that statement and so without the nonce; the next one begins there.
// Needs the state's directory for log.seed (readable by its owner only). Works beside another owner
// and whatever the time or trust state is. Errors: log_not_adjoining, `from` is 1, or more than
// there are; log_pruned, `from` is not kept any more; too_large, one epoch does not fit.
Result<Bytes> export_log(const std::string& directory, const std::string& origin,
                         const std::optional<Nonce>& nonce, std::uint64_t from = 0,
                         std::uint64_t bytes_max = limits::kLogFileBytesMax);

}  // namespace taper::store
