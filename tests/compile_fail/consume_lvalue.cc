// expect: rvalue|discards qualifiers|lvalue
#include <utility>

#include "runtime/authority/permit.h"

using taper::authority::Permit;
using taper::authority::PermitFacts;

#ifdef TAPER_CONTROL
PermitFacts use(Permit permit) { return std::move(permit).consume(); }
#else
PermitFacts use(Permit& permit) { return permit.consume(); }
#endif
