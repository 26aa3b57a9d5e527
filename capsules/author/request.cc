#include "capsules/author/request.h"

#include <algorithm>

#include "capsules/author/author.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

using crypto::Device;

constexpr std::string_view kRequestMagic = "TPQ1";
constexpr std::string_view kSignatureMagic = "TPS1";
constexpr std::string_view kSshBegin = "-----BEGIN SSH SIGNATURE-----\n";
constexpr std::string_view kSshEnd = "-----END SSH SIGNATURE-----";

std::string_view type_of(Device device) {
  return device == Device::none ? "ssh-ed25519" : "sk-ssh-ed25519@openssh.com";
}

Error malformed(std::string field, std::string expected) {
  return Error(Code::request_malformed, {std::move(field), std::move(expected), "", ""});
}

Error too_large(std::string what, std::size_t most, std::size_t got) {
  return Error(Code::too_large, {std::move(what), "at most " + std::to_string(most) + " bytes",
                                 std::to_string(got) + " bytes", ""});
}

Status check_times(const Capsule& capsule, const Issuer& issuer, const KeyId& id) {
  const bool early = issuer.not_before_s && capsule.issued_at_s < *issuer.not_before_s;
  const bool late = issuer.not_after_s && capsule.issued_at_s > *issuer.not_after_s;
  if (!early && !late) return success();
  return Error(Code::issuer_window, {"issued_at_s", "within the window of key " + id.hex(),
                                     format_utc_s(capsule.issued_at_s), ""});
}

// All but the key's own bytes follows from the type, so a key is read by writing it again.
std::optional<crypto::PublicKeyFile> as_key(ByteSpan blob, Device device) {
  const std::size_t at = 4 + type_of(device).size() + 4;
  if (blob.size() < at + PublicKey::kSize) return std::nullopt;
  const auto key = PublicKey::from(blob.subspan(at, PublicKey::kSize));
  if (!key || crypto::ssh_public_key(*key, device) != to_bytes(blob)) return std::nullopt;
  return crypto::PublicKeyFile{crypto::Role::unset, *key, device != Device::none};
}

}  // namespace

Bytes encode_request(const SigningRequest& request) {
  ByteWriter writer;
  writer.raw(as_bytes(kRequestMagic)).u8(request.needed).block(request.payload);
  return std::move(writer).bytes();
}

Result<SigningRequest> decode_request(ByteSpan file) {
  if (file.size() > limits::kCapsuleBytesMax) {
    return too_large("request", limits::kCapsuleBytesMax, file.size());
  }
  ByteReader reader(file);
  if (as_text(reader.take(kRequestMagic.size())) != kRequestMagic) {
    return malformed("magic", std::string(kRequestMagic));
  }
  SigningRequest out;
  out.needed = reader.u8();
  out.payload = to_bytes(reader.block(limits::kCapsuleBytesMax));
  if (!reader.done()) return malformed("payload", "its whole length, then the end of the file");
  if (out.needed < 1 || out.needed > limits::kSignaturesMax) return malformed("needed", "1 to 8");
  return out;
}

Bytes encode_signature(const SignatureFile& file) {
  const CapsuleSignature& signature = file.signature;
  ByteWriter writer;
  writer.raw(as_bytes(kSignatureMagic)).raw(file.capsule.span()).raw(signature.key.span());
  writer.u8(signature.kind).u16(static_cast<std::uint16_t>(signature.signature.size()));
  return std::move(writer.raw(signature.signature)).bytes();
}

Result<SignatureFile> decode_signature(ByteSpan file) {
  ByteReader reader(file);
  if (as_text(reader.take(kSignatureMagic.size())) != kSignatureMagic) {
    return malformed("magic", std::string(kSignatureMagic));
  }
  SignatureFile out;
  out.capsule = Hash::from(reader.take(Hash::kSize)).value_or(Hash{});
  out.signature.key = KeyId::from(reader.take(KeyId::kSize)).value_or(KeyId{});
  out.signature.kind = reader.u8();
  const std::size_t size = reader.u16();
  if (size > limits::kSignatureBytesMax) {
    return too_large("signature", limits::kSignatureBytesMax, size);
  }
  out.signature.signature = to_bytes(reader.take(size));
  if (!reader.done()) return malformed("signature", "its whole length, then the end of the file");
  const bool raw = out.signature.kind == kRawSignature;
  if (out.signature.kind < kRawSignature || out.signature.kind > kSkSshSignature ||
      (raw && size != sizeof(crypto::Signature))) {
    return malformed("kind", "1 with 64 bytes, 2 or 3");
  }
  return out;
}

Result<Bytes> ssh_unarmour(std::string_view text) {
  if (text.size() > limits::kArmourBytesMax) {
    return too_large("text form", limits::kArmourBytesMax, text.size());
  }
  const std::size_t end = text.find(kSshEnd);
  std::string digits;
  if (text.starts_with(kSshBegin) && end != text.npos && end >= kSshBegin.size()) {
    for (const char c : text.substr(kSshBegin.size(), end - kSshBegin.size())) {
      if (c != '\n' && c != '\r') digits += c;
    }
    const std::string_view rest = text.substr(end + kSshEnd.size());
    const std::optional<Bytes> blob = from_base64(digits);
    if (blob && rest.find_first_not_of("\r\n") == rest.npos) return *blob;
  }
  return Error(Code::armour_malformed, {"text", "what 'ssh-keygen -Y sign' wrote", "", ""});
}

Result<CapsuleSignature> of_issuer(ByteSpan blob, const TrustRoot& root) {
  for (const Issuer& issuer : root.data().issuers) {
    const Bytes head = crypto::sshsig_head(issuer.key, issuer.device, crypto::statement::kCapsule);
    if (blob.size() > limits::kSignatureBytesMax || blob.size() < head.size() ||
        !std::equal(head.begin(), head.end(), blob.begin())) {
      continue;
    }
    return CapsuleSignature{crypto::key_id(issuer.key),
                            issuer.device == Device::none ? kSshSignature : kSkSshSignature,
                            to_bytes(blob)};
  }
  return Error(Code::request_malformed,
               {"SSH signature",
                "by an issuer of the root, hash sha512, namespace " +
                    std::string(crypto::statement::kCapsule),
                "another",
                "sign the file of --tbs with 'ssh-keygen -Y sign -n " +
                    std::string(crypto::statement::kCapsule) + " -f KEY FILE'"});
}

Result<crypto::PublicKeyFile> parse_ssh_public_key(std::string_view text) {
  // A comment may follow on the line, and nothing after the line.
  const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
  const std::string_view after = text.substr(end);
  if (text.size() <= limits::kKeyFileBytesMax && (after.empty() || after == "\n")) {
    text = text.substr(0, end);
    const std::size_t space = text.find(' ');
    const std::string_view rest = space == text.npos ? "" : text.substr(space + 1);
    const std::optional<Bytes> blob = from_base64(rest.substr(0, rest.find(' ')));
    for (const Device device : {Device::none, Device::touched}) {
      const auto key = blob ? as_key(*blob, device) : std::nullopt;
      if (key && text.substr(0, space) == type_of(device)) return *key;
    }
  }
  return Error(
      Code::key_file_malformed,
      {"SSH key", "one line: ssh-ed25519 or sk-ssh-ed25519@openssh.com of application ssh:",
       "something else", "make one with 'ssh-keygen -t ed25519' or '-t ed25519-sk'"});
}

Status check_signable(const Capsule& capsule, const TrustRoot& root, const KeyId& signer) {
  if (capsule.fleet != root.fleet()) {
    return Error(Code::fleet_other, {"fleet", root.fleet().hex(), capsule.fleet.hex(), ""});
  }
  Draft draft;
  draft.capsule = capsule;
  draft.window_for_s = capsule.not_after_s - capsule.not_before_s;
  for (const KeyId& id : {signer, KeyId{capsule.issuer.bytes}}) {
    const Issuer* issuer = root.issuer(id);
    if (issuer == nullptr) {
      return Error(Code::signer_unknown, {"issuers", "an issuer of the trust root", id.hex(), ""});
    }
    TAPER_CHECK(check_times(capsule, *issuer, id));
    for (const Finding& finding : lint(draft, {}, &root, &id)) {
      if (finding.code != Code::issuer_limit) continue;
      return Error(finding.code,
                   {finding.where, "within the limits of key " + id.hex(), finding.what, ""});
    }
  }
  return success();
}

}  // namespace taper::capsules
