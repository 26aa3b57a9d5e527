// expect: no matching|too few|could not convert|no viable
#include "runtime/authority/permit_maker.h"

using namespace taper::authority;

#ifdef TAPER_CONTROL
Permit make(const taper::store::Committed& committed) {
  return PermitMaker::make(PermitFacts{}, {}, committed);
}
#else
Permit make() { return PermitMaker::make(PermitFacts{}, {}); }
#endif
