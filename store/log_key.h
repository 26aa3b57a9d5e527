// The log's signing keys: a one-way ratchet. seed[n+1] = BLAKE2b(seed[n], "taper log evolve"); who
// takes the host later cannot sign what was written before. docs/formats/log.md
#pragma once

#include "crypto/sign.h"

namespace taper::store {

class LogSeed {
 public:
  static LogSeed generate();
  LogSeed(std::uint64_t epoch, ByteSpan seed);  // 32 bytes, asserted
  std::uint64_t epoch() const { return epoch_; }
  ByteSpan bytes() const { return seed_.bytes(); }
  crypto::SigningKey key() const;
  LogSeed next() const;

 private:
  std::uint64_t epoch_ = 0;
  crypto::Secret seed_;
};

}  // namespace taper::store
