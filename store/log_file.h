// Private: the framing of an exported log, docs/formats/log.md. There is one encoding of every log
// and no byte without a meaning.
//   "TPA1" · u32+origin · u32 heads · heads · u64 records · (u32+record)… · u8 nonce? · [nonce] ·
//   root · signature · end of file
// A file that begins above record 0 is "TPA2" and has {first record u64, first epoch u64} behind
// its origin. So has "TPA3", which ends where an epoch is complete and before the log does: right
// behind its records, since nobody is left who could sign for that place.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/base/limits.h"
#include "store/log_statements.h"

namespace taper::store {

struct FinalStatement {
  std::optional<Nonce> nonce;
  TreeHash root;
  crypto::Signature signature{};
};

inline constexpr std::uint64_t kFirstBoundary = 2;  // incarnation and log key 0: no head has less

// Where a file's records begin: the number of the first, and the epoch of the first checkpoint
// above it. A whole log begins at {0, 0}; no file begins at record 1.
struct LogStart {
  std::uint64_t record = 0;
  std::uint64_t epoch = 0;
};

// A file whose framing has been read to its last byte; nothing in it is believed yet.
struct LogFile {
  std::string_view origin;
  LogStart start;
  ByteSpan head_bytes;  // by epoch, from start.epoch; not decoded, so that they cost no memory
  std::uint64_t records = 0;  // in this file
  ByteSpan record_bytes;      // framed; take them with take_record
  bool goes_on = false;       // the log, behind this file
  FinalStatement final;       // of a file that reaches the log's end

  std::size_t heads() const { return head_bytes.size() / kSignedHeadBytes; }
  SignedHead head(std::size_t index) const;  // below heads()
};

// Without the records and what is behind them. Error: log_malformed.
Result<LogFile> parse_log_front(ByteSpan file);
// Told, now and then, that bytes at the front of what is read were looked at.
using Passed = std::function<void(ByteSpan)>;
// Errors: too_large, log_malformed.
Result<LogFile> parse_log_file(ByteSpan file, const Passed& passed = {});
// At least kRecordHeadBytes long; check the reader afterwards.
ByteSpan take_record(ByteReader& reader);

// Writes in the order of the file: heads, then records, then the end, which is nothing where the
// log goes on.
class LogFileWriter {
 public:
  LogFileWriter(std::string_view origin, const std::vector<SignedHead>& heads,
                std::uint64_t records, const LogStart& start = {}, bool goes_on = false);
  void add(ByteSpan record) { out_.block(record); }
  Bytes finish(const std::optional<FinalStatement>& final) &&;
  // Of all but records and heads, at most.
  static constexpr std::size_t kFrameBytesMax = limits::kLogOriginBytesMax + 256;

 private:
  ByteWriter out_;
};

Error malformed_log(std::string_view field);

}  // namespace taper::store
