// One signed capsule of ordinary size for benchmarks, and all that stands around it.
#pragma once

#include "tests/support/capsule_maker.h"

namespace taper::bench {

// A node that exists nowhere, for what needs no store.
inline const PublicKey kSomeNode{{1}};
inline const Incarnation kSomeIncarnation{{1}};

enum class Size { small, ordinary };

struct Sample {
  testing::Fleet fleet;
  // Ordinary: ten grants, one of them with six mixed constraints. Small: the tests' two grants.
  capsules::Capsule capsule;

  // For `node`, in its window at `now_s`.
  Sample(const PublicKey& node, const Incarnation& incarnation, std::int64_t now_s,
         Size size = Size::ordinary);

  // The signed file of the capsule with another serial.
  Bytes signed_file(std::uint64_t serial) const;
  // The same, narrowed by its holders until it bears `signatures`.
  Bytes signed_file(std::uint64_t serial, std::size_t signatures) const;
  // As the first, but only the payload.
  Bytes payload(std::uint64_t serial) const;
};

}  // namespace taper::bench
