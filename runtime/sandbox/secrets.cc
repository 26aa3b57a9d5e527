#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/sandbox/wire.h"

#ifndef MFD_NOEXEC_SEAL  // Linux 6.3
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace taper::sandbox {

Result<Fd> seal_values(const std::vector<authority::CallSecret>& secrets) {
  Fd memory(::memfd_create("secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!memory && errno == EINVAL)
    memory = Fd(::memfd_create("secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return os_error("memfd_create", errno);
  for (const authority::CallSecret& secret : secrets)
    TAPER_CHECK(write_all(memory.get(), "secrets", secret.value.bytes()));
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0) return os_error("F_ADD_SEALS", errno);
  return memory;
}

}  // namespace taper::sandbox
