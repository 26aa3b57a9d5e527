// IP addresses as text, in one spelling only: what a tool reads differently never gets this far.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace taper::capsules {

struct Address {
  std::array<std::uint8_t, 16> bytes{};  // v4: the first four
  std::size_t size = 0;                  // 4 or 16
};

// Canonical text only: dotted decimal of four parts, or RFC 5952. An IPv6 address that carries an
// IPv4 one (mapped, compatible) is none.
std::optional<Address> parse_address(std::string_view text);

struct AddressBlock {
  Address base;  // all bits behind the prefix are 0
  std::size_t prefix_bits = 0;
};
// "10.0.0.0/8", "fd00::/8".
std::optional<AddressBlock> parse_block(std::string_view text);
bool is_within(const Address& address, const AddressBlock& block);

}  // namespace taper::capsules
