// links: taper_capsules
// Argument bytes: the one parser, the canonical writer, and constraints over what was read.
#include <cstddef>
#include <cstdint>

#include "capsules/constraints.h"
#include "capsules/value.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tests/fuzz/planted.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace taper;
  const auto value = capsules::parse_value({data, size}, limits::kArgumentBytesMax);
  if (!value.ok()) return 0;
  const std::string canonical = capsules::write_canonical(*value);
  TAPER_ASSERT(is_utf8(canonical));
  const auto again = capsules::parse_value(as_bytes(canonical), canonical.size());
  TAPER_ASSERT(again.ok() && *again == *value);
  TAPER_ASSERT(capsules::write_canonical(*again) == canonical);
  const capsules::Value* path = value->find("path");
  if (path == nullptr) return 0;
  const capsules::Constraint under = capsules::Under{"/var/log"};
  if (capsules::holds(under, *path)) {
    TAPER_ASSERT(capsules::is_plain_path(*path->text()));
    fuzz::planted_bug(path->text()->find('!') != std::string::npos);
  }
  (void)capsules::holds(capsules::Glob{"/*a*/?*b*"}, *path);
  return 0;
}
