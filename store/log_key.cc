#include "store/log_key.h"

#include "crypto/crypto.h"
#include "runtime/base/assert.h"

namespace taper::store {
namespace {

constexpr std::size_t kSeedBytes = 32;
constexpr std::string_view kEvolve = "taper log evolve";

}  // namespace

LogSeed LogSeed::generate() {
  crypto::Secret seed(kSeedBytes);
  crypto::random_bytes(seed.bytes());
  return {0, seed.bytes()};
}

LogSeed::LogSeed(std::uint64_t epoch, ByteSpan seed)
    : epoch_(epoch), seed_(crypto::Secret::copy_of(seed)) {
  TAPER_ASSERT(seed.size() == kSeedBytes);
}

crypto::SigningKey LogSeed::key() const { return crypto::SigningKey::from_seed(bytes()); }

LogSeed LogSeed::next() const {
  Hash evolved = crypto::hash({bytes(), as_bytes(kEvolve)});
  LogSeed seed(epoch_ + 1, evolved.span());
  crypto::wipe(evolved.bytes);
  return seed;
}

}  // namespace taper::store
