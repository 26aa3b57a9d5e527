#include "capsules/envelope.h"

#include <algorithm>
#include <tuple>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

constexpr std::string_view kMagic = "TPC1";
constexpr std::size_t kEd25519Bytes = std::tuple_size_v<crypto::Signature>;

Error broken(std::string field, std::string expected) {
  return Error(Code::envelope_malformed, {std::move(field), std::move(expected), "", ""});
}

SignatureView read_signature(ByteReader& reader) {
  SignatureView view;
  view.key = KeyId::from(reader.take(KeyId::kSize)).value_or(KeyId{});
  view.kind = reader.u8();
  view.signature = reader.take(reader.u16());
  return view;
}

bool fits(const SignatureView& view) {
  if (view.kind == kRawSignature) return view.signature.size() == kEd25519Bytes;
  return view.signature.size() <= limits::kSignatureBytesMax;
}

}  // namespace

Result<SignedPart> read_signed_part(ByteReader& reader, std::string_view magic,
                                    std::size_t payload_max) {
  SignedPart part;
  if (as_text(reader.take(magic.size())) != magic) return broken("magic", std::string(magic));
  part.payload = reader.block(payload_max);
  if (!reader.ok()) return broken("payload", "its whole length");
  const std::uint8_t count = reader.u8();
  if (count == 0 || count > limits::kSignaturesMax) return broken("signatures", "1 to 8");
  for (std::uint8_t i = 0; i < count; ++i) {
    part.signatures.push_back(read_signature(reader));
    if (!reader.ok() || !fits(part.signatures.back())) {
      return broken("signatures[" + std::to_string(i) + "]", "a whole signature of its kind");
    }
  }
  return part;
}

void write_signed_part(ByteWriter& writer, std::string_view magic, ByteSpan payload,
                       const std::vector<SignatureView>& signatures) {
  TAPER_ASSERT(!signatures.empty() && signatures.size() <= limits::kSignaturesMax);
  writer.raw(as_bytes(magic)).block(payload).u8(static_cast<std::uint8_t>(signatures.size()));
  for (const SignatureView& view : signatures) {
    TAPER_ASSERT(fits(view));
    const auto size = static_cast<std::uint16_t>(view.signature.size());
    writer.raw(view.key.span()).u8(view.kind).u16(size).raw(view.signature);
  }
}

std::vector<SignatureView> views(const std::vector<RootSignature>& signatures) {
  std::vector<SignatureView> out;
  for (const RootSignature& each : signatures) {
    out.push_back({each.key, kRawSignature, each.signature});
  }
  return out;
}

Status check_signers(const std::vector<SignatureView>& signatures) {
  for (auto at = signatures.begin(); at != signatures.end(); ++at) {
    const bool repeated = std::any_of(
        signatures.begin(), at, [at](const SignatureView& other) { return other.key == at->key; });
    if (repeated) {
      return Error(Code::signer_repeated, {"signatures", "each key once", at->key.hex(), ""});
    }
    if (at->kind >= kRawSignature && at->kind <= kSkSshSignature) continue;
    return Error(Code::feature_unknown,
                 {"signatures.kind", "1 to 3", std::to_string(at->kind), ""});
  }
  return success();
}

Status check_signature(const PublicKey& key, crypto::Device device, std::string_view statement,
                       ByteSpan payload, const SignatureView& signature) {
  if ((signature.kind == kSkSshSignature) != (device != crypto::Device::none)) {
    return Error(
        Code::signature_wrong,
        {"signatures.kind", device == crypto::Device::none ? "1 or 2" : "3, a security key",
         std::to_string(signature.kind), ""});
  }
  if (signature.kind != kRawSignature) {
    return crypto::verify_sshsig(key, device, statement,
                                 crypto::pre_authentication_encoding(statement, payload),
                                 signature.signature);
  }
  if (crypto::verify(key, statement, payload, signature.signature)) return success();
  return Error(Code::signature_wrong,
               {"signatures", "a signature of key " + signature.key.hex(), "another", ""});
}

Result<SoleSignature> open_sole_signature(ByteSpan file, const SoleSigner& wanted) {
  if (file.size() > wanted.bytes_max)
    return Error(Code::too_large,
                 {wanted.what, "at most " + std::to_string(wanted.bytes_max) + " bytes",
                  std::to_string(file.size()) + " bytes", ""});
  ByteReader reader(file);
  TAPER_TRY(const SignedPart part, read_signed_part(reader, wanted.magic, wanted.bytes_max));
  if (!reader.done() || part.signatures.size() != 1)
    return broken("signatures", "one, and the end of the file");
  TAPER_CHECK(check_signers(part.signatures));
  const SignatureView& signature = part.signatures.front();
  const auto key = std::ranges::find(wanted.keys, signature.key, crypto::key_id);
  if (key == wanted.keys.end())
    return Error(wanted.others, {"signatures", wanted.signer, signature.key.hex(), ""});
  TAPER_CHECK(
      check_signature(*key, crypto::Device::none, wanted.statement, part.payload, signature));
  return SoleSignature{part.payload, signature.key};
}

Result<Envelope> read_envelope(ByteSpan file) {
  if (file.size() > limits::kCapsuleBytesMax) {
    return Error(Code::too_large,
                 {"capsule", "at most " + std::to_string(limits::kCapsuleBytesMax) + " bytes",
                  std::to_string(file.size()) + " bytes", ""});
  }
  ByteReader reader(file);
  TAPER_TRY(SignedPart part, read_signed_part(reader, kMagic, limits::kCapsuleBytesMax));
  Envelope envelope{part.payload, std::move(part.signatures), {}, {}};
  envelope.head = file.first(file.size() - reader.left());
  const std::uint8_t count = reader.u8();
  if (!reader.ok() || count > limits::kBlocksMax) return broken("blocks", "0 to 8");
  const ByteSpan rest = file.last(reader.left());
  for (std::uint8_t i = 0; i < count; ++i) {
    BlockView block;
    block.earlier = rest.first(rest.size() - reader.left());
    block.payload = reader.block(limits::kCapsuleBytesMax);
    block.signature = reader.take(kEd25519Bytes);
    envelope.blocks.push_back(block);
  }
  if (!reader.done()) return broken("end", "the end of the file after the last block");
  return envelope;
}

Bytes write_envelope(ByteSpan payload, const std::vector<RootSignature>& signatures) {
  return assemble_envelope(payload, views(signatures));
}

Bytes assemble_envelope(ByteSpan payload, const std::vector<SignatureView>& signatures) {
  ByteWriter writer;
  write_signed_part(writer, kMagic, payload, signatures);
  return std::move(writer.u8(0)).bytes();
}

Result<Bytes> append_block(ByteSpan file, ByteSpan block_payload,
                           const crypto::Signature& signature) {
  TAPER_TRY(const Envelope envelope, read_envelope(file));
  const std::size_t count = envelope.blocks.size();
  if (count == limits::kBlocksMax) {
    return Error(Code::too_large, {"blocks", "at most " + std::to_string(count), "one more", ""});
  }
  ByteWriter writer;
  writer.raw(envelope.head).u8(static_cast<std::uint8_t>(count + 1));
  writer.raw(file.subspan(envelope.head.size() + 1)).block(block_payload).raw(signature);
  Bytes out = std::move(writer).bytes();
  TAPER_CHECK(read_envelope(out));
  return out;
}

}  // namespace taper::capsules
