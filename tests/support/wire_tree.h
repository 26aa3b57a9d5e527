// A FlatBuffers table as a tree of values that a test may change at will, and its bytes: what no
// honest encoder would write.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "runtime/base/bytes.h"

namespace taper::testing {

struct WireTree {
  using Octets = Bytes;
  using Words = std::vector<std::string>;
  using Trees = std::vector<WireTree>;
  using Ports = std::vector<std::uint16_t>;
  using Member = std::variant<bool, std::uint8_t, std::uint32_t, std::int32_t, std::uint64_t,
                              std::int64_t, std::string, Octets, Words, Ports, WireTree, Trees>;
  std::map<std::uint16_t, Member> members;  // by vtable offset

  WireTree& tree(std::uint16_t field) { return std::get<WireTree>(members.at(field)); }
  WireTree& item(std::uint16_t field, std::size_t index) {
    return std::get<Trees>(members.at(field)).at(index);
  }
};

Bytes wire_bytes(const WireTree& root, const char* identifier);

// A complete capsule payload: a plan with an input and two steps, and a grant with one constraint
// of each kind that is enforced.
WireTree sample_wire_capsule();
WireTree sample_wire_block();
WireTree sample_wire_root();

}  // namespace taper::testing
