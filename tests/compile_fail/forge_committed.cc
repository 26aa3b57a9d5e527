// expect: private|no matching
#include "store/store.h"

using taper::store::Committed;

#ifdef TAPER_CONTROL
std::uint64_t number(const Committed& committed) { return committed.commit(); }
#else
Committed forge() { return Committed(1, 1); }
#endif
