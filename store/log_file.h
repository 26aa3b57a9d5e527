// Private: the framing of an exported log, docs/formats/log.md. There is one encoding of every log
// and no byte without a meaning.
//   "TPA1" · u32+origin · u32 heads · heads · u64 records · (u32+record)… · u8 nonce? · [nonce] ·
//   root · signature · end of file
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "store/log_statements.h"

namespace taper::store {

struct FinalStatement {
  std::optional<Nonce> nonce;
  TreeHash root;
  crypto::Signature signature{};
};

// A file whose framing has been read to its last byte; nothing in it is believed yet.
struct LogFile {
  std::string_view origin;
  std::vector<SignedHead> heads;  // by epoch, from 0
  std::uint64_t records = 0;
  ByteSpan record_bytes;  // framed; take them with take_record
  FinalStatement final;
};

// Errors: too_large, log_malformed.
Result<LogFile> parse_log_file(ByteSpan file);
// At least kRecordHeadBytes long; check the reader afterwards.
ByteSpan take_record(ByteReader& reader);

// Writes in the order of the file: heads, then records, then the end.
class LogFileWriter {
 public:
  LogFileWriter(std::string_view origin, const std::vector<SignedHead>& heads,
                std::uint64_t records);
  void add(ByteSpan record) { out_.block(record); }
  std::size_t size() const { return out_.bytes().size(); }
  Bytes finish(const FinalStatement& final) &&;

 private:
  ByteWriter out_;
};

Error malformed_log(std::string_view field);

}  // namespace taper::store
