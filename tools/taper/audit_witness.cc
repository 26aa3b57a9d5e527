#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "store/auditor/witness.h"
#include "tools/taper/audit.h"
#include "tools/taper/keys.h"
#include "tools/taper/mapped_file.h"

namespace taper::tools {
namespace {

constexpr unsigned kPrivateMode = 0600;
constexpr unsigned kPublicMode = 0644;
constexpr std::size_t kEvidenceDigits = 32;

struct Witness {
  std::string store, file, node, key, out;
  std::optional<std::string> nonce;
  PassphraseOptions passphrase;
};

// The folder of all memories; one command at a time.
class WitnessFolder {
 public:
  static Result<WitnessFolder> lock(const std::string& path) {
    for (const std::string& each : {path, path + "/forks"}) {
      if (::mkdir(each.c_str(), S_IRWXU) != 0 && errno != EEXIST)
        return os_error("mkdir " + each, errno);
    }
    WitnessFolder folder;
    folder.path_ = path;
    const std::string name = path + "/lock";
    folder.lock_ =
        Fd(::open(name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!folder.lock_) return os_error("open " + name, errno);
    if (::flock(folder.lock_.get(), LOCK_EX) != 0) return os_error("lock " + name, errno);
    return folder;
  }

  // What is known of the log that the file says it is of, or, with a record, of that node's.
  Result<store::WitnessMemory> memory(const std::string& origin,
                                      const std::optional<authority::NodeRecord>& record) const {
    const std::string named = record ? authority::log_origin(*record) : origin;
    Result<Bytes> text = read_file(path_of(named, "seen"), limits::kWitnessFileBytesMax);
    if (text.code() == Code::file_missing && record)
      return store::WitnessMemory(record->sign, record->incarnation, record->log_key_0);
    if (text.code() == Code::file_missing)
      return Error(Code::witness_unknown, {"origin", "one that was seen", origin, ""});
    if (!text.ok()) return Error(text.error());
    TAPER_TRY(store::WitnessMemory memory, store::WitnessMemory::parse(as_text(*text)));
    const bool pinned =
        memory.origin() == named && (!record || memory.log_key_0() == record->log_key_0);
    if (pinned) return memory;
    return Error(Code::log_other_node,
                 {"--node", "the record that was pinned at first sight", "another", ""});
  }

  Status save(const store::WitnessMemory& memory) const {
    TAPER_TRY(const std::string text, memory.text());
    return replace_file(path_of(memory.origin(), "seen"), as_bytes(text), kPrivateMode);
  }
  Status save_note(const store::WitnessMemory& memory, const std::string& note) const {
    return replace_file(path_of(memory.origin(), "note"), as_bytes(note), kPublicMode);
  }

  // Keeps both sides under the hash of the file that was refused, once; answers the statement's
  // name.
  Result<std::string> keep_evidence(const std::string& origin, const std::string& evidence,
                                    ByteSpan file) const {
    const std::string hash = crypto::hash(file).hex().substr(0, kEvidenceDigits);
    const std::string name = path_ + "/forks/" + stem_of(origin) + "." + hash;
    // The statement last: where it stands, the file does too.
    TAPER_CHECK(kept(create_file(name + ".tpa", file, kPrivateMode)));
    TAPER_CHECK(kept(create_file(name + ".txt", as_bytes(evidence), kPrivateMode)));
    return name + ".txt";
  }

 private:
  static Status kept(Status created) {
    return created.code() == Code::file_exists ? success() : std::move(created);
  }
  // "taper/KEY/INCARNATION" without its slashes; of anything else its hexadecimal form.
  static std::string stem_of(const std::string& origin) {
    constexpr std::string_view kFront = "taper/";
    constexpr std::size_t kKey = 2 * PublicKey::kSize;
    const std::string_view rest =
        std::string_view(origin).substr(std::min(origin.size(), kFront.size()));
    if (origin.starts_with(kFront) && rest.size() > kKey && rest[kKey] == '/' &&
        PublicKey::from_hex(rest.substr(0, kKey)) && Incarnation::from_hex(rest.substr(kKey + 1)))
      return std::string(rest.substr(0, kKey)) + "." + std::string(rest.substr(kKey + 1));
    return "unknown";
  }
  std::string path_of(const std::string& origin, const std::string& kind) const {
    return path_ + "/" + stem_of(origin) + "." + kind;
  }

  std::string path_;
  Fd lock_;
};

std::string told(const store::WitnessMemory::Look& look, std::uint64_t known) {
  const std::string size = std::to_string(look.log.records);
  if (look.sight == store::Sight::first) return "first sight: " + size + " records, pinned";
  if (look.sight == store::Sight::grown)
    return "continues what was seen: " + size + " records, " + std::to_string(known) + " before";
  if (look.log.records == known) return "nothing new: the same " + size + " records";
  return "nothing new: the " + size + " records of an earlier export, again; " +
         std::to_string(known) + " were seen";
}

std::string_view sight_word(store::Sight sight) {
  if (sight == store::Sight::first) return "first";
  return sight == store::Sight::grown ? "grown" : "nothing new";
}

Status audit_witness(const Witness& options, Output& out) {
  TAPER_TRY(const std::optional<Nonce> nonce, nonce_option(options.nonce));
  std::optional<authority::NodeRecord> record;
  if (!options.node.empty()) {
    TAPER_TRY(record, read_node_record(options.node));
  }
  if (!options.out.empty() && options.key.empty())
    return usage_error("--out", "with --key, which signs what is written", options.out);
  std::optional<crypto::SigningKey> key;
  if (!options.key.empty()) {
    TAPER_TRY(key, open_key(options.key, crypto::Role::witness, options.passphrase));
  }
  TAPER_TRY(const MappedFile file, MappedFile::open(options.file, limits::kLogFileBytesMax));
  TAPER_TRY(const store::LogFront front, store::read_log_front(file.bytes()));
  TAPER_TRY(const WitnessFolder folder, WitnessFolder::lock(options.store));
  TAPER_TRY(store::WitnessMemory memory, folder.memory(front.origin, record));
  const std::uint64_t known = memory.seen().empty() ? 0 : memory.seen().back().at.size;
  const std::int64_t now_s = SystemClock().now().wall_s;
  std::string evidence;
  const auto look =
      memory.look(file.bytes(), nonce, now_s,
                  {.passed = [&file](ByteSpan gone) { file.forget(gone); }}, evidence);
  if (!look.ok() && !evidence.empty()) {
    TAPER_TRY(const std::string kept,
              folder.keep_evidence(memory.origin(), evidence, file.bytes()));
    out.note("both sides are kept in " + escape_text(kept) + " and the log beside it");
    out.set("evidence", text_value(kept));
  }
  if (!look.ok()) return Error(look.error());

  const store::Seen& last = memory.seen().back();
  // A file that ends before it shows nothing about the newest: neither that it stands, nor when.
  const bool newest = look->log.records == last.at.size;
  if (newest) TAPER_CHECK(folder.save(memory));
  if (key && !newest) out.note("not cosigned: it ends before what was seen");
  if (key && newest) {
    const std::string note = store::cosigned_note(memory.origin(), last.head, *key, now_s);
    TAPER_CHECK(folder.save_note(memory, note));
    if (!options.out.empty()) TAPER_CHECK(replace_file(options.out, as_bytes(note), kPublicMode));
  }
  out.line(told(*look, known));
  out.line("root " + last.head.root.hex() + " of all " + std::to_string(last.at.size));
  const bool recent = look->log.recency_proven && newest;
  out.line(recency_line(recent, look->log));
  out.set("sight", text_value(sight_word(look->sight)));
  out.set("records", static_cast<std::int64_t>(look->log.records));
  out.set("witnessed", static_cast<std::int64_t>(last.at.size));
  out.set("root", last.head.root.hex());
  out.set("recency", recent ? "proven" : "not proven");
  out.set("cosigned", key.has_value() && newest);
  if (look->log.goes_on) out.set("next", static_cast<std::int64_t>(look->log.records));
  return success();
}

}  // namespace

void add_witness_verb(Command& command, CLI::App* audit) {
  auto options = std::make_shared<Witness>();
  CLI::App* verb = command.verb(
      audit, "witness", "Check that a log continues what was seen of it, and remember it",
      "taper audit witness log.tpa --store ./witness --node node.pub --key witness.key",
      [&command, options] { return audit_witness(*options, command.out); });
  verb->add_option("FILE", options->file, "The exported log, whole or from where it was seen to")
      ->required();
  verb->add_option("--store", options->store, "The folder of what was seen; made when missing")
      ->required();
  verb->add_option("--node", options->node, "The node's record, node.pub; needed at first sight");
  verb->add_option("--key", options->key, "A key of role witness, which cosigns what it accepts");
  verb->add_option("--nonce", options->nonce, "The nonce that the log must answer");
  verb->add_option("--out", options->out, "Where the cosigned checkpoint is written, too");
  command.writes(verb, "--out", [] { return FileKind::note; });
  options->passphrase.add_to(verb);
}

}  // namespace taper::tools
