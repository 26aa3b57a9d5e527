#include "capsules/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <string>

namespace taper::capsules {
namespace {

constexpr std::size_t kByteBits = 8;

bool bit(const Address& address, std::size_t at) {
  return (address.bytes[at / kByteBits] >> (kByteBits - 1 - at % kByteBits) & 1U) != 0;
}

}  // namespace

// Reading, writing and comparing leaves one spelling, whatever more the reader takes. It also
// refuses what carries an IPv4 address: that is written with dots, which is refused here.
std::optional<Address> parse_address(std::string_view text) {
  const bool v6 = text.find(':') != text.npos;
  if (text.size() >= INET6_ADDRSTRLEN || (v6 && text.find('.') != text.npos)) return std::nullopt;
  const int family = v6 ? AF_INET6 : AF_INET;
  Address out;
  out.size = v6 ? sizeof(in6_addr) : sizeof(in_addr);
  std::array<char, INET6_ADDRSTRLEN> spelled{};
  if (inet_pton(family, std::string(text).c_str(), out.bytes.data()) != 1) return std::nullopt;
  if (inet_ntop(family, out.bytes.data(), spelled.data(), spelled.size()) == nullptr ||
      text != spelled.data()) {
    return std::nullopt;
  }
  return out;
}

std::optional<AddressBlock> parse_block(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto base = parse_address(text.substr(0, slash));
  if (!base) return std::nullopt;
  AddressBlock out{*base, 0};
  const std::string_view digits = text.substr(slash + 1);
  const char* end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, out.prefix_bits);
  const bool canonical =
      read.ec == std::errc{} && read.ptr == end && (digits.size() == 1 || digits.front() != '0');
  if (!canonical || out.prefix_bits > base->size * kByteBits) return std::nullopt;
  for (std::size_t i = out.prefix_bits; i < base->size * kByteBits; ++i) {
    if (bit(*base, i)) return std::nullopt;
  }
  return out;
}

bool is_within(const Address& address, const AddressBlock& block) {
  if (address.size != block.base.size) return false;
  for (std::size_t i = 0; i < block.prefix_bits; ++i) {
    if (bit(address, i) != bit(block.base, i)) return false;
  }
  return true;
}

}  // namespace taper::capsules
