// expect: rvalue|cannot bind
#include <utility>

#include "runtime/sandbox/spawner.h"

using namespace taper;

#ifdef TAPER_CONTROL
Status run(sandbox::Spawner& spawner, authority::Permit permit) {
  return spawner.run(std::move(permit), nullptr);
}
#else
Status run(sandbox::Spawner& spawner, authority::Permit& permit) {
  return spawner.run(permit, nullptr);
}
#endif
