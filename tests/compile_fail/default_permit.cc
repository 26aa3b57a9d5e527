// expect: no matching|private
#include "runtime/authority/permit.h"

#ifdef TAPER_CONTROL
taper::authority::PermitFacts facts;
#else
taper::authority::Permit permit;
#endif
