#include "tools/taper/cosign.h"

#include <algorithm>

#include "capsules/author/author.h"
#include "capsules/envelope.h"
#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

constexpr unsigned kPublicMode = 0644;

struct Assemble {
  std::string request, root, out;
  std::vector<std::string> signatures;
  bool armour = false;
};

Result<capsules::SigningRequest> read_request(const std::string& path) {
  TAPER_TRY(const Bytes file, read_signed(path, capsules::kRequestLabel));
  return capsules::decode_request(file);
}

// What stands in a signature's file: Taper's, or what 'ssh-keygen -Y sign' wrote.
Result<capsules::CapsuleSignature> read_signature(const std::string& path, const Hash& capsule,
                                                  const capsules::TrustRoot& root) {
  TAPER_TRY(const Bytes text, read_file(path, limits::kArmourBytesMax));
  if (as_text(text).starts_with("-----BEGIN SSH")) {
    TAPER_TRY(const Bytes blob, capsules::ssh_unarmour(as_text(text)));
    return capsules::of_issuer(blob, root);
  }
  TAPER_TRY(const Bytes file, read_signed(path, capsules::kSignatureLabel));
  TAPER_TRY(capsules::SignatureFile read, capsules::decode_signature(file));
  if (read.capsule == capsule) return std::move(read.signature);
  return Error(Code::request_malformed, {.field = path,
                                         .expected = "a signature for capsule " + capsule.hex(),
                                         .got = "one for " + read.capsule.hex(),
                                         .fix = "have this request signed: 'taper capsule sign "
                                                "--from'"});
}

Status capsule_assemble(const Assemble& options, Output& out) {
  TAPER_TRY(const capsules::TrustRoot root, read_root(options.root));
  TAPER_TRY(const capsules::SigningRequest request, read_request(options.request));
  const Hash id = crypto::hash(request.payload);
  if (options.signatures.size() > limits::kSignaturesMax)
    return Error(Code::too_large, {.field = "signatures",
                                   .expected = "at most " + std::to_string(limits::kSignaturesMax),
                                   .got = std::to_string(options.signatures.size()),
                                   .fix = ""});
  std::vector<capsules::CapsuleSignature> signatures;
  std::vector<capsules::SignatureView> views;
  for (const std::string& path : options.signatures) {
    TAPER_TRY(capsules::CapsuleSignature signature, read_signature(path, id, root));
    signatures.push_back(std::move(signature));
  }
  for (const auto& signature : signatures) views.push_back(signature.view());
  const Bytes file = capsules::assemble_envelope(request.payload, views);
  TAPER_TRY(const capsules::VerifiedCapsule opened, capsules::open(file, root));
  TAPER_CHECK(write_signed(options.out, options.armour ? Form::armoured : Form::binary,
                           kCapsuleLabel, file));
  report_capsule(options.out, opened, out);
  return success();
}

}  // namespace

Status write_to_be_signed(const std::string& path, ByteSpan payload) {
  return replace_file(
      path, crypto::pre_authentication_encoding(crypto::statement::kCapsule, payload), kPublicMode);
}

void report_capsule(const std::string& path, const capsules::VerifiedCapsule& capsule,
                    Output& out) {
  const capsules::Capsule& root = capsule.root();
  out.line("signed " + escape_text(path) + ": " + capsule.id().hex());
  out.line("may be activated from " + format_utc_s(root.not_before_s) + " to " +
           format_utc_s(root.not_after_s) + ", then lives for " +
           format_duration_ms(root.lease_ttl_ms) +
           (root.long_lease ? " (a LONG LEASE, by exception)" : ""));
  out.set("id", capsule.id().hex());
  out.set("serial", std::to_string(root.serial));
  out.set("not_before", format_utc_s(root.not_before_s));
  out.set("not_after", format_utc_s(root.not_after_s));
  out.set("file", text_value(path));
}

Status cosign(const Cosign& options, Output& out) {
  const SignerOptions& given = options.signers;
  if (given.keys.size() + given.agents.size() > 1)
    return usage_error("--from", "one signer at a time", "several");
  TAPER_TRY(const capsules::TrustRoot root, read_root(options.root));
  TAPER_TRY(const capsules::SigningRequest request, read_request(options.request));
  capsules::UntrustedCapsule shown;
  TAPER_TRY(shown.root, capsules::decode_capsule(request.payload));
  shown.id = crypto::hash(request.payload);
  if (!options.id.empty() && options.id != shown.id.hex()) {
    return Error(Code::request_malformed,
                 {"--id", "the capsule " + escape_text(options.id), shown.id.hex(), ""});
  }
  out.line("a request for " + std::to_string(request.needed) + " signatures on this capsule:");
  out.line(capsules::show_text(shown, SystemClock().now().wall_s));
  TAPER_TRY(capsules::Value document,
            capsules::parse_value(as_bytes(capsules::show_json(shown)), limits::kArgumentBytesMax));
  out.set("capsule", std::move(document));
  out.set("id", shown.id.hex());

  TAPER_TRY(const std::vector<Signer> signers, find_signers(given, root));
  const KeyId signer =
      signers.empty() ? KeyId{shown.root.issuer.bytes} : crypto::key_id(signers.front().key);
  TAPER_CHECK(capsules::check_signable(shown.root, root, signer));
  if (!options.to_be_signed.empty())
    TAPER_CHECK(write_to_be_signed(options.to_be_signed, request.payload));
  if (signers.empty()) {
    out.line("nothing is signed: no --key and no --agent was given");
    return success();
  }
  TAPER_TRY(const Signing signing, Signing::open(signers, given));
  TAPER_TRY(std::vector<capsules::CapsuleSignature> signatures, signing.sign(request.payload, out));
  // As `open` will: what could never count is not handed on.
  const capsules::Issuer& issuer = *root.issuer(signer);
  TAPER_CHECK(capsules::check_signature(issuer.key, issuer.device, crypto::statement::kCapsule,
                                        request.payload, signatures.front().view()));
  const Bytes file =
      capsules::encode_signature({.capsule = shown.id, .signature = std::move(signatures.front())});
  TAPER_CHECK(write_signed(options.out, options.form, capsules::kSignatureLabel, file));
  out.line("signed as " + signer.hex() + " in " + escape_text(options.out));
  out.set("signer", signer.hex());
  out.set("file", text_value(options.out));
  return success();
}

void add_assemble_verb(Command& command, CLI::App* capsule) {
  auto options = std::make_shared<Assemble>();
  CLI::App* verb = command.verb(
      capsule, "assemble", "Make a capsule from a signing request and its signatures",
      "taper capsule assemble task.tpq alice.tps bob.sig --root root.tpr --out task.capsule",
      [&command, options] { return capsule_assemble(*options, command.out); });
  verb->add_option("REQUEST", options->request, "The signing request")->required();
  verb->add_option("SIGNATURES", options->signatures,
                   "What 'sign --from' wrote, or 'ssh-keygen -Y sign'")
      ->required();
  verb->add_option("--root", options->root, "The trust root that lists the issuers")->required();
  verb->add_option("--out", options->out, "The capsule; an earlier one is replaced")->required();
  command.writes(verb, "--out", [] { return FileKind::capsule; });
  verb->add_flag("--armour", options->armour, "Write the text form, for transport by hand");
}

}  // namespace taper::tools
