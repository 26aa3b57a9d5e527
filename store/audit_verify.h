// Verifying an exported log with nothing but the node's record: the auditor's side, implemented in
// store/auditor. docs/formats/log.md
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace taper::store {

// Where a reader of a log stands: after so many records, whoever signs next.
struct LogPosition {
  std::uint64_t size = 0;
  std::vector<TreeHash> peaks;  // roots of the complete subtrees, largest first
  std::uint64_t epoch = 0;
  PublicKey key;  // of that epoch

  TreeHash root() const;
};

struct LogTrust {
  PublicKey node;
  Incarnation incarnation;
  PublicKey log_key_0;
  std::optional<Nonce> nonce = {};  // the centre's, when it asked with one
  // What the file has to continue, verified before; without it the file begins at record 0.
  std::optional<LogPosition> after = {};
};

// The checkpoint that a file has of one epoch.
struct EpochHead {
  std::uint64_t epoch = 0;
  std::uint64_t size = 0;
  TreeHash root;
  std::array<std::uint8_t, 64> signature{};
  PublicKey key;          // that signed it
  bool complete = false;  // it announces the next key: no later checkpoint of this epoch exists
};

struct VerifiedLog {
  std::uint64_t first = 0;    // number of the file's first record
  std::uint64_t records = 0;  // of the log, to the end of the file
  std::uint64_t epochs = 0;   // log keys so far
  TreeHash root;
  bool recency_proven = false;  // it answers `LogTrust::nonce`
  bool goes_on = false;         // the file says that it ends before the log does
  LogPosition end;
  // Of the last statement, by the key of `end`; none where the log goes on.
  std::array<std::uint8_t, 64> signature{};
  std::vector<LogPosition> marked;  // where VerifyOptions::marks asked
};

struct VerifyOptions {
  std::vector<std::uint64_t> marks = {};  // sizes, rising
  // Told, now and then, that the bytes at the front of the file were looked at. The whole file is
  // gone over twice.
  std::function<void(ByteSpan)> passed = {};
  // Told each checkpoint that verified; its error ends the walk. They are as many as the file's
  // maker likes, so none is kept here.
  std::function<Status(const EpochHead&)> head = {};
};

// Recomputes every leaf and the tree from the exact bytes, follows the chain of log keys without a
// gap, checks each checkpoint with the key of its epoch, and the last statement with the last key.
// Any changed, missing, swapped or added byte is refused. Memory: that of one record, the tree's
// peaks and the marks; the file's bytes should not change meanwhile. Errors: those of `head`;
// too_large, log_malformed, log_record_wrong, log_signature_wrong, log_key_chain, log_other_node,
// log_nonce, log_not_adjoining.
Result<VerifiedLog> verify_log(ByteSpan file, const LogTrust& trust,
                               const VerifyOptions& options = {});

// What the front of a file says, unverified. Error: log_malformed.
struct LogFront {
  std::string origin;
  std::uint64_t first = 0;
  std::uint64_t end = 0;  // behind the file's last record
  bool goes_on = false;   // the log, there
};
Result<LogFront> read_log_front(ByteSpan file);

struct LogRecord {
  std::uint64_t number = 0;
  std::uint16_t type = 0;      // LeafType
  std::string_view type_name;  // "decision"; "unknown" for a newer type
  std::string_view body;       // JSON
};
// Walks the records of a file without verifying anything. Errors: log_malformed.
Status read_log(ByteSpan file, const std::function<void(const LogRecord&)>& visit);

}  // namespace taper::store
