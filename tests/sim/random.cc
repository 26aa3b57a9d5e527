// libsodium asks us for its random bytes.
#include <sodium.h>

#include <cstring>

#include "tests/sim/dice.h"

namespace taper::sim {
namespace {

Dice& source() {
  static Dice dice(0);
  return dice;
}

void fill(void* const out, const std::size_t size) {
  auto* at = static_cast<unsigned char*>(out);
  for (std::size_t done = 0; done < size; done += sizeof(std::uint64_t)) {
    const std::uint64_t word = source().next();
    std::memcpy(at + done, &word, std::min(sizeof word, size - done));
  }
}

std::uint32_t word() { return static_cast<std::uint32_t>(source().next()); }
const char* name() { return "seeded"; }

}  // namespace

void seed_crypto(std::uint64_t seed) {
  static randombytes_implementation ours = {name, word, nullptr, nullptr, fill, nullptr};
  source() = Dice(seed ^ 0x7461706572U);
  randombytes_set_implementation(&ours);
}

}  // namespace taper::sim
