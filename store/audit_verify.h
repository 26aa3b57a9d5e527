// Verifying an exported log with nothing but the node's record: the auditor's side.
// docs/formats/log.md
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::store {

struct LogTrust {
  PublicKey node;
  Incarnation incarnation;
  PublicKey log_key_0;
  std::optional<Nonce> nonce;  // the centre's, when it asked with one
};

struct VerifiedLog {
  std::uint64_t records = 0;
  std::uint64_t epochs = 0;  // log keys seen
  TreeHash root;
  bool recency_proven = false;  // it answers `LogTrust::nonce`
};

// Recomputes every leaf and the tree from the exact bytes, follows the chain of log keys without a
// gap, checks each checkpoint with the key of its epoch, and the last statement with the last key.
// Any changed, missing, swapped or added byte is refused. Errors: too_large, log_malformed,
// log_record_wrong, log_signature_wrong, log_key_chain, log_other_node, log_nonce.
Result<VerifiedLog> verify_log(ByteSpan file, const LogTrust& trust);

struct LogRecord {
  std::uint64_t number = 0;
  std::uint16_t type = 0;      // LeafType
  std::string_view type_name;  // "decision"; "unknown" for a newer type
  std::string_view body;       // JSON
};
// Walks the records of a file without verifying anything. Errors: log_malformed.
Status read_log(ByteSpan file, const std::function<void(const LogRecord&)>& visit);

}  // namespace taper::store
