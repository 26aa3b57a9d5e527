#include "store/log_statements.h"

#include <algorithm>

#include "runtime/base/text.h"

namespace taper::store {

Bytes record_bytes(LeafType type, std::string_view body) {
  ByteWriter out;
  out.u8(kRecordVersion).u16(static_cast<std::uint16_t>(type)).raw(as_bytes(body));
  return std::move(out).bytes();
}

std::string incarnation_body(const Incarnation& incarnation, std::string_view origin) {
  return R"({"incarnation":")" + incarnation.hex() + R"(","origin":")" + std::string(origin) +
         R"("})";
}

std::string log_key_body(std::uint64_t epoch, const PublicKey& key) {
  return R"({"epoch":)" + std::to_string(epoch) + R"(,"key":")" + key.hex() + R"("})";
}

std::string checkpoint_text(std::string_view origin, std::uint64_t size, const TreeHash& root,
                            std::uint64_t epoch) {
  return std::string(origin) + "\n" + std::to_string(size) + "\n" + to_base64(root.bytes) + "\n" +
         std::to_string(epoch) + "\n";
}

std::string export_text(std::string_view origin, std::uint64_t size, const TreeHash& root,
                        const Incarnation& incarnation, const std::optional<Nonce>& nonce) {
  return std::string(origin) + "\n" + std::to_string(size) + "\n" + to_base64(root.bytes) + "\n" +
         incarnation.hex() + "\n" + (nonce ? nonce->hex() : "none") + "\n";
}

Bytes encode(const SignedHead& head) {
  ByteWriter out;
  out.u64(head.size).raw(head.root.span()).raw(head.signature);
  return std::move(out).bytes();
}

SignedHead take_signed_head(ByteReader& reader) {
  SignedHead head;
  head.size = reader.u64();
  const ByteSpan root = reader.take(TreeHash::kSize);
  const ByteSpan signature = reader.take(head.signature.size());
  if (!reader.ok()) return {};
  std::copy(root.begin(), root.end(), head.root.bytes.begin());
  std::copy(signature.begin(), signature.end(), head.signature.begin());
  return head;
}

SignedHead sign_head(const crypto::SigningKey& key, std::string_view origin, std::uint64_t size,
                     const TreeHash& root, std::uint64_t epoch) {
  const std::string text = checkpoint_text(origin, size, root, epoch);
  return {size, root, key.sign(crypto::statement::kCheckpoint, as_bytes(text))};
}

bool verify_head(const PublicKey& key, std::string_view origin, const SignedHead& head,
                 std::uint64_t epoch) {
  const std::string text = checkpoint_text(origin, head.size, head.root, epoch);
  return crypto::verify(key, crypto::statement::kCheckpoint, as_bytes(text), head.signature);
}

}  // namespace taper::store
