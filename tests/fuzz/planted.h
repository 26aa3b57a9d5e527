// The bug that the planted variant of each fuzz target must find: a state that only lies behind a
// successful parse of changed bytes. It shows that the fuzzer gets past the parser's checks, not
// only into them.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace taper::fuzz {

inline void planted_bug([[maybe_unused]] bool reached) {
#ifdef TAPER_PLANTED_BUG
  if (!reached) return;
  std::fputs("planted bug reached\n", stderr);
  std::abort();
#endif
}

}  // namespace taper::fuzz
