#include "tests/support/ssh_signer.h"

#include <sodium.h>

#include <array>

#include "runtime/base/assert.h"
#include "runtime/base/text.h"

namespace taper::testing {
namespace {

constexpr std::size_t kColumns = 70;

// Big-endian, length first, as RFC 4251 has it.
class SshWriter {
 public:
  SshWriter& raw(ByteSpan bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  SshWriter& number(std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      out_.push_back(static_cast<std::uint8_t>(value >> shift));
    }
    return *this;
  }
  SshWriter& text(ByteSpan bytes) {
    return number(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
  }
  SshWriter& text(const std::string& value) { return text(as_bytes(value)); }
  const Bytes& bytes() const { return out_; }

 private:
  Bytes out_;
};

Bytes hashed(const std::string& name, ByteSpan message) {
  Bytes out(name == "sha256" ? crypto_hash_sha256_BYTES : crypto_hash_sha512_BYTES);
  if (name == "sha256") {
    crypto_hash_sha256(out.data(), message.data(), message.size());
  } else {
    crypto_hash_sha512(out.data(), message.data(), message.size());
  }
  return out;
}

Bytes device_message(const SecurityKey& device, ByteSpan message) {
  SshWriter out;
  out.raw(hashed("sha256", as_bytes(device.application))).raw(Bytes{device.flags});
  return out.number(device.counter).raw(hashed("sha256", message)).bytes();
}

Bytes key_blob(const std::string& type, ByteSpan key, const std::optional<SecurityKey>& device) {
  SshWriter out;
  out.text(type).text(key);
  if (device) out.text(device->application);
  return out.bytes();
}

std::string type_of(const std::optional<SecurityKey>& device) {
  return device ? "sk-ssh-ed25519@openssh.com" : "ssh-ed25519";
}

}  // namespace

Bytes SshSignature::blob() const {
  SshWriter inner;
  inner.text(signature_type).text(signature);
  if (device) inner.raw(Bytes{device->flags}).number(device->counter);
  inner.raw(as_bytes(after_signature));
  SshWriter public_key;
  public_key.raw(key_blob(key_type, key, device)).raw(as_bytes(after_key));
  SshWriter out;
  out.raw(as_bytes(magic)).number(version).text(public_key.bytes()).text(name_space);
  out.text(reserved).text(hash).text(inner.bytes()).raw(as_bytes(after_all));
  return out.bytes();
}

std::string SshSignature::armour() const {
  const std::string text = to_base64(blob());
  std::string out = "-----BEGIN SSH SIGNATURE-----\n";
  for (std::size_t i = 0; i < text.size(); i += kColumns) out += text.substr(i, kColumns) + "\n";
  return out + "-----END SSH SIGNATURE-----\n";
}

SshSignature ssh_sign(const crypto::SigningKey& key, std::string name_space, ByteSpan message,
                      const std::optional<SecurityKey>& device, std::string hash) {
  SshWriter preimage;
  preimage.raw(as_bytes("SSHSIG")).text(name_space).text("").text(hash).text(hashed(hash, message));
  const Bytes covered = device ? device_message(*device, preimage.bytes()) : preimage.bytes();
  std::array<std::uint8_t, crypto_sign_PUBLICKEYBYTES> open{};
  std::array<std::uint8_t, crypto_sign_SECRETKEYBYTES> secret{};
  crypto_sign_seed_keypair(open.data(), secret.data(), key.seed().data());
  SshSignature out;
  out.signature.resize(crypto_sign_BYTES);
  crypto_sign_detached(out.signature.data(), nullptr, covered.data(), covered.size(),
                       secret.data());
  out.key_type = out.signature_type = type_of(device);
  out.key.assign(open.begin(), open.end());
  out.name_space = std::move(name_space);
  out.hash = std::move(hash);
  out.device = device;
  return out;
}

std::string ssh_public_line(const PublicKey& key, const std::optional<SecurityKey>& device) {
  const std::string type = type_of(device);
  return type + " " + to_base64(key_blob(type, key.span(), device)) + " test@example\n";
}

}  // namespace taper::testing
