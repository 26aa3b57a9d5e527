// Private: a record's bytes as what its readers are told.
#pragma once

#include "store/audit_verify.h"

namespace taper::store {

// At least kRecordHeadBytes long.
LogRecord to_record(std::uint64_t number, ByteSpan bytes);
// The key that a record of type log_key announces for `epoch`, if it is exactly that.
std::optional<PublicKey> announced_key(const LogRecord& record, std::uint64_t epoch);

}  // namespace taper::store
