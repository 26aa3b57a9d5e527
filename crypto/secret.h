// Memory for secrets: allocated by sodium_malloc (guard pages, locked), wiped when freed, never
// copied, never printed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/base/bytes.h"

namespace taper::crypto {

class Secret {
 public:
  Secret() = default;  // empty
  explicit Secret(
      std::size_t size);  // zeroed, locked as far as the system lets us; aborts without memory
  static Secret copy_of(ByteSpan bytes);
  Secret(Secret&&) noexcept = default;
  Secret& operator=(Secret&&) noexcept = default;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::span<std::uint8_t> bytes() { return {data_.get(), size_}; }
  ByteSpan bytes() const { return {data_.get(), size_}; }

 private:
  struct Wipe {
    void operator()(std::uint8_t* data) const noexcept;
  };
  std::unique_ptr<std::uint8_t, Wipe> data_;
  std::size_t size_ = 0;
};

// No core file of this process, and no other process of the same user reads its memory, from here
// on.
void forbid_dumps();

// Overwrites memory that is about to be given up (strings, vectors on the way).
void wipe(std::span<std::uint8_t> bytes);

}  // namespace taper::crypto
