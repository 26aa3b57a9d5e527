#include <algorithm>

#include "runtime/base/text.h"
#include "store/audit_verify.h"
#include "store/auditor/log_record.h"
#include "store/log_file.h"
#include "store/log_tree.h"

namespace taper::store {
namespace {

constexpr std::uint64_t kPassedRecords = 65536;

Error record_wrong(std::uint64_t number, std::string_view expected) {
  return Error(Code::log_record_wrong,
               {"record " + std::to_string(number), std::string(expected), "", ""});
}
Error chain_broken(std::uint64_t epoch, std::string_view expected) {
  return Error(Code::log_key_chain,
               {"log key " + std::to_string(epoch), std::string(expected), "", ""});
}

// A second whole log would not be compared with the first: it continues nothing.
LogPosition start_of(const LogTrust& trust) {
  return trust.after.value_or(LogPosition{0, {}, 0, trust.log_key_0});
}

// Walks the records once, checking each checkpoint as its last record passes.
class Verifier {
 public:
  Verifier(const LogFile& log, ByteSpan file, const LogTrust& trust, const VerifyOptions& options)
      : log_(log), file_(file), trust_(trust), options_(options), reader_(log.record_bytes) {}

  Result<VerifiedLog> run() {
    TAPER_CHECK(check_identity());
    TAPER_CHECK(begin());
    TAPER_CHECK(check_sizes());
    for (std::uint64_t i = 0; i < log_.records; ++i) {
      const ByteSpan record = take_record(reader_);
      if (!reader_.ok()) return malformed_log("records");
      TAPER_CHECK(check_record(log_.start.record + i, record));
      tree_.append(leaf_hash(record));
      TAPER_CHECK(check_head());
      note_mark();
      if (i % kPassedRecords == 0) pass(record.data() + record.size());
    }
    TAPER_CHECK(log_.goes_on ? check_goes_on() : check_final());
    out_.records = tree_.size();
    out_.epochs = epoch_ + 1;
    out_.root = tree_.root();
    out_.goes_on = log_.goes_on;
    out_.recency_proven = trust_.nonce.has_value();
    out_.end = position();
    out_.signature = log_.final.signature;
    return std::move(out_);
  }

 private:
  void pass(const std::uint8_t* at) const {
    if (options_.passed) options_.passed(file_.first(static_cast<std::size_t>(at - file_.data())));
  }
  // The checkpoint that is looked for next; of size 0, which no tree has then: there is none.
  void take_due() { due_ = head_ < log_.heads() ? log_.head(head_) : SignedHead{}; }

  LogPosition position() const { return {tree_.size(), tree_.peaks(), epoch_, key_}; }

  Status begin() {
    const LogPosition start = start_of(trust_);
    if (start.size != log_.start.record || start.epoch != log_.start.epoch) {
      return Error(Code::log_not_adjoining, {"first record", std::to_string(start.size),
                                             std::to_string(log_.start.record), ""});
    }
    tree_ = LogTree(start.size, start.peaks);
    epoch_ = start.epoch;
    key_ = start.key;
    covered_ = start.size;
    out_.first = start.size;
    note_mark();
    return success();
  }

  void note_mark() {
    while (mark_ < options_.marks.size() && options_.marks[mark_] < tree_.size()) ++mark_;
    if (mark_ >= options_.marks.size() || options_.marks[mark_] != tree_.size()) return;
    out_.marked.push_back(position());
    ++mark_;
  }

  Status check_identity() const {
    const std::string origin = "taper/" + trust_.node.hex() + "/" + trust_.incarnation.hex();
    if (log_.origin != origin) {
      return Error(Code::log_other_node, {"origin", origin, std::string(log_.origin), ""});
    }
    if (trust_.nonce && log_.final.nonce != trust_.nonce) {
      return Error(Code::log_nonce, {"nonce", trust_.nonce->hex(),
                                     log_.final.nonce ? log_.final.nonce->hex() : "none", ""});
    }
    return success();
  }

  Status check_sizes() {
    if (log_.heads() > log_.records) return malformed_log("checkpoint sizes");
    std::uint64_t before = std::max(log_.start.record, kFirstBoundary - 1);
    for (std::size_t i = 0; i < log_.heads(); ++i) {
      const std::uint64_t size = log_.head(i).size;
      if (size <= before) return malformed_log("checkpoint sizes");
      before = size;
      if (i % kPassedRecords == 0) pass(log_.head_bytes.data() + i * kSignedHeadBytes);
    }
    take_due();
    // A file that begins above record 0 may tell that there is nothing more.
    if (before - log_.start.record == log_.records && before >= kFirstBoundary) return success();
    return malformed_log("checkpoint sizes");
  }

  Status check_record(std::uint64_t number, ByteSpan record) {
    const auto matches = [record](LeafType type, const std::string& body) {
      const Bytes expected = record_bytes(type, body);
      return as_text(record) == as_text(expected);
    };
    const auto type = static_cast<LeafType>(to_record(number, record).type);
    if (record.front() != kRecordVersion && number > 1)
      return record_wrong(number, "a record of version " + std::to_string(kRecordVersion));
    if (number == 0) {
      const std::string body = incarnation_body(trust_.incarnation, log_.origin);
      if (!matches(LeafType::incarnation, body)) return record_wrong(number, "this incarnation");
    } else if (number == 1) {
      if (!matches(LeafType::log_key, log_key_body(0, key_))) {
        return chain_broken(0, "the key in the node's record");
      }
    } else if (type == LeafType::log_key) {
      return check_next_key(number, record);
    } else if (type == LeafType::incarnation || type == LeafType::unset) {
      return record_wrong(number, "no second incarnation");
    }
    return success();
  }

  // The next key is announced by the last record under the key before it, and only there.
  Status check_next_key(std::uint64_t number, ByteSpan record) {
    if (next_key_ || due_.size != number + 1) {
      return chain_broken(epoch_ + 1, "the last record of a checkpoint");
    }
    next_key_ = announced_key(to_record(number, record), epoch_ + 1);
    if (!next_key_) return chain_broken(epoch_ + 1, "the next epoch and its key");
    return success();
  }

  Status check_head() {
    if (due_.size != tree_.size()) return success();
    const SignedHead head = due_;
    if (head.root != tree_.root()) {
      return Error(Code::log_record_wrong, {place(), head.root.hex(), tree_.root().hex(), ""});
    }
    if (!verify_head(key_, log_.origin, head, epoch_)) {
      return Error(Code::log_signature_wrong, {place(), "", "", ""});
    }
    if (options_.head)
      TAPER_CHECK(options_.head(
          {epoch_, head.size, head.root, head.signature, key_, next_key_.has_value()}));
    covered_ = head.size;
    ++head_;
    take_due();
    if (!next_key_ && head_ < log_.heads()) return chain_broken(epoch_ + 1, "announced");
    epoch_is_complete_ = next_key_.has_value();
    if (next_key_) {
      key_ = *next_key_;
      next_key_.reset();
      ++epoch_;
    }
    return success();
  }

  // The records that a checkpoint is the first to cover.
  std::string place() const {
    return "checkpoint " + std::to_string(epoch_) + " over records " + std::to_string(covered_) +
           " to " + std::to_string(due_.size - 1);
  }

  // Only there the next file can begin with a checkpoint of its own, and nothing is left to a key
  // that is not in the log yet.
  Status check_goes_on() const {
    return epoch_is_complete_ ? success() : Status(chain_broken(epoch_ + 1, "announced"));
  }

  Status check_final() const {
    const FinalStatement& final = log_.final;
    if (final.root != tree_.root()) {
      return Error(Code::log_record_wrong,
                   {"last statement", final.root.hex(), tree_.root().hex(), ""});
    }
    const std::string text =
        export_text(log_.origin, tree_.size(), final.root, trust_.incarnation, final.nonce);
    if (!crypto::verify(key_, crypto::statement::kLogExport, as_bytes(text), final.signature)) {
      return Error(Code::log_signature_wrong, {"last statement", "", "", ""});
    }
    return success();
  }

  const LogFile& log_;
  ByteSpan file_;
  const LogTrust& trust_;
  const VerifyOptions& options_;
  ByteReader reader_;
  VerifiedLog out_;
  LogTree tree_;
  PublicKey key_;
  std::optional<PublicKey> next_key_;  // announced, in use after the next checkpoint
  bool epoch_is_complete_ = false;     // by the last checkpoint of the file's so far
  std::uint64_t epoch_ = 0;
  std::size_t head_ = 0;       // of the file's
  SignedHead due_;             // that one
  std::uint64_t covered_ = 0;  // records under the one before
  std::size_t mark_ = 0;
};

}  // namespace

TreeHash LogPosition::root() const { return LogTree(size, peaks).root(); }

Result<VerifiedLog> verify_log(ByteSpan file, const LogTrust& trust, const VerifyOptions& options) {
  TAPER_TRY(const LogFile log, parse_log_file(file, options.passed));
  return Verifier(log, file, trust, options).run();
}

Result<LogFront> read_log_front(ByteSpan file) {
  TAPER_TRY(const LogFile log, parse_log_front(file));
  return LogFront{std::string(log.origin), log.start.record, log.start.record + log.records,
                  log.goes_on};
}

Status read_log(ByteSpan file, const std::function<void(const LogRecord&)>& visit) {
  TAPER_TRY(const LogFile log, parse_log_file(file));
  ByteReader reader(log.record_bytes);
  for (std::uint64_t i = 0; i < log.records; ++i) {
    visit(to_record(log.start.record + i, take_record(reader)));
  }
  return success();
}

}  // namespace taper::store
