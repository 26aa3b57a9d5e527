// What every escape is made of. Each is one function that tries one way out and says how it went.
#pragma once

#include <string>

namespace escape {

// Where the runner put what the escape needs. In a cell only work and read are granted.
struct Place {
  std::string work;    // granted, writable; holds "own"
  std::string read;    // granted, read-only; holds "file"
  std::string secret;  // not granted; holds "file" and the listening socket "socket"
  std::string shared;  // a file in the host's /dev/shm
  int host_pid = 0;    // the runner's, as the host numbers it
};

// "OPEN why", "SHUT reason" or "CANNOT why". Reasons are names of errnos, or a word of the
// escape's.
struct Verdict {
  enum class Kind { open, shut, cannot } kind;
  std::string why;
};

Verdict open(std::string why);
Verdict shut(std::string why);
Verdict cannot(std::string why);
std::string errno_name(int error_number);

// A descriptor or other success opens the way, any errno shuts it.
Verdict opened(long result);
// As above, but any errno other than EPERM, EACCES and ENOSYS shows that the kernel took the call.
Verdict reached(long result);

#define ESCAPE(number, name, control, reason) Verdict name(const Place& place);
#include "tests/hostile/escapes/escapes.def"
#undef ESCAPE

}  // namespace escape
