// expect: no matching|private
#include "capsules/trust_root.h"

#ifdef TAPER_CONTROL
taper::capsules::TrustRootData data;
#else
taper::capsules::TrustRoot root;
#endif
