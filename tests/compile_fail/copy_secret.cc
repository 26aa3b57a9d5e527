// expect: deleted
#include <utility>

#include "runtime/authority/permit.h"

using taper::authority::CallSecret;

#ifdef TAPER_CONTROL
CallSecret hand_on(CallSecret&& secret) { return std::move(secret); }
#else
CallSecret keep_too(const CallSecret& secret) { return secret; }
#endif
