#include "crypto/sshsig.h"

#include <sodium.h>

#include <algorithm>
#include <array>

namespace taper::crypto {
namespace {

constexpr std::string_view kMagic = "SSHSIG";
constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kHash = "sha512";
constexpr std::string_view kApplication = "ssh:";
constexpr std::size_t kFlagsAndCounter = 5;
constexpr std::uint8_t kUserPresent = 0x01;
constexpr std::uint8_t kUserVerified = 0x04;

std::string_view type_of(Device device) {
  return device == Device::none ? "ssh-ed25519" : "sk-ssh-ed25519@openssh.com";
}

// SSH's numbers are big-endian.
ByteWriter& add(ByteWriter& out, std::size_t number) {
  return out.raw(ByteSpan(big_endian(number)).last(4));
}
ByteWriter& add(ByteWriter& out, ByteSpan text) { return add(out, text.size()).raw(text); }
ByteWriter& add(ByteWriter& out, std::string_view text) { return add(out, as_bytes(text)); }

// What a security key signs: the hashes of application and message about its own flags and counter.
Bytes device_message(ByteSpan flags_and_counter, ByteSpan message) {
  std::array<std::uint8_t, crypto_hash_sha256_BYTES> hash{};
  ByteWriter out;
  crypto_hash_sha256(hash.data(), as_bytes(kApplication).data(), kApplication.size());
  out.raw(hash).raw(flags_and_counter);
  crypto_hash_sha256(hash.data(), message.data(), message.size());
  return std::move(out.raw(hash)).bytes();
}

}  // namespace

Bytes ssh_public_key(const PublicKey& key, Device device) {
  ByteWriter out;
  add(add(out, type_of(device)), key.span());
  if (device != Device::none) add(out, kApplication);
  return std::move(out).bytes();
}

Bytes sshsig_head(const PublicKey& key, Device device, std::string_view name_space) {
  const std::string_view type = type_of(device);
  const std::size_t more = device == Device::none ? 0 : kFlagsAndCounter;
  ByteWriter out;
  add(out.raw(as_bytes(kMagic)), kVersion);
  add(add(add(add(out, ssh_public_key(key, device)), name_space), ""), kHash);
  add(out, sizeof(std::uint32_t) * 2 + type.size() + crypto_sign_BYTES + more);
  add(add(out, type), std::size_t{crypto_sign_BYTES});
  return std::move(out).bytes();
}

Bytes sshsig_preimage(std::string_view name_space, ByteSpan message) {
  std::array<std::uint8_t, crypto_hash_sha512_BYTES> hash{};
  crypto_hash_sha512(hash.data(), message.data(), message.size());
  ByteWriter out;
  add(add(out.raw(as_bytes(kMagic)), name_space), "");
  add(add(out, kHash), ByteSpan(hash));
  return std::move(out).bytes();
}

Status verify_sshsig(const PublicKey& key, Device device, std::string_view name_space,
                     ByteSpan message, ByteSpan blob) {
  const Bytes head = sshsig_head(key, device, name_space);
  const std::size_t more = device == Device::none ? 0 : kFlagsAndCounter;
  const Error wrong(Code::signature_wrong,
                    {"signatures", "an SSHSIG of this key over this statement", "another", ""});
  if (blob.size() != head.size() + crypto_sign_BYTES + more) return wrong;
  if (!std::equal(head.begin(), head.end(), blob.begin())) return wrong;
  const ByteSpan rest = blob.last(more);
  Bytes covered = sshsig_preimage(name_space, message);
  if (device != Device::none) covered = device_message(rest, covered);
  if (crypto_sign_verify_detached(blob.data() + head.size(), covered.data(), covered.size(),
                                  key.bytes.data()) != 0) {
    return wrong;
  }
  if (device == Device::none) return success();
  const std::uint8_t least = kUserPresent | (device == Device::verified ? kUserVerified : 0);
  if ((rest[0] & least) == least) return success();
  return Error(Code::user_unverified,
               {"signatures.flags", device == Device::verified ? "present, verified" : "present",
                std::to_string(rest[0]), ""});
}

}  // namespace taper::crypto
