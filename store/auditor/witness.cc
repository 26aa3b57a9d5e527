#include "store/auditor/witness.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "store/log_statements.h"
#include "store/log_tree.h"

namespace taper::store {
namespace {

constexpr std::string_view kTitle = "taper-witness v1";
constexpr std::string_view kEvidenceTitle = "taper-fork-evidence v1";

Error malformed(std::string_view field) {
  return Error(Code::witness_malformed, {std::string(field), "", "", ""});
}

std::string origin_of(const PublicKey& node, const Incarnation& incarnation) {
  return "taper/" + node.hex() + "/" + incarnation.hex();
}

// Words of one line, parted by one space each.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view next() {
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return word;
  }
  template <class Number>
  Number number() {
    const std::string_view word = next();
    Number value{};
    const auto read = std::from_chars(word.data(), word.data() + word.size(), value);
    ok_ = ok_ && read.ec == std::errc() && read.ptr == word.data() + word.size();
    return value;
  }
  template <class Id>
  Id id() {
    const std::optional<Id> value = Id::from_hex(next());
    ok_ = ok_ && value;
    return value.value_or(Id{});
  }
  crypto::Signature signature() {
    crypto::Signature out{};
    const std::optional<Bytes> bytes = from_hex(next());
    ok_ = ok_ && bytes && bytes->size() == out.size();
    if (ok_) std::copy(bytes->begin(), bytes->end(), out.begin());
    return out;
  }
  bool left() const { return !rest_.empty(); }
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::string head_words(const EpochHead& head) {
  return std::to_string(head.epoch) + " " + std::to_string(head.size) + " " + head.root.hex() +
         " " + to_hex(head.signature) + " " + head.key.hex();
}

EpochHead take_head(Words& words) {
  EpochHead head;
  head.epoch = words.number<std::uint64_t>();
  head.size = words.number<std::uint64_t>();
  head.root = words.id<TreeHash>();
  head.signature = words.signature();
  head.key = words.id<PublicKey>();
  return head;
}

std::string seen_line(const Seen& seen) {
  std::string line = "seen " + std::to_string(seen.time_s) + " " +
                     (seen.head.complete ? "complete " : "open ") + head_words(seen.head) + " " +
                     seen.at.key.hex();
  for (const TreeHash& peak : seen.at.peaks) line += " " + peak.hex();
  return line + "\n";
}

// The checkpoint that covers the first `size` records.
const EpochHead& head_over(const VerifiedLog& log, std::uint64_t size) {
  const auto found =
      std::ranges::find_if(log.heads, [size](const EpochHead& head) { return head.size >= size; });
  return found == log.heads.end() ? log.heads.back() : *found;
}

std::string evidence_of(std::string_view title, std::string_view origin, const EpochHead& head,
                        std::int64_t time_s) {
  return std::string(title) + " " + format_utc_s(time_s) + "\n" +
         checkpoint_text(origin, head.size, head.root, head.epoch) +
         "signature: " + to_hex(head.signature) + "\nkey: " + head.key.hex() + "\n";
}

}  // namespace

WitnessMemory::WitnessMemory(const PublicKey& node, const Incarnation& incarnation,
                             const PublicKey& log_key_0)
    : origin_(origin_of(node, incarnation)), trust_{node, incarnation, log_key_0} {}

Result<std::string> WitnessMemory::text() const {
  std::string out = std::string(kTitle) + "\nnode " + trust_.node.hex() + " " +
                    trust_.incarnation.hex() + " " + trust_.log_key_0.hex() + "\n";
  for (const EpochHead& head : epochs_) out += "epoch " + head_words(head) + "\n";
  for (const Seen& seen : seen_) out += seen_line(seen);
  out += "check " + crypto::hash(as_bytes(out)).hex() + "\n";
  if (out.size() <= limits::kWitnessFileBytesMax) return out;
  return Error(Code::too_large, {"memory", std::to_string(limits::kWitnessFileBytesMax),
                                 std::to_string(out.size()), ""});
}

Result<WitnessMemory> WitnessMemory::parse(std::string_view text) {
  WitnessMemory memory;
  if (text.size() > limits::kWitnessFileBytesMax) return malformed("size");
  TAPER_CHECK(memory.take_lines(text));
  // There is one text of every memory, and its last line is made of all before.
  const Result<std::string> again = memory.text();
  if (!again.ok() || *again != text) return malformed("check");
  return memory;
}

Status WitnessMemory::take_lines(std::string_view text) {
  std::uint64_t number = 0;
  for (; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Words words(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view kind = words.next();
    if (number == 0) continue;  // the title, which the whole is compared with
    if (number == 1) {
      const auto node = words.id<PublicKey>();
      const auto incarnation = words.id<Incarnation>();
      *this = WitnessMemory(node, incarnation, words.id<PublicKey>());
    } else if (kind == "epoch") {
      EpochHead head = take_head(words);
      head.complete = true;
      if (head.epoch != epochs_.size()) return malformed("epochs");
      epochs_.push_back(head);
    } else if (kind == "seen") {
      Seen seen{};
      seen.time_s = words.number<std::int64_t>();
      const bool complete = words.next() == "complete";
      seen.head = take_head(words);
      seen.head.complete = complete;
      const auto key = words.id<PublicKey>();
      seen.at = {seen.head.size, {}, seen.head.epoch + (complete ? 1 : 0), key};
      while (words.left() && words.ok()) seen.at.peaks.push_back(words.id<TreeHash>());
      if (std::cmp_not_equal(std::popcount(seen.at.size), seen.at.peaks.size()) ||
          seen.at.root() != seen.head.root ||
          (!seen_.empty() && seen_.back().at.size >= seen.at.size))
        return malformed("seen");
      seen_.push_back(std::move(seen));
    }
    if (!words.ok()) return malformed("line " + std::to_string(number + 1));
  }
  return success();
}

const Seen* WitnessMemory::seen_at(std::uint64_t size) const {
  const auto found =
      std::ranges::find_if(seen_, [size](const Seen& seen) { return seen.at.size == size; });
  return found == seen_.end() ? nullptr : &*found;
}

std::int64_t WitnessMemory::time_of(const EpochHead& head) const {
  const auto found =
      std::ranges::find_if(seen_, [&head](const Seen& seen) { return seen.at.size >= head.size; });
  return found == seen_.end() ? 0 : found->time_s;
}

Error WitnessMemory::refuse(Code code, const EpochHead& ours, std::int64_t seen_s,
                            const EpochHead& theirs, std::int64_t now_s,
                            std::string& evidence) const {
  evidence = std::string(kEvidenceTitle) + "\nreason: E" + std::to_string(describe(code).number) +
             " " + describe(code).name + "\n" + evidence_of("seen", origin_, ours, seen_s) +
             evidence_of("offered", origin_, theirs, now_s);
  return Error(code,
               {"epoch " + std::to_string(ours.epoch) + ", record " + std::to_string(ours.size - 1),
                std::to_string(ours.size) + " records with root " + ours.root.hex(),
                std::to_string(theirs.size) + " with " + theirs.root.hex(), ""});
}

// Of a complete epoch there is one checkpoint, for ever.
Status WitnessMemory::compare_epochs(const VerifiedLog& log, std::int64_t now_s,
                                     std::string& evidence) const {
  for (const EpochHead& theirs : log.heads) {
    if (!theirs.complete || theirs.epoch >= epochs_.size()) continue;
    const EpochHead& ours = epochs_[static_cast<std::size_t>(theirs.epoch)];
    if (ours.size == theirs.size && ours.root == theirs.root) continue;
    return refuse(Code::witness_forked_epoch, ours, time_of(ours), theirs, now_s, evidence);
  }
  return success();
}

Status WitnessMemory::compare(const VerifiedLog& log, std::int64_t now_s,
                              std::string& evidence) const {
  TAPER_CHECK(compare_epochs(log, now_s, evidence));
  for (const LogPosition& there : log.marked) {
    const Seen& ours = *seen_at(there.size);
    if (there.root() == ours.head.root) continue;
    const bool same_size = there.size == log.records;
    return refuse(same_size ? Code::witness_root_mismatch : Code::witness_inconsistent, ours.head,
                  ours.time_s, head_over(log, there.size), now_s, evidence);
  }
  if (seen_.empty() || log.records >= seen_.back().at.size || seen_at(log.records) != nullptr)
    return success();
  const Error shorter = refuse(Code::witness_size_regression, seen_.back().head,
                               seen_.back().time_s, log.heads.back(), now_s, evidence);
  // Only what answers a nonce is no old export.
  if (!log.recency_proven) evidence.clear();
  return shorter;
}

Result<WitnessMemory::Look> WitnessMemory::look(ByteSpan file, const std::optional<Nonce>& nonce,
                                                std::int64_t now_s, const VerifyOptions& options,
                                                std::string& evidence) {
  evidence.clear();
  TAPER_TRY(const LogFront front, read_log_front(file));
  LogTrust trust = trust_;
  trust.nonce = nonce;
  if (const Seen* before = seen_at(front.first))
    trust.after = before->at;
  else if (!seen_.empty())
    trust.after = seen_.back().at;
  VerifyOptions asked{{}, options.passed};
  for (const Seen& seen : seen_) asked.marks.push_back(seen.at.size);
  Look look;
  TAPER_TRY(look.log, verify_log(file, trust, asked));
  TAPER_CHECK(compare(look.log, now_s, evidence));
  if (seen_at(look.log.records) != nullptr) {
    look.sight = Sight::nothing;
    return look;
  }
  look.sight = seen_.empty() ? Sight::first : Sight::grown;
  for (const EpochHead& head : look.log.heads) {
    if (head.complete && head.epoch == epochs_.size()) epochs_.push_back(head);
  }
  seen_.push_back({look.log.end, look.log.heads.back(), now_s});
  return look;
}

std::string cosigned_note(std::string_view origin, const EpochHead& head,
                          const crypto::SigningKey& witness, std::int64_t time_s) {
  const std::string text = checkpoint_text(origin, head.size, head.root, head.epoch);
  const std::string time = std::to_string(time_s);
  const std::string statement = "cosignature/v1\ntime " + time + "\n" + text;
  const crypto::Signature signature =
      witness.sign(crypto::statement::kCosignature, as_bytes(statement));
  return text + "\nlog " + head.key.hex() + " " + to_hex(head.signature) + "\nwitness " +
         witness.public_key().hex() + " " + time + " " + to_hex(signature) + "\n";
}

}  // namespace taper::store
