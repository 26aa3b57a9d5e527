// The system calls that a process in a cell may make. An allow-list, compiled once into coalesced
// ranges and a binary search:
//   another architecture's or x32 numbers   → the process is killed
//   not listed, or newer than this file     → ENOSYS
//   never used by an honest tool            → the process is killed (SIGSYS; reported as violation)
//   refused, but tried by honest tools      → EPERM
// int arguments are compared by their low 32 bits, as the kernel reads them. What each call may do
// stands in syscalls.def.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>

#include "runtime/base/result.h"

namespace taper::sandbox {

enum class SeccompProfile : std::uint8_t {
  builtin,  // the resident cell's own code: files, memory, nothing else
  command,  // tools: no network, no namespaces, no mounts, no suid bits
};

// Made on first use and kept; call it before fork so that children share it.
std::span<const sock_filter> seccomp_filter(SeccompProfile profile);

// Sets no_new_privs and the filter on the calling thread, for good. Error: sandbox_layer "seccomp".
Status install_seccomp(SeccompProfile profile);

}  // namespace taper::sandbox
