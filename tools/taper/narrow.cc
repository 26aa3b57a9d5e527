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

struct Narrow {
  std::string file, source, key, holder, root, out, tools;
  bool armour = false;
  PassphraseOptions passphrase;
};

const PublicKey& last_holder(const capsules::UntrustedCapsule& chain) {
  return chain.blocks.empty() ? chain.root.holder : chain.blocks.back().holder;
}

// Before any passphrase is asked for.
Status check_key(const Narrow& options, const capsules::UntrustedCapsule& chain) {
  TAPER_TRY(const crypto::KeyFileInfo info, crypto::inspect_key_file(options.key));
  if (info.role != crypto::Role::holder)
    return Error(Code::key_role, {.field = options.key,
                                  .expected = "holder",
                                  .got = std::string(crypto::role_name(info.role)),
                                  .fix = ""});
  if (info.key == last_holder(chain)) return success();
  return Error(Code::holder_not_last, {.field = options.key,
                                       .expected = crypto::public_key_text(last_holder(chain)),
                                       .got = crypto::public_key_text(info.key),
                                       .fix = ""});
}

Result<capsules::Block> read_narrowing(const Narrow& options,
                                       const capsules::UntrustedCapsule& chain,
                                       std::vector<capsules::Finding>& findings, Output& out) {
  TAPER_TRY(const capsules::KnownTools tools, known_tools(options.tools));
  TAPER_TRY(const Bytes source, read_file(options.source, limits::kSourceBytesMax));
  capsules::Narrowing narrowing =
      capsules::parse_narrowing(as_text(source), chain, tools, SystemClock().now().wall_s);
  if (!narrowing.block) {
    TAPER_CHECK(report_findings(narrowing.findings, out));
    return Error(Code::source_invalid);
  }
  findings = std::move(narrowing.findings);
  return *std::move(narrowing.block);
}

Result<Bytes> sign_block(const Narrow& options, ByteSpan file, capsules::Block block) {
  TAPER_TRY(const crypto::SigningKey key,
            open_key(options.key, crypto::Role::holder, options.passphrase));
  TAPER_TRY(block.previous, capsules::next_previous(file));
  TAPER_TRY(const Bytes payload, capsules::encode_block(block));
  return capsules::append_block(file, payload, key.sign(crypto::statement::kBlock, payload));
}

// What was signed, read back, must say all that was asked for.
Status check_said(const capsules::Block& asked, const capsules::Block& said) {
  for (std::size_t i = 0; i < asked.grants.size(); ++i) {
    const capsules::KeptGrant& one = asked.grants[i];
    const bool whole = i < said.grants.size() && said.grants[i].labels == one.labels &&
                       said.grants[i].refuse_after == one.refuse_after;
    if (!whole)
      return Error(Code::not_enforced_yet,
                   {.field = "grant " + one.id, .expected = "its labels", .got = "", .fix = ""});
  }
  return success();
}

void report_narrowed(const Narrow& options, const capsules::UntrustedCapsule& chain, Output& out) {
  const bool trusted = !options.root.empty();
  const std::size_t blocks = chain.blocks.size();
  out.line(trusted ? "VERIFIED against the trust root"
                   : "UNTRUSTED: no trust root was given, so nobody vouches for the capsule");
  out.line("narrowed " + escape_text(options.out) + ": block " + std::to_string(blocks) + " of " +
           chain.id.hex());
  out.line("held by " + crypto::public_key_text(chain.blocks.back().holder) + "; " +
           std::to_string(chain.root.max_depth - blocks) + " more blocks may follow");
  out.set("trusted", trusted);
  out.set("id", chain.id.hex());
  out.set("chain", chain.chain.hex());
  out.set("blocks", static_cast<std::int64_t>(blocks));
  out.set("holder", crypto::public_key_text(chain.blocks.back().holder));
  capsules::Array grants;
  for (const capsules::KeptGrant& kept : chain.blocks.back().grants)
    grants.emplace_back(text_value(kept.id));
  out.set("grants", std::move(grants));
  out.set("file", text_value(options.out));
}

Status capsule_narrow(const Narrow& options, Output& out) {
  TAPER_TRY(const Bytes file, read_capsule(options.file));
  TAPER_TRY(const capsules::UntrustedCapsule chain, read_chain(file, options.root));
  TAPER_CHECK(check_key(options, chain));
  TAPER_CHECK(capsules::may_narrow(chain));
  TAPER_TRY(const PublicKey holder, public_key_option(options.holder, crypto::Role::holder));
  std::vector<capsules::Finding> findings;
  TAPER_TRY(capsules::Block block, read_narrowing(options, chain, findings, out));
  block.holder = holder;
  TAPER_TRY(const Bytes longer, sign_block(options, file, block));
  TAPER_TRY(const capsules::UntrustedCapsule narrowed, read_chain(longer, options.root));
  TAPER_CHECK(check_said(block, narrowed.blocks.back()));
  TAPER_TRY(const capsules::KnownTools tools, known_tools(options.tools));
  for (capsules::Finding& note : capsules::lint_narrowed_plan(narrowed, tools))
    findings.push_back(std::move(note));
  TAPER_CHECK(report_findings(findings, out));
  const std::string text = options.armour ? capsules::armour(kCapsuleLabel, longer) : "";
  TAPER_CHECK(
      replace_file(options.out, options.armour ? as_bytes(text) : ByteSpan(longer), kPublicMode));
  report_narrowed(options, narrowed, out);
  return success();
}

}  // namespace

void add_narrow_verb(Command& command, CLI::App* capsule) {
  auto options = std::make_shared<Narrow>();
  CLI::App* narrow = command.verb(
      capsule, "narrow", "Append a block that narrows the capsule and hands it to another key",
      "taper capsule narrow task.capsule --with narrow.toml --key agent.key \\\n"
      "      --holder helper.pub --out helper.capsule",
      [&command, options] { return capsule_narrow(*options, command.out); });
  narrow->add_option("IN", options->file, "The capsule, binary or armoured")->required();
  narrow->add_option("--with", options->source, "What to keep, TOML: [[grant]] parent = \"id\" …")
      ->required();
  narrow->add_option("--key", options->key, "The last holder's key file")->required();
  narrow->add_option("--holder", options->holder, "The next holder's public key: F.pub or tpk:…")
      ->required();
  narrow->add_option("--root", options->root, "Verify against this trust root first");
  narrow->add_option("--tools", options->tools,
                     "The node's tools, as 'taper tools list --json' printed them");
  narrow->add_option("--out", options->out, "The longer capsule; an earlier one is replaced")
      ->required();
  command.writes(narrow, "--out", [] { return FileKind::capsule; });
  narrow->add_flag("--armour", options->armour, "Write the text form, for transport by hand");
  options->passphrase.add_to(narrow);
}

}  // namespace taper::tools
