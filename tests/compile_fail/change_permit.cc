// expect: const|no viable overloaded|discards qualifiers|no match|read-only
#include "runtime/authority/permit.h"

using taper::authority::Permit;

#ifdef TAPER_CONTROL
bool writes(const Permit& permit) { return permit.facts().writes; }
#else
void widen(Permit& permit) { permit.facts().writes = true; }
#endif
