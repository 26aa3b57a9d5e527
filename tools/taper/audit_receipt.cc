#include "crypto/key_file.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "store/auditor/receipt.h"
#include "tools/taper/audit.h"

namespace taper::tools {
namespace {

constexpr unsigned kPrivateMode = 0600;

struct ReceiptOptions {
  std::string decision, state, file, node;
};

Status audit_receipt(const ReceiptOptions& options, Output& out) {
  const std::optional<DecisionId> decision = DecisionId::from_hex(options.decision);
  if (!decision) return usage_error("DECISION", "16 hex digits", options.decision);
  TAPER_TRY(const Bytes receipt, broker::audit_receipt(options.state, *decision));
  TAPER_CHECK(replace_file(options.file, receipt, kPrivateMode));
  out.line("wrote " + escape_text(options.file) + ", " + std::to_string(receipt.size()) + " bytes");
  out.set("file", text_value(options.file));
  out.set("bytes", static_cast<std::int64_t>(receipt.size()));
  return success();
}

Status check_receipt(const ReceiptOptions& options, Output& out) {
  TAPER_TRY(const authority::NodeRecord record, read_node_record(options.node));
  TAPER_TRY(const Bytes file, read_file(options.file, limits::kReceiptBytesMax));
  TAPER_TRY(const store::CheckedReceipt receipt,
            store::check_receipt(file, {.node = record.sign,
                                        .incarnation = record.incarnation,
                                        .log_key_0 = record.log_key_0}));
  out.line("proved: record " + std::to_string(receipt.record.number) + " of node " +
           escape_text(record.name) + ", signed by log key " + std::to_string(receipt.epoch));
  out.line(escape_text(receipt.record.type_name) + "  " + escape_text(receipt.record.body));
  out.set("node", crypto::public_key_text(record.sign));
  out.set("number", static_cast<std::int64_t>(receipt.record.number));
  out.set("epoch", static_cast<std::int64_t>(receipt.epoch));
  out.set("records", static_cast<std::int64_t>(receipt.size));
  out.set("root", receipt.root.hex());
  out.set("type", text_value(receipt.record.type_name));
  Result<capsules::Value> body =
      capsules::parse_value(as_bytes(receipt.record.body), limits::kAuditRecordBytesMax);
  out.set("body", body.ok() ? std::move(*body) : text_value(receipt.record.body));
  return success();
}

}  // namespace

void add_receipt_verbs(Command& command, CLI::App* audit) {
  auto options = std::make_shared<ReceiptOptions>();
  CLI::App* make =
      command.verb(audit, "receipt", "Write the proof that a decision is in the log",
                   "taper audit receipt 5f1c… --state ./state --out decision.tpx",
                   [&command, options] { return audit_receipt(*options, command.out); });
  make->add_option("DECISION", options->decision, "The decision's id, as 'taper task show' has it")
      ->required();
  make->add_option("--state", options->state, "The node's state")->required();
  make->add_option("--out", options->file, "The receipt; an earlier one is replaced")->required();
  command.writes(make, "--out", [] { return FileKind::receipt; });

  CLI::App* check = command.verb(
      audit, "check-receipt", "Check a receipt against the node's record, and print its record",
      "taper audit check-receipt decision.tpx --node node.pub",
      [&command, options] { return check_receipt(*options, command.out); });
  check->add_option("FILE", options->file, "The receipt")->required();
  check->add_option("--node", options->node, "The node's record, node.pub")->required();
}

}  // namespace taper::tools
