#include "crypto/key_file.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "store/audit_verify.h"
#include "tools/taper/command.h"
#include "tools/taper/mapped_file.h"

namespace taper::tools {
namespace {

constexpr unsigned kPrivateMode = 0600;

struct Audit {
  std::string state, file, node, task;
  std::optional<std::string> nonce;
};

// A nonce that is given and empty is a script's unset variable, not the absence of one.
Result<std::optional<Nonce>> nonce_option(const std::optional<std::string>& text) {
  if (!text) return std::optional<Nonce>();
  const std::optional<Nonce> nonce = Nonce::from_hex(*text);
  if (!nonce) return usage_error("--nonce", "64 hex digits", *text);
  return nonce;
}

Status audit_export(const Audit& options, Output& out) {
  TAPER_TRY(const std::optional<Nonce> nonce, nonce_option(options.nonce));
  TAPER_TRY(const Bytes file, broker::audit_export(options.state, nonce));
  TAPER_CHECK(replace_file(options.file, file, kPrivateMode));
  out.line("wrote " + escape_text(options.file) + ", " + std::to_string(file.size()) + " bytes");
  out.set("file", text_value(options.file));
  out.set("bytes", static_cast<std::int64_t>(file.size()));
  return success();
}

Status audit_verify(const Audit& options, Output& out) {
  TAPER_TRY(const std::optional<Nonce> nonce, nonce_option(options.nonce));
  TAPER_TRY(const Bytes node, read_file(options.node, limits::kKeyFileBytesMax));
  TAPER_TRY(const authority::NodeRecord record, authority::parse_node_record(as_text(node)));
  TAPER_TRY(const MappedFile file, MappedFile::open(options.file, limits::kLogFileBytesMax));
  TAPER_TRY(const store::VerifiedLog log,
            store::verify_log(file.bytes(), {.node = record.sign,
                                             .incarnation = record.incarnation,
                                             .log_key_0 = record.log_key_0,
                                             .nonce = nonce}));
  out.line("verified: " + std::to_string(log.records) + " records of node " +
           escape_text(record.name) + ", none changed, missing or added");
  out.line("root " + log.root.hex());
  out.line(log.recency_proven
               ? "recency proven: it answers the nonce"
               : "recency not proven: export with --nonce to show that nothing newer was left out");
  out.set("records", static_cast<std::int64_t>(log.records));
  out.set("epochs", static_cast<std::int64_t>(log.epochs));
  out.set("root", log.root.hex());
  out.set("node", crypto::public_key_text(record.sign));
  out.set("recency", log.recency_proven ? "proven" : "not proven");
  return success();
}

// True when the record's own "task" is `task`.
bool is_of_task(const capsules::Value& body, const std::string& task) {
  const capsules::Value* named = body.find("task");
  return named != nullptr && named->text() != nullptr && *named->text() == task;
}

Status audit_show(const Audit& options, Output& out) {
  TAPER_TRY(const MappedFile file, MappedFile::open(options.file, limits::kLogFileBytesMax));
  if (!options.task.empty() && !TaskId::from_hex(options.task))
    return usage_error("--task", "32 hex digits", options.task);
  out.note("not verified here: 'taper audit verify' does that");
  return store::read_log(file.bytes(), [&](const store::LogRecord& record) {
    Result<capsules::Value> body =
        capsules::parse_value(as_bytes(record.body), limits::kAuditRecordBytesMax);
    if (!options.task.empty() && !(body.ok() && is_of_task(*body, options.task))) return;
    if (!out.json) {
      out.line(std::to_string(record.number) + "  " + escape_text(record.type_name) + "  " +
               escape_text(record.body));
      return;
    }
    capsules::Value shown = body.ok() ? std::move(*body) : text_value(record.body);
    out.stream_json(capsules::write_canonical(
        capsules::Object{{"number", static_cast<std::int64_t>(record.number)},
                         {"type", text_value(record.type_name)},
                         {"body", std::move(shown)}}));
  });
}

}  // namespace

void add_audit_verbs(Command& command) {
  CLI::App* audit = command.group("audit", "The log of what was decided and what happened");
  auto options = std::make_shared<Audit>();
  CLI::App* take =
      command.verb(audit, "export", "Write the whole log to one file for the centre",
                   "taper audit export --state ./state --out log.tpa",
                   [&command, options] { return audit_export(*options, command.out); });
  take->add_option("--state", options->state, "The node's state")->required();
  take->add_option("--out", options->file, "The log's file; an earlier log is replaced")
      ->required();
  command.writes(take, "--out", [] { return FileKind::log; });
  take->add_option("--nonce", options->nonce, "The centre's nonce, 64 hex digits: proves recency");

  CLI::App* verify =
      command.verb(audit, "verify", "Check every byte of a log against the node's record",
                   "taper audit verify log.tpa --node node.pub",
                   [&command, options] { return audit_verify(*options, command.out); });
  verify->add_option("FILE", options->file, "The exported log")->required();
  verify->add_option("--node", options->node, "The node's record, node.pub")->required();
  verify->add_option("--nonce", options->nonce, "The nonce that it must answer");

  CLI::App* show = command.verb(audit, "show", "Print the records; --json prints JSON lines",
                                "taper audit show log.tpa --task 3f0c…",
                                [&command, options] { return audit_show(*options, command.out); });
  show->add_option("FILE", options->file, "The exported log")->required();
  show->add_option("--task", options->task, "Only the records of this task");
}

}  // namespace taper::tools
