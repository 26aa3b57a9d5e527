#include "capsules/author/request.h"
#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/keys.h"

namespace taper::tools {
namespace {

constexpr unsigned kPublicMode = 0644;
constexpr std::string_view kSecretSuffix = ".key";

struct NewKey {
  std::string role;
  std::string out;
  bool no_passphrase = false;
  PassphraseOptions passphrase;
};

std::string public_path_of(const std::string& secret_path) {
  const bool suffixed = secret_path.ends_with(kSecretSuffix);
  return (suffixed ? secret_path.substr(0, secret_path.size() - kSecretSuffix.size())
                   : secret_path) +
         ".pub";
}

Result<crypto::Role> role_option(const std::string& name) {
  const std::optional<crypto::Role> role = crypto::parse_role(name);
  if (role && *role != crypto::Role::node && *role != crypto::Role::unset) return *role;
  return usage_error("--role",
                     "root, issuer, approver, publisher, revoker, registrar, time, auditor, "
                     "allocator, witness or holder",
                     name);
}

Status key_new(const NewKey& options, Output& out) {
  TAPER_TRY(const crypto::Role role, role_option(options.role));
  const crypto::SigningKey key = crypto::SigningKey::generate();
  const std::string public_path = public_path_of(options.out);
  if (options.no_passphrase) {
    TAPER_CHECK(crypto::write_key_pair(options.out, public_path, role, key, {}));
  } else {
    TAPER_TRY(const crypto::Secret passphrase, new_passphrase(options.out, options.passphrase));
    TAPER_CHECK(crypto::write_key_pair(options.out, public_path, role, key,
                                       {.text = as_text(passphrase.bytes())}));
  }
  const std::string text = crypto::public_key_text(key.public_key());
  out.line(text);
  out.set("role", crypto::role_name(role));
  out.set("key", text);
  out.set("secret_file", text_value(options.out));
  out.set("public_file", text_value(public_path));
  return success();
}

struct FromSsh {
  std::string file, out;
  std::string role = "issuer";
};

Status key_from_ssh(const FromSsh& options, Output& out) {
  TAPER_TRY(const crypto::Role role, role_option(options.role));
  if (role != crypto::Role::issuer)
    return usage_error("--role", "issuer: no other role signs by SSH", options.role);
  TAPER_TRY(const Bytes text, read_file(options.file, limits::kKeyFileBytesMax));
  TAPER_TRY(crypto::PublicKeyFile key, capsules::parse_ssh_public_key(as_text(text)));
  key.role = role;
  TAPER_CHECK(create_file(options.out, as_bytes(crypto::public_key_file_text(key)), kPublicMode));
  const std::string shown = crypto::public_key_text(key.key);
  out.line(shown + (key.security_key ? " (in a security key)" : ""));
  out.set("role", crypto::role_name(role));
  out.set("key", shown);
  out.set("security_key", key.security_key);
  out.set("public_file", text_value(options.out));
  return success();
}

Status key_show(const std::string& path, Output& out) {
  crypto::KeyFileInfo info;
  Result<crypto::PublicKeyFile> open = crypto::read_public_key_file(path, std::nullopt);
  const bool secret = !open.ok();
  if (secret) {
    Result<crypto::KeyFileInfo> inspected = crypto::inspect_key_file(path);
    if (!inspected.ok()) return Error(inspected.error());
    info = *inspected;
  } else {
    info = {.role = open->role, .key = open->key, .locked = false};
  }
  const std::string half =
      secret ? (info.locked ? "secret, locked" : "secret, not locked") : "public";
  out.line(std::string(crypto::role_name(info.role)) + " " + crypto::public_key_text(info.key) +
           " (" + half + ")");
  out.line("id " + crypto::key_id(info.key).hex());
  out.set("role", crypto::role_name(info.role));
  out.set("key", crypto::public_key_text(info.key));
  out.set("id", crypto::key_id(info.key).hex());
  out.set("secret", secret);
  out.set("locked", info.locked);
  return success();
}

}  // namespace

void add_key_verbs(Command& command) {
  CLI::App* key = command.group("key", "Make and look at keys: one key, one role");
  auto options = std::make_shared<NewKey>();
  CLI::App* make =
      command.verb(key, "new", "Make a key pair; existing files are never replaced",
                   "taper key new --role issuer --out issuer.key     # also writes issuer.pub",
                   [&command, options] { return key_new(*options, command.out); });
  make->add_option("--role", options->role,
                   "root, issuer, approver, publisher, revoker, registrar, time, auditor, "
                   "allocator, witness or holder")
      ->required();
  make->add_option("--out", options->out, "The secret key file, F.key; F.pub stands beside it")
      ->required();
  make->add_flag("--no-passphrase", options->no_passphrase,
                 "For machines: the secret is not locked, and the file says so");
  options->passphrase.add_to(make);

  auto ssh = std::make_shared<FromSsh>();
  CLI::App* import =
      command.verb(key, "from-ssh", "Make an issuer's public key file from OpenSSH's",
                   "taper key from-ssh id_ed25519.pub --out issuer.pub",
                   [&command, ssh] { return key_from_ssh(*ssh, command.out); });
  import->add_option("FILE", ssh->file, "An OpenSSH .pub file of type ed25519 or ed25519-sk")
      ->required();
  import->add_option("--role", ssh->role, "issuer")->capture_default_str();
  import->add_option("--out", ssh->out, "F.pub; an existing file is never replaced")->required();

  auto path = std::make_shared<std::string>();
  CLI::App* show = command.verb(key, "show", "Show the role and public half of a key file",
                                "taper key show issuer.pub",
                                [&command, path] { return key_show(*path, command.out); });
  show->add_option("FILE", *path, "A .key or .pub file")->required();
}

}  // namespace taper::tools
