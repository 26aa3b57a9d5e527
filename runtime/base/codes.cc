#include "runtime/base/codes.h"

#include <array>

namespace taper {
namespace {

constexpr std::array kCodes = {
#define TAPER_CODE(number, name, kind, question, text, fix) \
  CodeInfo{number, #name, Kind::kind, question, text, fix},
#include "runtime/base/codes.def"
#undef TAPER_CODE
};

constexpr bool strictly_rising() {
  for (std::size_t i = 1; i < kCodes.size(); ++i) {
    if (kCodes[i - 1].number >= kCodes[i].number) return false;
  }
  return true;
}
static_assert(strictly_rising(), "codes.def: numbers must rise and be unique");

}  // namespace

const CodeInfo& describe_number(std::uint16_t number) {
  for (const CodeInfo& info : kCodes) {
    if (info.number == number) return info;
  }
  return kCodes[0];
}

const CodeInfo& describe(Code code) { return describe_number(static_cast<std::uint16_t>(code)); }

std::span<const CodeInfo> all_codes() { return kCodes; }

int exit_code(Code code) {
  switch (describe(code).kind) {
    case Kind::ok: return 0;
    case Kind::usage: return 2;
    case Kind::deny:
    case Kind::stale:
    case Kind::exhausted: return 3;
    case Kind::invalid:
    case Kind::corrupt: return 4;
    case Kind::unavailable:
    case Kind::unknown: return 5;
    case Kind::ended: return 6;
    case Kind::bug: return 1;
  }
  return 1;
}

}  // namespace taper
