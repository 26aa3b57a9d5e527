// Checking a receipt with nothing but the node's record. docs/formats/receipt.md
#pragma once

#include "store/audit_verify.h"

namespace taper::store {

// What a receipt proves: the node's log had this record at this place when the log key of `epoch`
// signed. The texts point into the file.
struct CheckedReceipt {
  LogRecord record;
  std::uint64_t epoch = 0;
  std::uint64_t size = 0;  // records under the checkpoint
  TreeHash root;
};
// Errors: too_large, receipt_malformed, receipt_wrong, log_other_node.
Result<CheckedReceipt> check_receipt(ByteSpan file, const LogTrust& trust);

}  // namespace taper::store
