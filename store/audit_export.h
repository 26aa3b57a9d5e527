// Exporting the audit log for the centre. docs/formats/log.md
#pragma once

#include <optional>

#include "store/store.h"

namespace taper::store {

// The whole log as one file: every record's exact bytes, the last checkpoint of each log key, and a
// last statement {origin, size, root, incarnation, nonce} signed by the current log key. Needs the
// state's directory for log.seed (readable by its owner only). Works beside another owner and
// whatever the time or trust state is.
Result<Bytes> export_log(const std::string& directory, const std::string& origin,
                         const std::optional<Nonce>& nonce);

}  // namespace taper::store
