#include "capsules/author/author.h"
#include "capsules/signed_release.h"
#include "crypto/crypto.h"
#include "runtime/base/text.h"
#include "tools/taper/audit.h"
#include "tools/taper/signer.h"

namespace taper::tools {
namespace {

struct Releasing {
  std::vector<std::string> files;
  std::string node, key, out;
  bool armour = false;
  PassphraseOptions passphrase;
};

// Only what verifies to its last byte is signed; what lies behind it stays at the node.
Status audit_release(const Releasing& options, Output& out) {
  TAPER_TRY(const authority::NodeRecord record, read_node_record(options.node));
  TAPER_TRY(const store::VerifiedLog log, verify_files(options.files, record, {}));
  TAPER_TRY(const crypto::SigningKey key,
            open_key(options.key, crypto::Role::auditor, options.passphrase));
  const capsules::LogRelease release{.node = record.sign,
                                     .incarnation = record.incarnation,
                                     .size = log.records,
                                     .root = log.root,
                                     .signer = {}};
  TAPER_TRY(const Bytes payload, capsules::encode_release(release));
  const Bytes file = capsules::frame_release(
      payload, {crypto::key_id(key.public_key()), key.sign(crypto::statement::kRelease, payload)});
  TAPER_CHECK(write_signed(options.out, options.armour ? Form::armoured : Form::binary,
                           kReleaseLabel, file));
  out.line("verified, and released: the first " + std::to_string(log.records) +
           " records of node " + escape_text(record.name));
  out.line("root " + log.root.hex());
  out.line("keep the verified files: the node forgets these records once it takes this in");
  out.set("records", static_cast<std::int64_t>(log.records));
  out.set("root", log.root.hex());
  out.set("node", crypto::public_key_text(record.sign));
  out.set("file", text_value(options.out));
  return success();
}

}  // namespace

void add_release_verb(Command& command, CLI::App* audit) {
  auto options = std::make_shared<Releasing>();
  CLI::App* verb = command.verb(
      audit, "release", "At the centre: let a node forget the records that are archived here",
      "taper audit release log.tpa --node node.pub --key auditor.key --out log.tpl",
      [&command, options] { return audit_release(*options, command.out); });
  verb->add_option("FILES", options->files,
                   "The exported log that is archived; behind it, in order, its further parts")
      ->required();
  verb->add_option("--node", options->node, "The node's record, node.pub")->required();
  verb->add_option("--key", options->key, "A key file of role auditor, which the root lists")
      ->required();
  verb->add_option("--out", options->out, "The release; an earlier one is replaced")->required();
  command.writes(verb, "--out", [] { return FileKind::release; });
  verb->add_flag("--armour", options->armour, "Write the text form, for transport by hand");
  options->passphrase.add_to(verb);
}

}  // namespace taper::tools
