#include "store/auditor/witness.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "crypto/crypto.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "store/log_statements.h"
#include "store/log_tree.h"

namespace taper::store {
namespace {

constexpr std::string_view kTitle = "taper-witness v2";
constexpr std::string_view kEvidenceTitle = "taper-fork-evidence v2";
// "epoch ", a root, a signature and a key: no line of a memory about a checkpoint is shorter, so a
// log of more checkpoints than this finds no room in one.
constexpr std::size_t kHeadLineBytesMin = 6 + 2 * (32 + 64 + 32);
constexpr std::size_t kHeadsMax = limits::kWitnessFileBytesMax / kHeadLineBytesMin;

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
  for (const Nonce& nonce : seen.answered) line += "\nanswered " + nonce.hex();
  return line + "\n";
}

std::string signed_part(std::string_view title, std::int64_t time_s, const std::string& text,
                        ByteSpan signature, const PublicKey& key) {
  return std::string(title) + " " + format_utc_s(time_s) + "\n" + text +
         "signature: " + to_hex(signature) + "\nkey: " + key.hex() + "\n";
}

std::string evidence_of(std::string_view title, std::string_view origin, const EpochHead& head,
                        std::int64_t time_s) {
  return signed_part(title, time_s, checkpoint_text(origin, head.size, head.root, head.epoch),
                     head.signature, head.key);
}

Error refusal(Code code, const EpochHead& ours, std::uint64_t size, const TreeHash& root) {
  return Error(code,
               {"epoch " + std::to_string(ours.epoch) + ", record " + std::to_string(ours.size - 1),
                std::to_string(ours.size) + " records with root " + ours.root.hex(),
                std::to_string(size) + " with " + root.hex(), ""});
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
    } else if (kind == "answered") {
      if (seen_.empty()) return malformed("answered");
      seen_.back().answered.push_back(words.id<Nonce>());
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

std::string WitnessMemory::evidence_against(Code code, const EpochHead& ours) const {
  return std::string(kEvidenceTitle) + "\nreason: E" + std::to_string(describe(code).number) + " " +
         describe(code).name + "\n" + evidence_of("seen", origin_, ours, time_of(ours));
}

Error WitnessMemory::refuse(Code code, const EpochHead& ours, const EpochHead& theirs,
                            std::int64_t now_s, std::string& evidence) const {
  evidence = evidence_against(code, ours) + evidence_of("offered", origin_, theirs, now_s);
  return refusal(code, ours, theirs.size, theirs.root);
}

// Their last statement: it alone shows that they said so after the nonce was made, and a file
// without records has no checkpoint.
Error WitnessMemory::refuse_shorter(const Offered& offered, std::string& evidence) const {
  constexpr Code kCode = Code::witness_size_regression;
  const VerifiedLog& log = offered.log;
  const EpochHead& ours = seen_.back().head;
  // Only what answers a nonce is no old export.
  if (offered.nonce) {
    evidence =
        evidence_against(kCode, ours) +
        signed_part("offered", offered.now_s,
                    export_text(origin_, log.records, log.root, trust_.incarnation, offered.nonce),
                    log.signature, log.end.key);
  }
  return refusal(kCode, ours, log.records, log.root);
}

// Of a complete epoch there is one checkpoint, for ever.
Status WitnessMemory::compare_epochs(const Offered& offered, std::string& evidence) const {
  for (const EpochHead& theirs : offered.heads) {
    if (!theirs.complete || theirs.epoch >= epochs_.size()) continue;
    const EpochHead& ours = epochs_[static_cast<std::size_t>(theirs.epoch)];
    if (ours.size == theirs.size && ours.root == theirs.root) continue;
    return refuse(Code::witness_forked_epoch, ours, theirs, offered.now_s, evidence);
  }
  return success();
}

Status WitnessMemory::compare(const Offered& offered, std::string& evidence) const {
  const VerifiedLog& log = offered.log;
  TAPER_CHECK(compare_epochs(offered, evidence));
  for (const LogPosition& there : log.marked) {
    const Seen& ours = *seen_at(there.size);
    if (there.root() == ours.head.root) continue;
    // A file has this root of its own only where its records lead there, under a checkpoint.
    const auto theirs = std::ranges::find_if(
        offered.heads, [&there](const EpochHead& head) { return head.size >= there.size; });
    TAPER_ASSERT(theirs != offered.heads.end());
    return refuse(
        there.size == log.records ? Code::witness_root_mismatch : Code::witness_inconsistent,
        ours.head, *theirs, offered.now_s, evidence);
  }
  if (seen_.empty() || log.records >= seen_.back().at.size) return success();
  const Seen* then = seen_at(log.records);
  // An old state answers a new nonce as well as a whole one does. What came before may come again:
  // without a nonce as the old file it is, with one only as that one's answer.
  const bool again =
      then != nullptr &&
      (!offered.nonce || std::ranges::find(then->answered, *offered.nonce) != then->answered.end());
  if (again) return success();
  return refuse_shorter(offered, evidence);
}

void WitnessMemory::remember(const Offered& offered) {
  const VerifiedLog& log = offered.log;
  for (const EpochHead& head : offered.heads) {
    if (head.complete && head.epoch == epochs_.size()) epochs_.push_back(head);
  }
  if (seen_.empty() || seen_.back().at.size < log.records)
    seen_.push_back({log.end, offered.heads.back(), offered.now_s});
  std::vector<Nonce>& answered = seen_.back().answered;
  const bool newest = seen_.back().at.size == log.records;
  if (newest && offered.nonce && std::ranges::find(answered, *offered.nonce) == answered.end())
    answered.push_back(*offered.nonce);
}

Result<WitnessMemory::Look> WitnessMemory::look(ByteSpan file, const std::optional<Nonce>& nonce,
                                                std::int64_t now_s, const VerifyOptions& options,
                                                std::string& evidence) {
  evidence.clear();
  TAPER_TRY(const LogFront front, read_log_front(file));
  LogTrust trust = trust_;
  trust.nonce = nonce;
  // A whole log passes through the ends that were seen: they are its marks.
  if (const Seen* before = seen_at(front.first))
    trust.after = before->at;
  else if (!seen_.empty() && front.first != 0)
    trust.after = seen_.back().at;
  Offered offered{.log = {}, .heads = {}, .nonce = nonce, .now_s = now_s};
  VerifyOptions asked{
      .passed = options.passed, .head = [&offered](const EpochHead& head) -> Status {
        offered.heads.push_back(head);
        if (offered.heads.size() <= kHeadsMax) return success();
        return Error(Code::too_large, {"checkpoints", std::to_string(kHeadsMax), "more", ""});
      }};
  for (const Seen& seen : seen_) asked.marks.push_back(seen.at.size);
  TAPER_TRY(offered.log, verify_log(file, trust, asked));
  TAPER_CHECK(compare(offered, evidence));
  Look look;
  look.sight = seen_.empty() ? Sight::first : Sight::grown;
  if (seen_at(offered.log.records) != nullptr) look.sight = Sight::nothing;
  remember(offered);
  look.log = std::move(offered.log);
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
