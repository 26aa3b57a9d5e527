#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/keys.h"
#include "tools/taper/signer.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

constexpr std::int64_t kMsPerS = 1000;

struct NewRoot {
  std::vector<std::string> keys, issuers, approvers, publishers, revokers, registrars, times,
      auditors, allocators;
  std::vector<std::string> tools;
  std::uint32_t threshold = 0;
  std::uint32_t issuer_threshold = 1;
  bool verify_user = false;
  bool long_leases = false;
  bool armour = false;
  std::string max_ttl = "1h", max_validity = "7d", max_revocation_age = "7d", valid_for;
  std::string out;
  PassphraseOptions passphrase;
};

Result<capsules::IssuerLimits> issuer_limits(const NewRoot& options) {
  TAPER_TRY(const std::int64_t ttl_ms, duration_option("--max-ttl", options.max_ttl));
  TAPER_TRY(const std::int64_t validity_ms,
            duration_option("--max-validity", options.max_validity));
  TAPER_TRY(const std::int64_t age_ms,
            duration_option("--max-revocation-age", options.max_revocation_age));
  return capsules::IssuerLimits{.max_ttl_ms = ttl_ms,
                                .max_validity_s = validity_ms / kMsPerS,
                                .max_revocation_age_s = age_ms / kMsPerS,
                                .all_tools = options.tools.empty(),
                                .tools = options.tools,
                                .long_leases = options.long_leases};
}

Status add_roles(const NewRoot& options, capsules::TrustRootData& data) {
  struct Line {
    const std::vector<std::string>& given;
    crypto::Role role;
    std::vector<PublicKey>& keys;
  };
  const Line lines[] = {{options.approvers, crypto::Role::approver, data.approvers},
                        {options.publishers, crypto::Role::publisher, data.publishers},
                        {options.revokers, crypto::Role::revoker, data.revokers},
                        {options.registrars, crypto::Role::registrar, data.registrars},
                        {options.times, crypto::Role::time, data.time_keys},
                        {options.auditors, crypto::Role::auditor, data.auditors},
                        {options.allocators, crypto::Role::allocator, data.allocators}};
  for (const Line& line : lines) {
    for (const std::string& given : line.given) {
      TAPER_TRY(const PublicKey key, public_key_option(given, line.role));
      line.keys.push_back(key);
    }
  }
  return success();
}

Status root_init(const NewRoot& options, Output& out) {
  capsules::TrustRootData data;
  data.version = 1;
  data.issued_at_s = SystemClock().now().wall_s;
  if (!options.valid_for.empty()) {
    TAPER_TRY(const std::int64_t valid_ms, duration_option("--valid-for", options.valid_for));
    data.expires_s = data.issued_at_s + valid_ms / kMsPerS;
  }
  TAPER_TRY(const capsules::IssuerLimits limits, issuer_limits(options));
  for (const std::string& given : options.issuers) {
    TAPER_TRY(const crypto::PublicKeyFile file,
              public_key_file_option(given, crypto::Role::issuer));
    const crypto::Device device =
        options.verify_user ? crypto::Device::verified : crypto::Device::touched;
    data.issuers.push_back({.key = file.key,
                            .not_before_s = {},
                            .not_after_s = {},
                            .limits = limits,
                            .device = file.security_key ? device : crypto::Device::none});
  }
  TAPER_CHECK(add_roles(options, data));
  std::vector<crypto::SigningKey> keys;
  for (const std::string& path : options.keys) {
    TAPER_TRY(crypto::SigningKey key, open_key(path, crypto::Role::root, options.passphrase));
    data.root_keys.push_back(key.public_key());
    keys.push_back(std::move(key));
  }
  data.root_threshold =
      options.threshold == 0 ? static_cast<std::uint32_t>(keys.size()) : options.threshold;
  data.issuer_threshold = options.issuer_threshold;
  TAPER_TRY(const Bytes payload, capsules::encode_root(data));
  std::vector<capsules::RootSignature> signatures;
  for (const crypto::SigningKey& key : keys)
    signatures.push_back({.key = crypto::key_id(key.public_key()),
                          .signature = key.sign(crypto::statement::kRoot, payload)});
  const Bytes file = capsules::frame_root(payload, signatures);
  TAPER_TRY(const capsules::TrustRoot root, capsules::open_root(file));
  TAPER_CHECK(
      write_signed(options.out, options.armour ? Form::armoured : Form::binary, kRootLabel, file));
  out.line("fleet " + root.fleet().hex());
  out.set("fleet", root.fleet().hex());
  out.set("version", std::int64_t{1});
  out.set("file", text_value(options.out));
  return success();
}

Status root_show(const std::string& path, Output& out) {
  TAPER_TRY(const capsules::TrustRoot root, read_root(path));
  out.set_document(capsules::show_root_json(root));
  out.line(capsules::show_root_text(root));
  return success();
}

// A list option of which each use takes one value.
CLI::Option* each(CLI::App* verb, const std::string& name, std::vector<std::string>& values,
                  const std::string& about) {
  return verb->add_option(name, values, about)->allow_extra_args(false);
}

void add_init_options(CLI::App* init, NewRoot& options) {
  each(init, "--key", options.keys, "A root key file; give it again for more keys")->required();
  each(init, "--issuer", options.issuers, "An issuer that may sign capsules: F.pub or tpk:…")
      ->required();
  init->add_option("--threshold", options.threshold,
                   "Root signatures that a root needs (default: all root keys given)");
  init->add_option("--issuer-threshold", options.issuer_threshold,
                   "Issuer signatures that a capsule needs")
      ->capture_default_str();
  init->add_flag("--verify-user", options.verify_user,
                 "Issuers' security keys must ask for PIN or fingerprint, not for touch alone");
  init->add_option("--max-ttl", options.max_ttl, "Longest lease of a capsule")
      ->capture_default_str();
  init->add_flag("--long-leases", options.long_leases,
                 "Capsules may declare a lease above 24h, within --max-ttl");
  init->add_option("--max-validity", options.max_validity, "Longest window of a capsule")
      ->capture_default_str();
  init->add_option("--max-revocation-age", options.max_revocation_age,
                   "Oldest revocation news that a capsule may accept")
      ->capture_default_str();
  each(init, "--tool", options.tools, "A tool that capsules may grant (default: all tools)");
  init->add_option("--valid-for", options.valid_for, "The root expires after this (default: not)");
  each(init, "--approver", options.approvers, "An approver's public key");
  each(init, "--publisher", options.publishers, "A publisher's public key");
  each(init, "--revoker", options.revokers, "A revoker's public key");
  each(init, "--registrar", options.registrars, "A registrar's public key");
  each(init, "--time", options.times, "A time key's public key");
  each(init, "--auditor", options.auditors, "An auditor's public key");
  each(init, "--allocator", options.allocators, "An allocator's public key");
  init->add_option("--out", options.out, "The trust root file; an earlier one is replaced")
      ->required();
  init->add_flag("--armour", options.armour, "Write the text form, for transport by hand");
  options.passphrase.add_to(init);
}

}  // namespace

void add_root_verbs(Command& command) {
  CLI::App* root = command.group("root", "The trust root: who may sign what");
  auto options = std::make_shared<NewRoot>();
  CLI::App* init =
      command.verb(root, "init", "Make and sign version 1 of a trust root; its hash is the fleet",
                   "taper root init --key root.key --issuer issuer.pub --max-ttl 1h --out root.tpr",
                   [&command, options] { return root_init(*options, command.out); });
  add_init_options(init, *options);
  command.writes(init, "--out", [] { return FileKind::root; });

  auto path = std::make_shared<std::string>();
  CLI::App* show = command.verb(root, "show", "Verify a trust root by its own keys and show it",
                                "taper root show root.tpr",
                                [&command, path] { return root_show(*path, command.out); });
  show->add_option("FILE", *path, "The trust root")->required();
}

}  // namespace taper::tools
