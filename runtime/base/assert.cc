#include "runtime/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace taper {

void assertion_failed(const char* what, const char* file, int line) noexcept {
  std::fprintf(stderr, "taper: assertion failed: %s (%s:%d)\n", what, file, line);
  std::abort();
}

}  // namespace taper
