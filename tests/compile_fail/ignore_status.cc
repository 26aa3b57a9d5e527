// expect: nodiscard|unused|ignoring return
#include "runtime/authority/authority.h"

using namespace taper;

#ifdef TAPER_CONTROL
Status stop(authority::Authority& authority, const TaskId& task, const Now& now) {
  return authority.begin_ending(task, authority::EndReason::ttl, now);
}
#else
#pragma GCC diagnostic error "-Wunused-result"
void stop(authority::Authority& authority, const TaskId& task, const Now& now) {
  authority.begin_ending(task, authority::EndReason::ttl, now);
}
#endif
