#include "store/audit_verify.h"

#include "runtime/base/assert.h"
#include "runtime/base/text.h"
#include "store/log_file.h"
#include "store/log_tree.h"

namespace taper::store {
namespace {

constexpr std::uint64_t kFirstRecords = 2;  // incarnation, log key 0

struct TypeName {
  LeafType type;
  std::string_view name;
};
constexpr TypeName kTypeNames[] = {
    {LeafType::incarnation, "incarnation"}, {LeafType::log_key, "log_key"},
    {LeafType::import, "import"},           {LeafType::activation, "activation"},
    {LeafType::decision, "decision"},       {LeafType::outcome, "outcome"},
    {LeafType::ending, "ending"},           {LeafType::terminal, "terminal"},
    {LeafType::refusals, "refusals"},       {LeafType::evidence, "evidence"},
    {LeafType::recovery, "recovery"},       {LeafType::reading, "reading"},
};

LogRecord to_record(std::uint64_t number, ByteSpan bytes) {
  ByteReader reader(bytes);
  reader.u8();
  LogRecord record;
  record.number = number;
  record.type = reader.u16();
  record.type_name = "unknown";
  record.body = as_text(reader.take(reader.left()));
  for (const TypeName& known : kTypeNames) {
    if (record.type == static_cast<std::uint16_t>(known.type)) record.type_name = known.name;
  }
  return record;
}

Error record_wrong(std::uint64_t number, std::string_view expected) {
  return Error(Code::log_record_wrong,
               {"record " + std::to_string(number), std::string(expected), "", ""});
}
Error chain_broken(std::uint64_t epoch, std::string_view expected) {
  return Error(Code::log_key_chain,
               {"log key " + std::to_string(epoch), std::string(expected), "", ""});
}

// Walks the records once, checking each checkpoint as its last record passes.
class Verifier {
 public:
  Verifier(const LogFile& log, const LogTrust& trust)
      : log_(log), trust_(trust), reader_(log.record_bytes), key_(trust.log_key_0) {}

  Result<VerifiedLog> run() {
    TAPER_CHECK(check_identity());
    TAPER_CHECK(check_sizes());
    for (std::uint64_t number = 0; number < log_.records; ++number) {
      const ByteSpan record = take_record(reader_);
      TAPER_ASSERT(reader_.ok());
      TAPER_CHECK(check_record(number, record));
      tree_.append(leaf_hash(record));
      TAPER_CHECK(check_head());
    }
    TAPER_CHECK(check_final());
    VerifiedLog verified;
    verified.records = log_.records;
    verified.epochs = epoch_ + 1;
    verified.root = log_.final.root;
    verified.recency_proven = trust_.nonce.has_value();
    return verified;
  }

 private:
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

  Status check_sizes() const {
    std::uint64_t before = kFirstRecords - 1;
    for (const SignedHead& head : log_.heads) {
      if (head.size <= before) return malformed_log("checkpoint sizes");
      before = head.size;
    }
    if (log_.heads.empty() || before != log_.records) return malformed_log("checkpoint sizes");
    return success();
  }

  Status check_record(std::uint64_t number, ByteSpan record) {
    const auto matches = [record](LeafType type, const std::string& body) {
      const Bytes expected = record_bytes(type, body);
      return as_text(record) == as_text(expected);
    };
    const auto type = static_cast<LeafType>(to_record(number, record).type);
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
    if (next_key_ || head_ >= log_.heads.size() || log_.heads[head_].size != number + 1) {
      return chain_broken(epoch_ + 1, "the last record of a checkpoint");
    }
    // The key stands at a fixed place before the end: ..."}.
    const std::string_view body = to_record(number, record).body;
    constexpr std::size_t kTail = 2;
    constexpr std::size_t kKeyDigits = 2 * PublicKey::kSize;
    if (body.size() < kKeyDigits + kTail) return chain_broken(epoch_ + 1, "a key");
    next_key_ = PublicKey::from_hex(body.substr(body.size() - kKeyDigits - kTail, kKeyDigits));
    if (!next_key_ || body != log_key_body(epoch_ + 1, *next_key_)) {
      return chain_broken(epoch_ + 1, "the next epoch and its key");
    }
    return success();
  }

  Status check_head() {
    if (head_ >= log_.heads.size() || log_.heads[head_].size != tree_.size()) return success();
    const SignedHead& head = log_.heads[head_];
    if (head.root != tree_.root()) {
      return Error(Code::log_record_wrong, {"checkpoint " + std::to_string(head_),
                                            to_hex(head.root.bytes), tree_.root().hex(), ""});
    }
    if (!verify_head(key_, log_.origin, head, epoch_)) {
      return Error(Code::log_signature_wrong, {"checkpoint " + std::to_string(head_), "", "", ""});
    }
    ++head_;
    if (!next_key_ && head_ < log_.heads.size()) return chain_broken(epoch_ + 1, "announced");
    if (next_key_) {
      key_ = *next_key_;
      next_key_.reset();
      ++epoch_;
    }
    return success();
  }

  Status check_final() const {
    const FinalStatement& final = log_.final;
    if (final.root != tree_.root()) {
      return Error(Code::log_record_wrong,
                   {"last statement", final.root.hex(), tree_.root().hex(), ""});
    }
    const std::string text =
        export_text(log_.origin, log_.records, final.root, trust_.incarnation, final.nonce);
    if (!crypto::verify(key_, crypto::statement::kLogExport, as_bytes(text), final.signature)) {
      return Error(Code::log_signature_wrong, {"last statement", "", "", ""});
    }
    return success();
  }

  const LogFile& log_;
  const LogTrust& trust_;
  ByteReader reader_;
  LogTree tree_;
  PublicKey key_;
  std::optional<PublicKey> next_key_;  // announced, in use after the next checkpoint
  std::uint64_t epoch_ = 0;
  std::size_t head_ = 0;
};

}  // namespace

Result<VerifiedLog> verify_log(ByteSpan file, const LogTrust& trust) {
  TAPER_TRY(const LogFile log, parse_log_file(file));
  return Verifier(log, trust).run();
}

Status read_log(ByteSpan file, const std::function<void(const LogRecord&)>& visit) {
  TAPER_TRY(const LogFile log, parse_log_file(file));
  ByteReader reader(log.record_bytes);
  for (std::uint64_t number = 0; number < log.records; ++number) {
    visit(to_record(number, take_record(reader)));
  }
  return success();
}

}  // namespace taper::store
