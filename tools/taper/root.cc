#include <algorithm>
#include <optional>

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

// Issuers named on the command line, and what each may say.
struct NewIssuers {
  std::vector<std::string> issuers, tools;
  bool verify_user = false;
  bool long_leases = false;
  std::string max_ttl = "1h", max_validity = "7d", max_revocation_age = "7d";
};

// What both verbs that make a root take.
struct RootSigning {
  std::vector<std::string> keys;
  std::string valid_for, out;
  bool armour = false;
  PassphraseOptions passphrase;
};

struct NewRoot {
  NewIssuers issuers;
  RootSigning signing;
  std::vector<std::string> approvers, publishers, revokers, registrars, times, auditors, allocators;
  std::uint32_t threshold = 0;
  std::uint32_t issuer_threshold = 1;
};

// Key files of one role.
struct KeyChange {
  std::vector<std::string> added, dropped;
};

struct NextRoot {
  std::string from;
  NewIssuers added;
  std::vector<std::string> dropped;
  KeyChange times, revokers, auditors;
  bool reset_time = false;
  std::optional<std::uint32_t> issuer_threshold;
  RootSigning signing;
};

Result<capsules::IssuerLimits> issuer_limits(const NewIssuers& options) {
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

Status add_issuers(const NewIssuers& options, capsules::TrustRootData& data) {
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
  return success();
}

Status set_expiry(const RootSigning& options, capsules::TrustRootData& data) {
  if (options.valid_for.empty()) return success();
  TAPER_TRY(const std::int64_t valid_ms, duration_option("--valid-for", options.valid_for));
  data.expires_s = data.issued_at_s + valid_ms / kMsPerS;
  return success();
}

Result<std::vector<crypto::SigningKey>> open_keys(const RootSigning& options) {
  std::vector<crypto::SigningKey> keys;
  for (const std::string& path : options.keys) {
    TAPER_TRY(crypto::SigningKey key, open_key(path, crypto::Role::root, options.passphrase));
    keys.push_back(std::move(key));
  }
  return keys;
}

Result<Bytes> sign_root(const capsules::TrustRootData& data,
                        const std::vector<crypto::SigningKey>& keys) {
  TAPER_TRY(const Bytes payload, capsules::encode_root(data));
  std::vector<capsules::RootSignature> signatures;
  for (const crypto::SigningKey& key : keys)
    signatures.push_back({.key = crypto::key_id(key.public_key()),
                          .signature = key.sign(crypto::statement::kRoot, payload)});
  return capsules::frame_root(payload, signatures);
}

Status write_root(const RootSigning& options, ByteSpan file, const capsules::TrustRoot& root,
                  Output& out) {
  TAPER_CHECK(
      write_signed(options.out, options.armour ? Form::armoured : Form::binary, kRootLabel, file));
  out.set("fleet", root.fleet().hex());
  out.set("version", static_cast<std::int64_t>(root.data().version));
  out.set("file", text_value(options.out));
  return success();
}

Status root_init(const NewRoot& options, Output& out) {
  capsules::TrustRootData data;
  data.version = 1;
  data.issued_at_s = SystemClock().now().wall_s;
  TAPER_CHECK(set_expiry(options.signing, data));
  TAPER_CHECK(add_issuers(options.issuers, data));
  TAPER_CHECK(add_roles(options, data));
  TAPER_TRY(const std::vector<crypto::SigningKey> keys, open_keys(options.signing));
  for (const crypto::SigningKey& key : keys) data.root_keys.push_back(key.public_key());
  data.root_threshold =
      options.threshold == 0 ? static_cast<std::uint32_t>(keys.size()) : options.threshold;
  data.issuer_threshold = options.issuer_threshold;
  TAPER_TRY(const Bytes file, sign_root(data, keys));
  TAPER_TRY(const capsules::TrustRoot root, capsules::open_root(file));
  out.line("fleet " + root.fleet().hex());
  return write_root(options.signing, file, root, out);
}

Status drop_issuers(const NextRoot& options, const capsules::TrustRoot& before,
                    capsules::TrustRootData& data) {
  for (const std::string& given : options.dropped) {
    TAPER_TRY(const PublicKey key, public_key_option(given, crypto::Role::issuer));
    TAPER_CHECK(check_issuer(before, key, given));
    std::erase_if(data.issuers,
                  [&key](const capsules::Issuer& issuer) { return issuer.key == key; });
  }
  return success();
}

Status change_keys(const KeyChange& change, crypto::Role role, const std::string& drop,
                   std::vector<PublicKey>& keys) {
  for (const std::string& given : change.dropped) {
    TAPER_TRY(const PublicKey key, public_key_option(given, role));
    if (std::erase(keys, key) == 0)
      return usage_error(drop, "one that 'taper root show' lists", given);
  }
  for (const std::string& given : change.added) {
    TAPER_TRY(const PublicKey key, public_key_option(given, role));
    keys.push_back(key);
  }
  return success();
}

// Files that a key of before signed about the time must not count again.
Status check_reset(const capsules::TrustRootData& before, const capsules::TrustRootData& data) {
  for (const PublicKey& key : data.time_keys) {
    if (data.time_reset && std::ranges::find(before.time_keys, key) != before.time_keys.end())
      return usage_error("--add-time", "with --reset-time a key that the root before does not list",
                         crypto::public_key_text(key));
  }
  return success();
}

// The data of the version before, one version on. Its news are of now, so not of an earlier time
// than those before, and a root that is over as it is made would be none.
Result<capsules::TrustRootData> next_data(const NextRoot& options,
                                          const capsules::TrustRoot& before) {
  capsules::TrustRootData data = before.data();
  data.version = before.data().version + 1;
  data.fleet = before.fleet();
  data.previous = before.hash();
  data.issued_at_s = SystemClock().now().wall_s;
  data.time_reset = options.reset_time;
  if (data.time_reset) data.time_keys.clear();
  if (data.issued_at_s < before.data().issued_at_s && !data.time_reset)
    return Error(Code::time_behind,
                 {"issued_at", "not before " + format_utc_s(before.data().issued_at_s),
                  format_utc_s(data.issued_at_s), ""});
  TAPER_CHECK(set_expiry(options.signing, data));
  if (data.expires_s && *data.expires_s <= data.issued_at_s)
    return usage_error("--valid-for", "given, since this root's end is not taken over",
                       "an end at " + format_utc_s(*data.expires_s));
  TAPER_CHECK(drop_issuers(options, before, data));
  TAPER_CHECK(add_issuers(options.added, data));
  using crypto::Role;
  TAPER_CHECK(change_keys(options.times, Role::time, "--drop-time", data.time_keys));
  TAPER_CHECK(change_keys(options.revokers, Role::revoker, "--drop-revoker", data.revokers));
  TAPER_CHECK(change_keys(options.auditors, Role::auditor, "--drop-auditor", data.auditors));
  TAPER_CHECK(check_reset(before.data(), data));
  data.issuer_threshold = options.issuer_threshold.value_or(data.issuer_threshold);
  return data;
}

Status check_root_keys(const std::vector<crypto::SigningKey>& keys,
                       const capsules::TrustRootData& before) {
  for (const crypto::SigningKey& key : keys) {
    const PublicKey half = key.public_key();
    if (std::ranges::find(before.root_keys, half) == before.root_keys.end())
      return Error(Code::signer_unknown,
                   {"--key", "a root key of the version before", crypto::public_key_text(half),
                    "sign with the root keys that 'taper root show' lists"});
  }
  return success();
}

// Root keys and their threshold are taken over, so enough signatures for the one version are enough
// for the other.
Status root_next(const NextRoot& options, Output& out) {
  TAPER_TRY(const capsules::TrustRoot before, read_root(options.from));
  TAPER_TRY(const capsules::TrustRootData data, next_data(options, before));
  TAPER_TRY(const std::vector<crypto::SigningKey> keys, open_keys(options.signing));
  TAPER_CHECK(check_root_keys(keys, before.data()));
  TAPER_TRY(const Bytes file, sign_root(data, keys));
  TAPER_TRY(const capsules::TrustRoot root, capsules::open_root(file));
  TAPER_ASSERT(root.fleet() == before.fleet() && root.data().previous == before.hash() &&
               root.data().version == before.data().version + 1 &&
               root.data().root_keys == before.data().root_keys &&
               root.data().root_threshold == before.data().root_threshold);
  out.line("root " + std::to_string(root.data().version) + " of fleet " + root.fleet().hex());
  return write_root(options.signing, file, root, out);
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

void add_limit_options(CLI::App* verb, NewIssuers& options) {
  verb->add_flag("--verify-user", options.verify_user,
                 "Issuers' security keys must ask for PIN or fingerprint, not for touch alone");
  verb->add_option("--max-ttl", options.max_ttl, "Longest lease of a capsule")
      ->capture_default_str();
  verb->add_flag("--long-leases", options.long_leases,
                 "Capsules may declare a lease above 24h, within --max-ttl");
  verb->add_option("--max-validity", options.max_validity, "Longest window of a capsule")
      ->capture_default_str();
  verb->add_option("--max-revocation-age", options.max_revocation_age,
                   "Oldest revocation news that a capsule may accept")
      ->capture_default_str();
  each(verb, "--tool", options.tools, "A tool that capsules may grant (default: all tools)");
}

void add_signing_options(CLI::App* verb, RootSigning& options, const std::string& out) {
  verb->add_option("--out", options.out, out)->required();
  verb->add_flag("--armour", options.armour, "Write the text form, for transport by hand");
  options.passphrase.add_to(verb);
}

void add_init_options(CLI::App* init, NewRoot& options) {
  each(init, "--key", options.signing.keys, "A root key file; give it again for more keys")
      ->required();
  each(init, "--issuer", options.issuers.issuers,
       "An issuer that may sign capsules: F.pub or tpk:…")
      ->required();
  init->add_option("--threshold", options.threshold,
                   "Root signatures that a root needs (default: all root keys given)");
  init->add_option("--issuer-threshold", options.issuer_threshold,
                   "Issuer signatures that a capsule needs")
      ->capture_default_str();
  add_limit_options(init, options.issuers);
  init->add_option("--valid-for", options.signing.valid_for,
                   "The root expires after this (default: not)");
  each(init, "--approver", options.approvers, "An approver's public key");
  each(init, "--publisher", options.publishers, "A publisher's public key");
  each(init, "--revoker", options.revokers, "A revoker's public key");
  each(init, "--registrar", options.registrars, "A registrar's public key");
  each(init, "--time", options.times, "A time key's public key");
  each(init, "--auditor", options.auditors, "An auditor's public key");
  each(init, "--allocator", options.allocators, "An allocator's public key");
  add_signing_options(init, options.signing, "The trust root file; an earlier one is replaced");
}

void add_next_options(CLI::App* next, NextRoot& options) {
  next->add_option("--from", options.from, "The newest version of the trust root")->required();
  each(next, "--key", options.signing.keys,
       "A key file of one of its root keys; again until they are as many as a root needs")
      ->required();
  next->add_option("--valid-for", options.signing.valid_for,
                   "The root expires after this (default: when the version before does)");
  CLI::Option* added = each(next, "--add-issuer", options.added.issuers,
                            "One more issuer that may sign capsules: F.pub or tpk:…");
  each(next, "--drop-issuer", options.dropped, "An issuer whose signatures no longer count");
  each(next, "--add-time", options.times.added, "One more time key");
  each(next, "--drop-time", options.times.dropped,
       "A time key whose signatures no longer count; what it said before stays");
  next->add_flag("--reset-time", options.reset_time,
                 "A signer's clock was wrong: nodes forget what was signed about the time before, "
                 "and the time keys of before are dropped");
  each(next, "--add-revoker", options.revokers.added,
       "One more revoker, who may order the end of tasks");
  each(next, "--drop-revoker", options.revokers.dropped, "A revoker whose orders no longer count");
  each(next, "--add-auditor", options.auditors.added,
       "One more auditor, who may release archived logs");
  each(next, "--drop-auditor", options.auditors.dropped,
       "An auditor whose releases no longer count");
  next->add_option("--issuer-threshold", options.issuer_threshold,
                   "Issuer signatures that a capsule needs (default: as before)");
  add_limit_options(next, options.added);
  for (const char* limit : {"--verify-user", "--max-ttl", "--long-leases", "--max-validity",
                            "--max-revocation-age", "--tool"})
    next->get_option(limit)->needs(added);
  add_signing_options(next, options.signing,
                      "The file of the next version; keep the versions before it");
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

  auto next_options = std::make_shared<NextRoot>();
  CLI::App* next = command.verb(
      root, "next", "Make and sign the next version of a trust root, for 'taper import'",
      "taper root next --from root.tpr --key root.key --out root2.tpr",
      [&command, next_options] { return root_next(*next_options, command.out); });
  add_next_options(next, *next_options);
  command.writes(next, "--out", [] { return FileKind::next_root; });

  auto path = std::make_shared<std::string>();
  CLI::App* show = command.verb(root, "show", "Verify a trust root by its own keys and show it",
                                "taper root show root.tpr",
                                [&command, path] { return root_show(*path, command.out); });
  show->add_option("FILE", *path, "The trust root")->required();
}

}  // namespace taper::tools
