// links: taper_capsules
// Capsule files, their payloads and trust roots: framing, FlatBuffers, every decoder.
#include <cstddef>
#include <cstdint>
#include <string>

#include "capsules/open.h"
#include "capsules/trust_root.h"
#include "crypto/crypto.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "tests/fuzz/planted.h"

namespace {

void check(const taper::capsules::Capsule& capsule) {
  TAPER_ASSERT(!capsule.grants.empty());
  TAPER_ASSERT(capsule.lease_idle_ms >= 1 && capsule.lease_idle_ms <= capsule.lease_ttl_ms);
  TAPER_ASSERT(capsule.long_lease == (capsule.lease_ttl_ms > taper::limits::kLongLeaseMs));
  TAPER_ASSERT(capsule.not_after_s > capsule.not_before_s);
  for (const auto& grant : capsule.grants) {
    TAPER_ASSERT(!grant.verbs.empty());
    for (const auto& rule : grant.args) TAPER_ASSERT(!rule.all.empty());
  }
  // No seed's texts hold one of these.
  std::string texts = capsule.purpose + capsule.requester + capsule.agent + capsule.tenant;
  for (const auto& grant : capsule.grants) texts += grant.id + grant.tool;
  taper::fuzz::planted_bug(texts.find_first_of("!#$%&()*+;<=>?[]^{|}~") != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool ready = taper::crypto::initialise().ok();
  TAPER_ASSERT(ready);
  const taper::ByteSpan input(data, size);
  // The seeds are whole files and bare payloads.
  if (const auto payload = taper::capsules::decode_capsule(input); payload.ok()) check(*payload);
  (void)taper::capsules::decode_block(input).ok();
  if (const auto file = taper::capsules::read_untrusted(input, {}); file.ok()) check(file->root);
  (void)taper::capsules::open_root(input).ok();
  return 0;
}
