// expect: no matching|private|no viable
#include "capsules/open.h"

using namespace taper::capsules;

#ifdef TAPER_CONTROL
const Capsule& look(const VerifiedCapsule& capsule) { return capsule.root(); }
#else
VerifiedCapsule trust(const UntrustedCapsule& capsule) { return VerifiedCapsule(capsule); }
#endif
