#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/keys.h"
#include "tools/taper/serial.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

constexpr unsigned kPublicMode = 0644;

struct Sign {
  std::string source, root, node, holder, out, tools;
  std::vector<std::string> keys;  // the issuer's first, then co-signers'
  bool armour = false;
  PassphraseOptions passphrase;
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

Status check_issuer(const capsules::TrustRoot& root, const PublicKey& key,
                    const std::string& path) {
  if (root.issuer(crypto::key_id(key)) != nullptr) return success();
  return Error(Code::signer_unknown, {.field = path,
                                      .expected = "an issuer of the trust root",
                                      .got = crypto::public_key_text(key),
                                      .fix = "sign with a listed issuer, or make a root that lists "
                                             "this one"});
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

Result<Bytes> sign_capsule(const Sign& options, capsules::Capsule& capsule) {
  std::vector<crypto::SigningKey> keys;
  for (const std::string& path : options.keys) {
    TAPER_TRY(crypto::SigningKey key, open_key(path, crypto::Role::issuer, options.passphrase));
    keys.push_back(std::move(key));
  }
  TAPER_TRY(capsule.serial, take_serial(options.keys.front(), capsule.issued_at_s));
  TAPER_TRY(const Bytes payload, capsules::encode_capsule(capsule));
  std::vector<capsules::RootSignature> signatures;
  for (const crypto::SigningKey& key : keys)
    signatures.push_back({.key = crypto::key_id(key.public_key()),
                          .signature = key.sign(crypto::statement::kCapsule, payload)});
  return capsules::write_envelope(payload, signatures);
}

void report_signed(const Sign& options, const capsules::VerifiedCapsule& capsule, Output& out) {
  const capsules::Capsule& root = capsule.root();
  out.line("signed " + escape_text(options.out) + ": " + capsule.id().hex());
  out.line("may be activated from " + format_utc_s(root.not_before_s) + " to " +
           format_utc_s(root.not_after_s) + ", then lives for " +
           format_duration_ms(root.lease_ttl_ms));
  out.set("id", capsule.id().hex());
  out.set("serial", std::to_string(root.serial));
  out.set("not_before", format_utc_s(root.not_before_s));
  out.set("not_after", format_utc_s(root.not_after_s));
  out.set("file", text_value(options.out));
}

Status capsule_sign(const Sign& options, Output& out) {
  TAPER_TRY(const capsules::TrustRoot root, read_root(options.root));
  PublicKey issuer;
  for (std::size_t i = 0; i < options.keys.size(); ++i) {
    TAPER_TRY(const crypto::KeyFileInfo info, crypto::inspect_key_file(options.keys[i]));
    if (info.role != crypto::Role::issuer)
      return Error(Code::key_role, {.field = options.keys[i],
                                    .expected = "issuer",
                                    .got = std::string(crypto::role_name(info.role)),
                                    .fix = ""});
    TAPER_CHECK(check_issuer(root, info.key, options.keys[i]));
    if (i == 0) issuer = info.key;
  }
  TAPER_TRY(capsules::Draft draft, read_draft(options, root, issuer, out));
  TAPER_TRY(capsules::Capsule capsule, complete(options, std::move(draft), root, issuer));
  TAPER_TRY(const Bytes file, sign_capsule(options, capsule));
  TAPER_TRY(const capsules::VerifiedCapsule opened, capsules::open(file, root));
  if (options.armour) {
    const std::string text = capsules::armour(kCapsuleLabel, file);
    TAPER_CHECK(replace_file(options.out, as_bytes(text), kPublicMode));
  } else {
    TAPER_CHECK(replace_file(options.out, file, kPublicMode));
  }
  report_signed(options, opened, out);
  return success();
}

}  // namespace

void add_sign_verb(Command& command, CLI::App* capsule) {
  auto options = std::make_shared<Sign>();
  CLI::App* sign = command.verb(
      capsule, "sign", "Lint a source, sign it, check the result and write it",
      "taper capsule sign task.toml --key issuer.key --root root.tpr --node node.pub \\\n"
      "      --holder agent.pub --out task.capsule",
      [&command, options] { return capsule_sign(*options, command.out); });
  sign->add_option("SOURCE", options->source, "The source, TOML")->required();
  sign->add_option("--key", options->keys,
                   "The issuer's key file; give it again for co-signers' keys")
      ->required()
      ->allow_extra_args(false);
  sign->add_option("--root", options->root, "The trust root that lists the issuer")->required();
  sign->add_option("--node", options->node, "The node's record, node.pub");
  sign->add_option("--holder", options->holder, "The holder's public key: F.pub or tpk:…");
  sign->add_option("--tools", options->tools,
                   "The node's tools, as 'taper tools list --json' printed them");
  sign->add_option("--out", options->out, "The capsule; replaced atomically")->required();
  sign->add_flag("--armour", options->armour, "Write the text form, for transport by hand");
  options->passphrase.add_to(sign);
}

}  // namespace taper::tools
