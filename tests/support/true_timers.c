/* Stands before libfaketime, which takes each timerfd for one of the wall clock that it fakes. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

int timerfd_settime(int fd, int flags, const struct itimerspec* value, struct itimerspec* before) {
  return (int)syscall(SYS_timerfd_settime, fd, flags, value, before);
}
