// links: taper_capsules
// What anybody can seal to a node: the plaintext of a box, and a box itself.
#include <cstddef>
#include <cstdint>

#include "capsules/secret.h"
#include "crypto/crypto.h"
#include "runtime/base/assert.h"
#include "tests/fuzz/planted.h"

namespace {

using namespace taper;

// corpus/secret/whole is the plaintext that binds the value "word" to this capsule.
capsules::Capsule capsule() {
  capsules::Capsule out;
  out.fleet.bytes.fill(1);
  out.issuer.bytes.fill(2);
  out.serial = 3;
  out.audience.node.bytes.fill(4);
  out.not_after_s = 5;
  out.grants.resize(1);
  out.grants[0].id = "g";
  out.grants[0].secrets = {"db"};
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  TAPER_ASSERT(crypto::initialise().ok());
  static const crypto::UnsealingKey key = crypto::UnsealingKey::from_bytes(Bytes(32, 9));
  static const capsules::Capsule around = capsule();
  const ByteSpan bytes(data, size);
  TAPER_ASSERT(!capsules::open_secret(around, {"db", to_bytes(bytes)}, key).ok());
  const capsules::SealedSecret secret{"db", crypto::seal(key.public_key(), bytes)};
  const Result<crypto::Secret> value = capsules::open_secret(around, secret, key);
  if (!value.ok()) return 0;
  ByteWriter whole;  // one form only
  for (const capsules::BoundPart& part : capsules::bound_parts(around, "db")) whole.raw(part.bytes);
  TAPER_ASSERT(whole.block(value->bytes()).bytes() == to_bytes(bytes));
  fuzz::planted_bug(value->size() == 4 && as_text(value->bytes()) != "word");
  return 0;
}
