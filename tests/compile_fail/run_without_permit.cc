// expect: no viable|could not convert|cannot convert|no matching|no known conversion
#include <utility>

#include "runtime/sandbox/spawner.h"

using namespace taper;

#ifdef TAPER_CONTROL
Status run(sandbox::Spawner& spawner, authority::Permit permit) {
  return spawner.run(std::move(permit), nullptr);
}
#else
Status run(sandbox::Spawner& spawner, authority::PermitFacts facts) {
  return spawner.run(std::move(facts), nullptr);
}
#endif
