#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/keys.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

constexpr unsigned kPublicMode = 0644;
constexpr std::string_view kUntrusted =
    "UNTRUSTED: no trust root was given, so nobody vouches for what follows";

struct Lint {
  std::string source, root, issuer, tools;
};

struct Show {
  std::string file, root;
  std::vector<std::string> issuers;
};

struct Explain {
  std::string file, root, tool, args = "{}", tools, at;
  std::vector<std::string> issuers;
};

Status capsule_new(const std::string& path, Output& out) {
  const std::string source = capsules::source_template();
  out.set("source", source);
  if (path.empty()) {
    out.line(source);
    return success();
  }
  out.set("file", text_value(path));
  TAPER_CHECK(create_file(path, as_bytes(source), kPublicMode));
  out.line("wrote " + escape_text(path) + "; edit it, then 'taper capsule lint' it");
  return success();
}

Status capsule_lint(const Lint& options, Output& out) {
  TAPER_TRY(const capsules::KnownTools tools, known_tools(options.tools));
  std::optional<capsules::TrustRoot> root;
  if (!options.root.empty()) {
    TAPER_TRY(root, read_root(options.root));
  }
  std::optional<KeyId> issuer;
  if (!options.issuer.empty()) {
    TAPER_TRY(const PublicKey key, public_key_option(options.issuer, crypto::Role::issuer));
    issuer = crypto::key_id(key);
  }
  TAPER_TRY(const Bytes source, read_file(options.source, limits::kSourceBytesMax));
  capsules::Parsed parsed = capsules::parse_source(as_text(source), tools);
  if (parsed.draft) {
    for (capsules::Finding& finding :
         capsules::lint(*parsed.draft, tools, root ? &*root : nullptr, issuer ? &*issuer : nullptr))
      parsed.findings.push_back(std::move(finding));
    if (auto closed = closed_window(*parsed.draft, SystemClock().now().wall_s))
      parsed.findings.push_back(*std::move(closed));
  }
  TAPER_CHECK(report_findings(parsed.findings, out));
  out.line("no errors");
  return success();
}

// A capsule read for looking at: verified where a root is at hand.
struct Looked {
  capsules::UntrustedCapsule capsule;
  bool trusted = false;
};

Result<Looked> look(const std::string& path, const std::string& root_path,
                    const std::vector<std::string>& issuers) {
  TAPER_TRY(const Bytes file, read_capsule(path));
  std::vector<PublicKey> keys;
  for (const std::string& given : issuers) {
    TAPER_TRY(const PublicKey key, public_key_option(given, crypto::Role::issuer));
    keys.push_back(key);
  }
  if (!root_path.empty()) {
    TAPER_TRY(const capsules::TrustRoot root, read_root(root_path));
    TAPER_TRY(const capsules::VerifiedCapsule verified, capsules::open(file, root));
    for (const capsules::Issuer& issuer : root.data().issuers) keys.push_back(issuer.key);
  }
  TAPER_TRY(capsules::UntrustedCapsule capsule, capsules::read_untrusted(file, keys));
  return Looked{.capsule = std::move(capsule), .trusted = !root_path.empty()};
}

void say_trust(const Looked& looked, Output& out) {
  out.set("trusted", looked.trusted);
  out.set("signatures_checked", looked.capsule.signatures_checked);
  if (looked.trusted) {
    out.line("VERIFIED against the trust root");
    return;
  }
  out.line(std::string(kUntrusted));
  out.line(looked.capsule.signatures_checked
               ? "signatures: they verify against the keys given with --issuer"
               : "signatures: not checked (give --root, or --issuer PUB)");
}

Status capsule_show(const Show& options, Output& out) {
  TAPER_TRY(const Looked looked, look(options.file, options.root, options.issuers));
  say_trust(looked, out);
  out.line(capsules::show_text(looked.capsule, SystemClock().now().wall_s));
  TAPER_TRY(capsules::Value shown,
            capsules::parse_value(as_bytes(capsules::show_json(looked.capsule)),
                                  limits::kArgumentBytesMax));
  out.set("capsule", std::move(shown));
  return success();
}

std::string_view verdict_name(capsules::ExplainAnswer::Verdict verdict) {
  switch (verdict) {
    case capsules::ExplainAnswer::Verdict::passed: return "passed";
    case capsules::ExplainAnswer::Verdict::failed: return "failed";
    case capsules::ExplainAnswer::Verdict::needs_node: return "needs a node";
  }
  return "failed";
}

void say_answers(const capsules::Explanation& explanation, Output& out) {
  capsules::Array answers;
  for (const capsules::ExplainAnswer& answer : explanation.answers) {
    const std::string_view verdict = verdict_name(answer.verdict);
    std::string line = "  " + std::string(verdict) + "  " + escape_text(answer.question);
    if (!answer.expected.empty()) line += "; expected " + escape_text(answer.expected);
    if (!answer.got.empty()) line += "; got " + escape_text(answer.got);
    out.line(line);
    answers.push_back(capsules::Object{{"question", text_value(answer.question)},
                                       {"verdict", verdict},
                                       {"expected", text_value(answer.expected)},
                                       {"got", text_value(answer.got)},
                                       {"number", std::int64_t{describe(answer.code).number}}});
  }
  out.set("answers", std::move(answers));
}

Error denial(const capsules::Explanation& explanation) {
  for (const capsules::ExplainAnswer& answer : explanation.answers) {
    if (answer.verdict != capsules::ExplainAnswer::Verdict::failed) continue;
    return Error(explanation.code,
                 {.field = "", .expected = answer.expected, .got = answer.got, .fix = ""});
  }
  return Error(explanation.code);
}

Status capsule_explain(const Explain& options, Output& out) {
  std::optional<std::int64_t> at_s;
  if (!options.at.empty()) {
    at_s = parse_utc_s(options.at);
    if (!at_s) return usage_error("--at", "a time such as 2026-11-21T08:00:00Z", options.at);
  }
  TAPER_TRY(const capsules::KnownTools tools, known_tools(options.tools));
  TAPER_TRY(const Looked looked, look(options.file, options.root, options.issuers));
  say_trust(looked, out);
  const capsules::Explanation explanation =
      capsules::explain(looked.capsule.root, options.tool, as_bytes(options.args), tools, at_s,
                        looked.capsule.blocks);
  say_answers(explanation, out);
  const bool allowed = explanation.code == Code::ok;
  out.set("verdict", allowed ? "allow" : "deny");
  out.set("grant", text_value(explanation.grant));
  if (!allowed) {
    out.line(coloured("DENY", kRed));
    return denial(explanation);
  }
  out.line(coloured("ALLOW", kGreen) + " by grant " + escape_text(explanation.grant) +
           ", as far as can be said without the node");
  return success();
}

CLI::Option* add_issuers(CLI::App* verb, std::vector<std::string>& issuers) {
  return verb
      ->add_option("--issuer", issuers, "Without a root: check signatures with this public key")
      ->allow_extra_args(false);
}

void add_writing_verbs(Command& command, CLI::App* capsule) {
  auto path = std::make_shared<std::string>();
  CLI::App* make = command.verb(capsule, "new", "Print a commented source to start from",
                                "taper capsule new --out task.toml",
                                [&command, path] { return capsule_new(*path, command.out); });
  make->add_option("--out", *path, "Write it to this file, which must not exist");

  auto options = std::make_shared<Lint>();
  CLI::App* lint = command.verb(
      capsule, "lint", "Check a source: notes exit 0, errors exit 4",
      "taper capsule lint task.toml --root root.tpr --issuer issuer.pub --tools tools.json",
      [&command, options] { return capsule_lint(*options, command.out); });
  lint->add_option("SOURCE", options->source, "The source, TOML")->required();
  lint->add_option("--root", options->root, "Check against this root's limits");
  lint->add_option("--issuer", options->issuer, "The issuer who is going to sign");
  lint->add_option("--tools", options->tools,
                   "The node's tools, as 'taper tools list --json' printed them");
}

}  // namespace

void add_capsule_verbs(Command& command) {
  CLI::App* capsule = command.group("capsule", "Write, sign and read capsules");
  add_writing_verbs(command, capsule);
  add_sign_verb(command, capsule);
  add_assemble_verb(command, capsule);
  add_narrow_verb(command, capsule);
  add_diff_verb(command, capsule);

  auto shown = std::make_shared<Show>();
  CLI::App* show = command.verb(capsule, "show", "Show the whole of a capsule",
                                "taper capsule show task.capsule --root root.tpr",
                                [&command, shown] { return capsule_show(*shown, command.out); });
  show->add_option("FILE", shown->file, "The capsule, binary or armoured")->required();
  show->add_option("--root", shown->root, "Verify against this trust root first");
  add_issuers(show, shown->issuers);

  auto asked = std::make_shared<Explain>();
  CLI::App* explain = command.verb(
      capsule, "explain", "Say what the capsule answers to a call, question by question",
      "taper capsule explain task.capsule --tool file.read --args '{\"path\":\"/var/log/syslog\"}'",
      [&command, asked] { return capsule_explain(*asked, command.out); });
  explain->add_option("FILE", asked->file, "The capsule, binary or armoured")->required();
  explain->add_option("--tool", asked->tool, "The tool's name")->required();
  explain->add_option("--args", asked->args, "The arguments, one JSON object")
      ->capture_default_str();
  explain->add_option("--root", asked->root, "Verify against this trust root first");
  explain->add_option("--at", asked->at, "Ask the time questions for this time (RFC 3339, UTC)");
  explain->add_option("--tools", asked->tools,
                      "The node's tools, as 'taper tools list --json' printed them");
  add_issuers(explain, asked->issuers);
}

}  // namespace taper::tools
