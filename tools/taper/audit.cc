#include "tools/taper/audit.h"

#include "crypto/key_file.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "store/audit_verify.h"
#include "tools/taper/mapped_file.h"

namespace taper::tools {
namespace {

constexpr unsigned kPrivateMode = 0600;

struct Audit {
  std::string state, file, node;
  std::vector<std::string> files;
  std::optional<std::uint64_t> from;
  std::uint64_t most = limits::kLogFileBytesMax;
  std::optional<std::string> nonce;
};

// What was released may stand in the file before and nowhere else: it is not to be replaced.
Status check_archive(const std::string& path, const store::LogFront& next) {
  const auto there = MappedFile::open(path, limits::kLogFileBytesMax);
  if (there.code() == Code::file_missing) return success();
  if (!there.ok()) return there.error();
  const auto front = store::read_log_front(there->bytes());
  if (!front.ok() || front->first >= next.first) return success();
  return Error(Code::file_exists,
               {.field = "--out",
                .expected = "no file that begins before record " + std::to_string(next.first),
                .got = path + ", which begins at record " + std::to_string(front->first),
                .fix = "name another file: that one may be the only copy of its records"});
}

Status audit_export(const Audit& options, Output& out) {
  TAPER_TRY(const std::optional<Nonce> nonce, nonce_option(options.nonce));
  TAPER_TRY(const Bytes file,
            broker::audit_export(options.state, nonce, options.from.value_or(0), options.most));
  TAPER_TRY(const store::LogFront front, store::read_log_front(file));
  if (options.from && *options.from != front.first)
    return Error(Code::log_pruned,
                 {"--from", std::to_string(front.first) + " or more, or no --from at all",
                  std::to_string(*options.from), ""});
  TAPER_CHECK(check_archive(options.file, front));
  TAPER_CHECK(replace_file(options.file, file, kPrivateMode));
  out.line("wrote " + escape_text(options.file) + ", " + std::to_string(file.size()) + " bytes");
  if (!options.from && front.first != 0)
    out.line("it begins at record " + std::to_string(front.first) +
             ": what is below was released, and lies in the archive of the centre");
  if (front.goes_on)
    out.line("the log goes on: export the next file with --from " + std::to_string(front.end) +
             (nonce ? "; the last one answers the nonce, this one does not" : ""));
  out.set("file", text_value(options.file));
  out.set("first", static_cast<std::int64_t>(front.first));
  if (front.goes_on) out.set("next", static_cast<std::int64_t>(front.end));
  out.set("bytes", static_cast<std::int64_t>(file.size()));
  return success();
}

Result<store::VerifiedLog> verify_file(const std::string& path, const store::LogTrust& trust) {
  TAPER_TRY(const MappedFile file, MappedFile::open(path, limits::kLogFileBytesMax));
  return store::verify_log(file.bytes(), trust,
                           {.passed = [&file](ByteSpan front) { file.forget(front); }});
}

Status audit_verify(const Audit& options, Output& out) {
  TAPER_TRY(const std::optional<Nonce> nonce, nonce_option(options.nonce));
  TAPER_TRY(const authority::NodeRecord record, read_node_record(options.node));
  TAPER_TRY(const store::VerifiedLog log, verify_files(options.files, record, nonce));
  out.line("verified: " + std::to_string(log.records) + " records of node " +
           escape_text(record.name) + ", none changed, missing or added");
  out.line("root " + log.root.hex());
  out.line(recency_line(log.recency_proven, log));
  out.set("records", static_cast<std::int64_t>(log.records));
  out.set("epochs", static_cast<std::int64_t>(log.epochs));
  out.set("root", log.root.hex());
  out.set("node", crypto::public_key_text(record.sign));
  out.set("recency", log.recency_proven ? "proven" : "not proven");
  if (log.goes_on) out.set("next", static_cast<std::int64_t>(log.records));
  return success();
}

}  // namespace

Result<std::optional<Nonce>> nonce_option(const std::optional<std::string>& text) {
  if (!text) return std::optional<Nonce>();
  const std::optional<Nonce> nonce = Nonce::from_hex(*text);
  if (!nonce) return usage_error("--nonce", "64 hex digits", *text);
  return nonce;
}

std::string recency_line(bool proven, const store::VerifiedLog& log) {
  if (proven) return "recency proven: it answers the nonce";
  if (log.goes_on)
    return "recency not proven: the log goes on, in what is exported with --from " +
           std::to_string(log.records);
  return "recency not proven: export with --nonce to show that nothing newer was left out";
}

Result<authority::NodeRecord> read_node_record(const std::string& path) {
  TAPER_TRY(const Bytes node, read_file(path, limits::kKeyFileBytesMax));
  return authority::parse_node_record(as_text(node));
}

Result<store::VerifiedLog> verify_files(const std::vector<std::string>& paths,
                                        const authority::NodeRecord& record,
                                        const std::optional<Nonce>& nonce) {
  store::LogTrust trust = {
      .node = record.sign, .incarnation = record.incarnation, .log_key_0 = record.log_key_0};
  store::VerifiedLog log;
  for (const std::string& path : paths) {
    if (&path == &paths.back()) trust.nonce = nonce;
    TAPER_TRY(log, verify_file(path, trust));
    trust.after = log.end;
  }
  return log;
}

void add_audit_verbs(Command& command) {
  CLI::App* audit = command.group("audit", "The log of what was decided and what happened");
  auto options = std::make_shared<Audit>();
  CLI::App* take =
      command.verb(audit, "export", "Write the log to one file for the centre",
                   "taper audit export --state ./state --out log.tpa",
                   [&command, options] { return audit_export(*options, command.out); });
  take->add_option("--state", options->state, "The node's state")->required();
  take->add_option("--out", options->file,
                   "The log's file; an earlier export that begins no earlier is replaced")
      ->required();
  command.writes(take, "--out", [] { return FileKind::log; });
  take->add_option("--from", options->from,
                   "Begin at this record: at the number that 'audit verify' or 'audit witness' "
                   "told. Without, at "
                   "the log's beginning, or at the end of what was released");
  take->add_option("--nonce", options->nonce, "The centre's nonce, 64 hex digits: proves recency");
  take->add_option("--most", options->most,
                   "Bytes of the file, at most and by itself 4 GiB: a longer log is exported in "
                   "several, each from where the one before tells");
  take->get_option("--from")->check(CLI::NonNegativeNumber.description(""));
  take->get_option("--most")->check(
      CLI::Range(std::uint64_t{1}, limits::kLogFileBytesMax).description(""));

  CLI::App* verify =
      command.verb(audit, "verify", "Check every byte of a log against the node's record",
                   "taper audit verify log.tpa --node node.pub",
                   [&command, options] { return audit_verify(*options, command.out); });
  verify
      ->add_option("FILES", options->files,
                   "The exported log; behind it, in order, what was exported with --from")
      ->required();
  verify->add_option("--node", options->node, "The node's record, node.pub")->required();
  verify->add_option("--nonce", options->nonce, "The nonce that it must answer");
  add_log_verbs(command, audit);
  add_witness_verb(command, audit);
  add_receipt_verbs(command, audit);
  add_release_verb(command, audit);
}

}  // namespace taper::tools
