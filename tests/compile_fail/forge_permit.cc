// expect: private|no matching
#include "runtime/authority/permit.h"
#include "store/store.h"

using taper::authority::Permit;
using taper::authority::PermitFacts;

#ifdef TAPER_CONTROL
const PermitFacts& look(const Permit& permit) { return permit.facts(); }
#else
Permit forge(const taper::store::Committed& committed) { return Permit(PermitFacts{}, committed); }
#endif
