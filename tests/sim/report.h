// What a run of histories has counted.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace taper::sim {

// docs: I1 nothing runs after its end; I2 what counts once counts once; I3 no authority grows;
// I4 a decision is in the log before its effect; I5 what is allowed works with files alone.
enum class Invariant : std::uint8_t { i1, i2, i3, i4, i5 };
inline constexpr std::size_t kInvariants = 5;

// The faults that are told apart beside the invariants.
enum class Row : std::uint8_t { none, after_proof, over_ttl, replayed };
inline constexpr std::size_t kRows = 4;

struct Report {
  std::uint64_t operations = 0;
  std::map<std::string, std::uint64_t> faults;
  std::array<std::uint64_t, kInvariants> checks{}, violations{};
  std::array<std::uint64_t, kRows> rows{};  // histories in which it happened
  std::uint64_t bricked = 0;                // histories that leave a host which runs nothing more

  bool clean() const {
    std::uint64_t wrong = bricked;
    for (const std::uint64_t count : violations) wrong += count;
    return wrong == 0;
  }
};

}  // namespace taper::sim
