// expect: no matching|private|deleted
#include "capsules/open.h"

#ifdef TAPER_CONTROL
taper::capsules::Capsule capsule;
#else
taper::capsules::VerifiedCapsule capsule;
#endif
