// expect: deleted
#include "store/store.h"

using taper::store::Committed;

#ifdef TAPER_CONTROL
Committed hand_on(Committed&& committed) { return Committed(std::move(committed)); }
#else
Committed twice(const Committed& committed) { return Committed(committed); }
#endif
