#include "tools/taper/source.h"

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/signer.h"

namespace taper::tools {
namespace {

capsules::Value finding_value(const capsules::Finding& finding) {
  const CodeInfo& info = describe(finding.code);
  return capsules::Object{
      {"severity", finding.severity == capsules::Severity::error ? "error" : "note"},
      {"number", std::int64_t{info.number}},
      {"name", info.name},
      {"where", text_value(finding.where)},
      {"what", text_value(finding.what)},
      {"fix", text_value(finding.fix)}};
}

std::string finding_line(const capsules::Finding& finding) {
  const bool is_error = finding.severity == capsules::Severity::error;
  std::string line = is_error ? "error" : "note";
  if (is_error) {
    const CodeInfo& info = describe(finding.code);
    line += " E" + std::to_string(info.number) + " " + info.name;
  }
  line += ": " + escape_text(finding.where) + ": " + escape_text(finding.what);
  if (!finding.fix.empty()) line += "; fix: " + escape_text(finding.fix);
  return line;
}

}  // namespace

Result<capsules::KnownTools> known_tools(const std::string& tools_file) {
  capsules::KnownTools tools = capsules::builtin_known_tools();
  if (tools_file.empty()) return tools;
  TAPER_TRY(const Bytes bytes, read_file(tools_file, limits::kToolListBytesMax));
  TAPER_CHECK(capsules::add_known_tools(tools, as_text(bytes)));
  return tools;
}

std::optional<capsules::Finding> closed_window(const capsules::Draft& draft, std::int64_t now_s) {
  if (!draft.window_from_s || *draft.window_from_s + draft.window_for_s > now_s) return {};
  const auto line = draft.lines.find("capsule.window");
  const std::string where =
      line == draft.lines.end() ? "" : "line " + std::to_string(line->second) + ": ";
  return capsules::Finding{
      .severity = capsules::Severity::error,
      .code = Code::window_closed,
      .where = where + "capsule.window",
      .what = "it closed at " + format_utc_s(*draft.window_from_s + draft.window_for_s),
      .fix = "write a later 'from', a longer 'for', or leave 'from' out"};
}

Status report_findings(const std::vector<capsules::Finding>& findings, Output& out) {
  capsules::Array list;
  std::int64_t errors = 0;
  for (const capsules::Finding& finding : findings) {
    out.note(finding_line(finding));
    list.push_back(finding_value(finding));
    if (finding.severity == capsules::Severity::error) ++errors;
  }
  out.set("findings", std::move(list));
  if (errors == 0) return success();
  return Error(Code::lint_failed,
               {.field = "", .expected = "no error", .got = std::to_string(errors), .fix = ""});
}

Result<capsules::TrustRoot> read_root(const std::string& path) {
  TAPER_TRY(const Bytes file, read_signed(path, kRootLabel));
  return capsules::open_root(file);
}

Result<Bytes> read_capsule(const std::string& path) {
  TAPER_TRY(Bytes file, read_file(path, limits::kArmourBytesMax));
  if (!as_text(file).starts_with("-----BEGIN")) return file;
  return capsules::unarmour(kCapsuleLabel, as_text(file));
}

Result<capsules::UntrustedCapsule> read_chain(ByteSpan file, const std::string& root_path) {
  std::vector<PublicKey> keys;
  if (!root_path.empty()) {
    TAPER_TRY(const capsules::TrustRoot root, read_root(root_path));
    TAPER_CHECK(capsules::open(file, root));
    for (const capsules::Issuer& issuer : root.data().issuers) keys.push_back(issuer.key);
  }
  return capsules::read_untrusted(file, keys);
}

}  // namespace taper::tools
