#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/cosign.h"
#include "tools/taper/secrets.h"
#include "tools/taper/serial.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

struct Sign {
  std::string source, root, node, holder, out, tools;
  std::string request, issuer, from, to_be_signed, id;  // in several places
  bool armour = false;
  SecretOptions secrets;
  SignerOptions signers;  // the issuer's first, then co-signers'

  Form form() const { return armour ? Form::armoured : Form::binary; }
};

Error given_twice(const std::string& option, const std::string& field) {
  return usage_error(option, "the " + field + " in one place",
                     "another " + field + " in the source; leave one of them out");
}

Error not_given(const std::string& field, const std::string& how) {
  return Error(Code::field_missing, {.field = field, .expected = how, .got = "", .fix = ""});
}

Result<PublicKey> choose_holder(const Sign& options, const capsules::Draft& draft) {
  if (options.holder.empty() && draft.holder) return *draft.holder;
  if (options.holder.empty()) return not_given("holder", "--holder agent.pub, or in the source");
  TAPER_TRY(const PublicKey key, public_key_option(options.holder, crypto::Role::holder));
  if (draft.holder && *draft.holder != key) return given_twice("--holder", "holder");
  return key;
}

Result<capsules::Audience> choose_node(const Sign& options, const capsules::Draft& draft) {
  if (options.node.empty() && draft.audience) return *draft.audience;
  if (options.node.empty()) return not_given("node", "--node node.pub, or in the source");
  TAPER_TRY(const Bytes text, read_file(options.node, limits::kKeyFileBytesMax));
  TAPER_TRY(const authority::NodeRecord record, authority::parse_node_record(as_text(text)));
  const bool other = draft.audience && (draft.audience->node != record.sign ||
                                        draft.audience->incarnation != record.incarnation);
  if (other) return given_twice("--node", "node");
  return capsules::Audience{.node = record.sign, .incarnation = record.incarnation};
}

// Understands the source and checks it against what this issuer may sign.
Result<capsules::Draft> read_draft(const Sign& options, const capsules::TrustRoot& root,
                                   const PublicKey& issuer, Output& out) {
  TAPER_TRY(const capsules::KnownTools tools, known_tools(options.tools));
  TAPER_TRY(const Bytes source, read_file(options.source, limits::kSourceBytesMax));
  capsules::Parsed parsed = capsules::parse_source(as_text(source), tools);
  if (parsed.draft) {
    const KeyId id = crypto::key_id(issuer);
    for (capsules::Finding& finding : capsules::lint(*parsed.draft, tools, &root, &id))
      parsed.findings.push_back(std::move(finding));
    if (auto closed = closed_window(*parsed.draft, SystemClock().now().wall_s))
      parsed.findings.push_back(*std::move(closed));
    // What is wrong with the values themselves is said once they are sealed.
    if (const auto values = read_secret_values(options.secrets, parsed.draft->capsule); values.ok())
      for (capsules::Finding& note : short_secrets(*values))
        parsed.findings.push_back(std::move(note));
  }
  TAPER_CHECK(report_findings(parsed.findings, out));
  if (!parsed.draft) return Error(Code::source_invalid);
  return *std::move(parsed.draft);
}

// What only signing knows.
Result<capsules::Capsule> complete(const Sign& options, capsules::Draft draft,
                                   const capsules::TrustRoot& root, const PublicKey& issuer) {
  TAPER_TRY(const PublicKey holder, choose_holder(options, draft));
  TAPER_TRY(const capsules::Audience audience, choose_node(options, draft));
  const std::int64_t now_s = SystemClock().now().wall_s;
  capsules::Capsule capsule = std::move(draft.capsule);
  capsule.issuer = Hash{crypto::key_id(issuer).bytes};
  capsule.fleet = root.fleet();
  capsule.holder = holder;
  capsule.audience = audience;
  capsule.issued_at_s = now_s;
  capsule.not_before_s = draft.window_from_s.value_or(now_s);
  capsule.not_after_s = capsule.not_before_s + draft.window_for_s;
  return capsule;
}

// The capsule's payload under its next serial, which is on the disk before anybody can sign it. Its
// secrets are sealed for that serial.
Result<Bytes> make_payload(const Sign& options, const std::string& counter,
                           capsules::Capsule& capsule) {
  TAPER_TRY(const SecretValues secrets, read_secret_values(options.secrets, capsule));
  TAPER_TRY(capsule.serial, take_serial(counter, capsule.issued_at_s));
  TAPER_CHECK(seal_secrets(secrets, options.node, capsule));
  return capsules::encode_capsule(capsule);
}

Status sign_here(const Sign& options, Output& out) {
  if (options.out.empty()) return usage_error("--out", "a file for the capsule", "nothing");
  TAPER_TRY(const capsules::TrustRoot root, read_root(options.root));
  TAPER_TRY(const std::vector<Signer> signers, find_signers(options.signers, root));
  if (signers.empty()) return usage_error("--key", "a key, --agent or --request", "none");
  const Signer& issuer = signers.front();
  std::string counter = issuer.given;
  if (issuer.by_agent) {
    TAPER_TRY(counter, counter_of(issuer.given));
  }
  TAPER_TRY(capsules::Draft draft, read_draft(options, root, issuer.key, out));
  TAPER_TRY(capsules::Capsule capsule, complete(options, std::move(draft), root, issuer.key));
  TAPER_TRY(const Signing signing, Signing::open(signers, options.signers));
  TAPER_TRY(const Bytes payload, make_payload(options, counter, capsule));
  TAPER_TRY(const std::vector<capsules::CapsuleSignature> signatures, signing.sign(payload, out));
  std::vector<capsules::SignatureView> views;
  for (const auto& signature : signatures) views.push_back(signature.view());
  const Bytes file = capsules::assemble_envelope(payload, views);
  TAPER_TRY(const capsules::VerifiedCapsule opened, capsules::open(file, root));
  TAPER_CHECK(write_signed(options.out, options.form(), kCapsuleLabel, file));
  report_capsule(options.out, opened, out);
  return success();
}

// As sign_here, but the signatures are made elsewhere.
Status write_request(const Sign& options, Output& out) {
  if (options.issuer.empty()) return usage_error("--issuer", "the issuer's F.pub", "nothing");
  TAPER_TRY(const capsules::TrustRoot root, read_root(options.root));
  TAPER_TRY(const PublicKey issuer, public_key_option(options.issuer, crypto::Role::issuer));
  TAPER_CHECK(check_issuer(root, issuer, options.issuer));
  TAPER_TRY(const std::string counter, counter_of(options.issuer));
  const std::uint32_t needed = root.data().issuer_threshold;
  if (needed > limits::kSignaturesMax)
    return Error(Code::too_large, {.field = "issuer_threshold",
                                   .expected = std::to_string(limits::kSignaturesMax),
                                   .got = std::to_string(needed),
                                   .fix = "make a root that demands fewer signatures"});
  TAPER_TRY(capsules::Draft draft, read_draft(options, root, issuer, out));
  TAPER_TRY(capsules::Capsule capsule, complete(options, std::move(draft), root, issuer));
  TAPER_TRY(Bytes payload, make_payload(options, counter, capsule));
  TAPER_CHECK(capsules::decode_capsule(payload));
  const std::string id = crypto::hash(payload).hex();
  if (!options.to_be_signed.empty()) TAPER_CHECK(write_to_be_signed(options.to_be_signed, payload));
  const Bytes file = capsules::encode_request(
      {.needed = static_cast<std::uint8_t>(needed), .payload = std::move(payload)});
  TAPER_CHECK(write_signed(options.request, options.form(), capsules::kRequestLabel, file));
  out.line("request " + escape_text(options.request) + ": " + id);
  out.line("it needs " + std::to_string(needed) + " signatures, the issuer's among them");
  out.set("id", id);
  out.set("serial", std::to_string(capsule.serial));
  out.set("needed", std::int64_t{needed});
  out.set("file", text_value(options.request));
  return success();
}

Status sign_request(const Sign& options, Output& out) {
  const std::pair<const char*, const std::string&> of_source[] = {{"--node", options.node},
                                                                  {"--holder", options.holder},
                                                                  {"--tools", options.tools},
                                                                  {"--issuer", options.issuer}};
  for (const auto& [option, value] : of_source) {
    if (!value.empty()) return usage_error(option, "left out: the request says it already", value);
  }
  if (!options.secrets.given.empty()) return usage_error("--secret", "a source", "--from");
  const bool signs = !options.signers.keys.empty() || !options.signers.agents.empty();
  if (signs == options.out.empty())
    return usage_error("--out", "exactly with --key or --agent", signs ? "none" : options.out);
  return cosign({.request = options.from,
                 .root = options.root,
                 .out = options.out,
                 .to_be_signed = options.to_be_signed,
                 .id = options.id,
                 .form = options.form(),
                 .signers = options.signers},
                out);
}

Status capsule_sign(const Sign& options, Output& out) {
  const bool signs = !options.signers.keys.empty() || !options.signers.agents.empty();
  if (options.source.empty() == options.from.empty())
    return usage_error("SOURCE", "a source, which is required, or --from",
                       options.from.empty() ? "neither" : "both");
  if (!options.from.empty() && !options.request.empty())
    return usage_error("--request", "a source", "--from");
  if (!options.from.empty()) return sign_request(options, out);
  if (!options.id.empty()) return usage_error("--id", "--from", "a source");
  if (options.request.empty() && !options.issuer.empty())
    return usage_error("--issuer", "--request", "neither");
  if (options.request.empty() && !options.to_be_signed.empty())
    return usage_error("--tbs", "--request or --from", "neither");
  if (options.request.empty()) return sign_here(options, out);
  if (signs || !options.out.empty())
    return usage_error("--request", "neither --key, --agent nor --out", "one of them");
  return write_request(options, out);
}

}  // namespace

void add_sign_verb(Command& command, CLI::App* capsule) {
  auto options = std::make_shared<Sign>();
  CLI::App* sign = command.verb(
      capsule, "sign", "Lint a source, sign it, check the result and write it",
      "taper capsule sign task.toml --key issuer.key --root root.tpr --node node.pub \\\n"
      "      --holder agent.pub --out task.capsule",
      [&command, options] { return capsule_sign(*options, command.out); });
  sign->add_option("SOURCE", options->source, "The source, TOML; not with --from");
  options->signers.add_to(sign);
  sign->add_option("--root", options->root, "The trust root that lists the issuer")->required();
  sign->add_option("--node", options->node, "The node's record, node.pub");
  sign->add_option("--holder", options->holder, "The holder's public key: F.pub or tpk:…");
  sign->add_option("--tools", options->tools,
                   "The node's tools, as 'taper tools list --json' printed them");
  sign->add_option("--out", options->out,
                   "The capsule, or with --from the signature; an earlier one is replaced");
  options->secrets.add_to(sign);
  sign->add_flag("--armour", options->armour, "Write the text form, for transport by hand");
  sign->add_option("--request", options->request,
                   "Sign nothing: write a request that issuers elsewhere sign");
  sign->add_option("--issuer", options->issuer, "With --request: the issuer's F.pub");
  sign->add_option("--from", options->from,
                   "Show a request whole, and sign it with one --key or --agent");
  sign->add_option("--id", options->id,
                   "With --from: sign this capsule only, named by the id that was shown before");
  sign->add_option("--tbs", options->to_be_signed,
                   "Also write the bytes to be signed, for 'ssh-keygen -Y sign'");
  command.writes(sign, "--out", [options] {
    return options->from.empty() ? FileKind::capsule : FileKind::signature;
  });
  command.writes(sign, "--request", [] { return FileKind::request; });
  command.writes(sign, "--tbs", [] { return FileKind::to_be_signed; });
}

}  // namespace taper::tools
