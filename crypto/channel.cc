#include "crypto/channel.h"

#include <sodium.h>

#include <string_view>

#include "crypto/crypto.h"
#include "runtime/base/assert.h"

namespace taper::crypto {
namespace {

constexpr std::string_view kHolderToNode = "taper session tags, holder to node, v1";
constexpr std::string_view kNodeToHolder = "taper session tags, node to holder, v1";

Secret tag_key(const Secret& shared, std::string_view direction, const Hash& transcript) {
  Secret key(Tag::kSize);
  const Bytes input = ByteWriter().text(direction).raw(transcript.span()).bytes();
  TAPER_ASSERT(crypto_generichash(key.bytes().data(), key.size(), input.data(), input.size(),
                                  shared.bytes().data(), shared.size()) == 0);
  return key;
}

Tag tag_of(const Secret& key, std::uint64_t number, ByteSpan body) {
  Tag tag;
  crypto_generichash_state state;
  const Bytes front = ByteWriter().u64(number).bytes();
  TAPER_ASSERT(crypto_generichash_init(&state, key.bytes().data(), key.size(), Tag::kSize) == 0);
  TAPER_ASSERT(crypto_generichash_update(&state, front.data(), front.size()) == 0);
  TAPER_ASSERT(crypto_generichash_update(&state, body.data(), body.size()) == 0);
  TAPER_ASSERT(crypto_generichash_final(&state, tag.bytes.data(), Tag::kSize) == 0);
  return tag;
}

}  // namespace

ExchangeKey::ExchangeKey(Secret secret) : secret_(std::move(secret)) {
  crypto_scalarmult_base(public_key_.bytes.data(), secret_.bytes().data());
}

ExchangeKey ExchangeKey::generate() {
  Secret secret(crypto_scalarmult_SCALARBYTES);
  random_bytes(secret.bytes());
  return ExchangeKey(std::move(secret));
}

Result<Secret> ExchangeKey::shared_with(const SealKey& other) const {
  Secret shared(crypto_scalarmult_BYTES);
  if (crypto_scalarmult(shared.bytes().data(), secret_.bytes().data(), other.bytes.data()) != 0)
    return Error(Code::signature_wrong, {"session key", "a point of large order", "", ""});
  return shared;
}

Channel::Channel(Side ours, const Secret& shared, const Hash& transcript)
    : send_(tag_key(shared, ours == Side::holder ? kHolderToNode : kNodeToHolder, transcript)),
      receive_(tag_key(shared, ours == Side::holder ? kNodeToHolder : kHolderToNode, transcript)) {}

Tag Channel::seal(ByteSpan body) { return tag_of(send_, sent_++, body); }

Status Channel::open(ByteSpan body, const Tag& tag) {
  if (broken_ || !constant_time_equal(tag_of(receive_, received_, body).span(), tag.span())) {
    broken_ = true;
    return Error(Code::signature_wrong,
                 {"tag", "that of message " + std::to_string(received_), "another", ""});
  }
  ++received_;
  return success();
}

}  // namespace taper::crypto
