// Randomness that a seed repeats on every machine (splitmix64).
#pragma once

#include <cstdint>
#include <vector>

namespace taper::sim {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  std::int64_t roll(std::int64_t least, std::int64_t most) {
    const auto span = static_cast<std::uint64_t>(most - least) + 1;
    return least + static_cast<std::int64_t>(next() % span);
  }
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(next() % count); }
  bool percent(std::int64_t share) { return roll(0, 99) < share; }
  template <class T>
  const T& of(const std::vector<T>& values) {
    return values[below(values.size())];
  }

 private:
  std::uint64_t state_;
};

// From here all keys, ids and nonces of this process come from `seed`. The first call before
// crypto::initialise.
void seed_crypto(std::uint64_t seed);

}  // namespace taper::sim
