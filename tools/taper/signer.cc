#include "tools/taper/signer.h"

#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/ssh_agent.h"

namespace taper::tools {
namespace {

constexpr unsigned kPublicMode = 0644;
constexpr std::string_view kPublicSuffix = ".pub";
constexpr std::string_view kSecretSuffix = ".key";

Result<PublicKey> key_in_file(const std::string& path) {
  TAPER_TRY(const crypto::KeyFileInfo info, crypto::inspect_key_file(path));
  if (info.role == crypto::Role::issuer) return info.key;
  return Error(Code::key_role, {.field = path,
                                .expected = "issuer",
                                .got = std::string(crypto::role_name(info.role)),
                                .fix = ""});
}

}  // namespace

void SignerOptions::add_to(CLI::App* verb) {
  verb->add_option("--key", keys, "The issuer's key file; give it again for co-signers' keys")
      ->allow_extra_args(false);
  verb->add_option("--agent", agents,
                   "The public key, F.pub or tpk:…, of an issuer whose secret ssh-agent holds")
      ->allow_extra_args(false);
  passphrase.add_to(verb);
}

Status check_issuer(const capsules::TrustRoot& root, const PublicKey& key,
                    const std::string& given) {
  if (root.issuer(crypto::key_id(key)) != nullptr) return success();
  return Error(Code::signer_unknown, {.field = given,
                                      .expected = "an issuer of the trust root",
                                      .got = crypto::public_key_text(key),
                                      .fix = "sign with a listed issuer, or make a root that lists "
                                             "this one"});
}

Result<std::vector<Signer>> find_signers(const SignerOptions& options,
                                         const capsules::TrustRoot& root) {
  std::vector<Signer> out;
  for (const std::string& path : options.keys) {
    TAPER_TRY(const PublicKey key, key_in_file(path));
    out.push_back({.key = key, .given = path});
  }
  for (const std::string& given : options.agents) {
    TAPER_TRY(const PublicKey key, public_key_option(given, crypto::Role::issuer));
    out.push_back({.key = key, .given = given, .by_agent = true});
  }
  if (out.size() > limits::kSignaturesMax)
    return usage_error("--key", "at most " + std::to_string(limits::kSignaturesMax) + " signers",
                       std::to_string(out.size()));
  for (Signer& signer : out) {
    TAPER_CHECK(check_issuer(root, signer.key, signer.given));
    signer.device = root.issuer(crypto::key_id(signer.key))->device;
  }
  return out;
}

Result<Signing> Signing::open(const std::vector<Signer>& signers, const SignerOptions& options) {
  Signing out;
  for (const Signer& signer : signers) {
    Opened opened{.signer = signer, .secret = std::nullopt};
    if (!signer.by_agent) {
      TAPER_TRY(crypto::SigningKey key,
                open_key(signer.given, crypto::Role::issuer, options.passphrase));
      opened.secret = std::move(key);
    }
    out.opened_.push_back(std::move(opened));
  }
  return out;
}

Result<std::vector<capsules::CapsuleSignature>> Signing::sign(ByteSpan payload, Output& out) const {
  constexpr std::string_view kType = crypto::statement::kCapsule;
  std::vector<capsules::CapsuleSignature> signatures;
  for (const auto& [signer, secret] : opened_) {
    capsules::CapsuleSignature signature;
    signature.key = crypto::key_id(signer.key);
    if (secret) {
      const crypto::Signature raw = secret->sign(kType, payload);
      signature.signature = to_bytes(raw);
    } else {
      const bool touch = signer.device != crypto::Device::none;
      if (touch) out.note("touch the security key of " + escape_text(signer.given));
      signature.kind = touch ? capsules::kSkSshSignature : capsules::kSshSignature;
      TAPER_TRY(signature.signature,
                sign_with_agent(signer.key, signer.device, kType,
                                crypto::pre_authentication_encoding(kType, payload)));
    }
    signatures.push_back(std::move(signature));
  }
  return signatures;
}

Result<std::string> counter_of(const std::string& public_file) {
  if (!public_file.ends_with(kPublicSuffix))
    return usage_error("issuer", "its file F.pub, beside which its counter of serials stands",
                       public_file);
  return public_file.substr(0, public_file.size() - kPublicSuffix.size()) +
         std::string(kSecretSuffix);
}

Status write_signed(const std::string& path, Form form, std::string_view label, ByteSpan bytes) {
  if (form == Form::binary) return replace_file(path, bytes, kPublicMode);
  return replace_file(path, as_bytes(capsules::armour(label, bytes)), kPublicMode);
}

Result<Bytes> read_signed(const std::string& path, std::string_view label) {
  TAPER_TRY(Bytes file, read_file(path, limits::kArmourBytesMax));
  if (!as_text(file).starts_with("-----BEGIN")) return file;
  return capsules::unarmour(label, as_text(file));
}

}  // namespace taper::tools
