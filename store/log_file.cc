#include "store/log_file.h"

#include <algorithm>

#include "runtime/base/limits.h"

namespace taper::store {
namespace {

constexpr std::string_view kMagic = "TPA1";
constexpr std::string_view kMagicAbove = "TPA2";
constexpr std::string_view kMagicGoesOn = "TPA3";
constexpr std::uint64_t kPassedRecords = 65536;

FinalStatement take_final(ByteReader& reader) {
  FinalStatement final;
  const std::uint8_t has_nonce = reader.u8();
  if (has_nonce == 1) final.nonce = Nonce::from(reader.take(Nonce::kSize));
  final.root = TreeHash::from(reader.take(TreeHash::kSize)).value_or(TreeHash{});
  const ByteSpan signature = reader.take(final.signature.size());
  // A flag of 2 and more leaves no reader that is done.
  if (has_nonce > 1) reader.take(reader.left() + 1);
  std::copy(signature.begin(), signature.end(), final.signature.begin());
  return final;
}

Result<LogFile> take_front(ByteReader& reader) {
  LogFile log;
  const std::string_view magic = as_text(reader.take(kMagic.size()));
  log.goes_on = magic == kMagicGoesOn;
  if (magic != kMagic && magic != kMagicAbove && !log.goes_on) return malformed_log("magic");
  log.origin = as_text(reader.block(limits::kLogOriginBytesMax));
  if (magic != kMagic) {
    log.start.record = reader.u64();
    log.start.epoch = reader.u64();
    const bool beginning = log.goes_on && log.start.record == 0 && log.start.epoch == 0;
    if (log.start.record < kFirstBoundary && !beginning) return malformed_log("first record");
  }
  log.head_bytes = reader.take(std::size_t{reader.u32()} * kSignedHeadBytes);
  if (!reader.ok()) return malformed_log("checkpoints");
  log.records = reader.u64();
  return log;
}

}  // namespace

Error malformed_log(std::string_view field) {
  return Error(Code::log_malformed, {std::string(field), "", "", ""});
}

ByteSpan take_record(ByteReader& reader) {
  const ByteSpan record = reader.block(limits::kAuditRecordBytesMax);
  if (record.size() < kRecordHeadBytes) reader.take(reader.left() + 1);
  return record;
}

SignedHead LogFile::head(std::size_t index) const {
  ByteReader reader(head_bytes.subspan(index * kSignedHeadBytes, kSignedHeadBytes));
  return take_signed_head(reader);
}

Result<LogFile> parse_log_front(ByteSpan file) {
  ByteReader reader(file);
  TAPER_TRY(LogFile log, take_front(reader));
  if (!reader.ok()) return malformed_log("records");
  return log;
}

Result<LogFile> parse_log_file(ByteSpan file, const Passed& passed) {
  if (file.size() > limits::kLogFileBytesMax) {
    return Error(Code::too_large, {"log", std::to_string(limits::kLogFileBytesMax),
                                   std::to_string(file.size()), ""});
  }
  ByteReader reader(file);
  TAPER_TRY(LogFile log, take_front(reader));
  const std::size_t start = file.size() - reader.left();
  for (std::uint64_t i = 0; i < log.records && reader.ok(); ++i) {
    take_record(reader);
    if (passed && i % kPassedRecords == 0) passed(file.first(file.size() - reader.left()));
  }
  if (!reader.ok()) return malformed_log("records");
  log.record_bytes = file.subspan(start, file.size() - reader.left() - start);
  if (!log.goes_on) log.final = take_final(reader);
  if (!reader.done()) return malformed_log("end");
  return log;
}

LogFileWriter::LogFileWriter(std::string_view origin, const std::vector<SignedHead>& heads,
                             std::uint64_t records, const LogStart& start, bool goes_on) {
  const std::string_view to_the_end = start.record == 0 ? kMagic : kMagicAbove;
  const std::string_view magic = goes_on ? kMagicGoesOn : to_the_end;
  out_.raw(as_bytes(magic)).text(origin);
  if (magic != kMagic) out_.u64(start.record).u64(start.epoch);
  out_.u32(static_cast<std::uint32_t>(heads.size()));
  for (const SignedHead& head : heads) out_.raw(encode(head));
  out_.u64(records);
}

Bytes LogFileWriter::finish(const std::optional<FinalStatement>& final) && {
  if (!final) return std::move(out_).bytes();
  out_.u8(final->nonce ? 1 : 0);
  if (final->nonce) out_.raw(final->nonce->span());
  out_.raw(final->root.span()).raw(final->signature);
  return std::move(out_).bytes();
}

}  // namespace taper::store
