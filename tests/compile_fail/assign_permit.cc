// expect: deleted
#include <utility>

#include "runtime/authority/permit.h"

using taper::authority::Permit;

#ifdef TAPER_CONTROL
Permit hand_on(Permit&& permit) { return Permit(std::move(permit)); }
#else
void revive(Permit& spent, Permit&& fresh) { spent = std::move(fresh); }
#endif
