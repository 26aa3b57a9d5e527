#include "crypto/secret.h"

#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>

#include "runtime/base/assert.h"

namespace taper::crypto {

Secret::Secret(std::size_t size)
    : data_(size == 0 ? nullptr : static_cast<std::uint8_t*>(sodium_malloc(size))), size_(size) {
  TAPER_ASSERT(size == 0 || data_);
  std::fill_n(data_.get(), size_, std::uint8_t{0});
}

Secret Secret::copy_of(ByteSpan bytes) {
  Secret secret(bytes.size());
  std::copy(bytes.begin(), bytes.end(), secret.data_.get());
  return secret;
}

void Secret::Wipe::operator()(std::uint8_t* data) const noexcept { sodium_free(data); }

void forbid_dumps() {
  const rlimit none{0, 0};
  static_cast<void>(::setrlimit(RLIMIT_CORE, &none));
  static_cast<void>(::prctl(PR_SET_DUMPABLE, 0));
}

void wipe(std::span<std::uint8_t> bytes) { sodium_memzero(bytes.data(), bytes.size()); }

}  // namespace taper::crypto
