#include <algorithm>

#include "capsules/author/author.h"
#include "capsules/secret.h"
#include "crypto/crypto.h"
#include "runtime/base/limits.h"

namespace taper::capsules {

Result<Bytes> seal_secret(const Capsule& capsule, const std::string& name, ByteSpan value,
                          const SealKey& to) {
  if (value.empty() || value.size() > limits::kSecretBytesMax) {
    return Error(Code::too_large,
                 {"secrets." + name, "1 to " + std::to_string(limits::kSecretBytesMax) + " bytes",
                  std::to_string(value.size()), ""});
  }
  ByteWriter head;
  for (const BoundPart& part : bound_parts(capsule, name)) head.raw(part.bytes);
  head.u32(static_cast<std::uint32_t>(value.size()));
  // In one piece of locked memory: a buffer that grows would leave the value behind.
  crypto::Secret plain(head.bytes().size() + value.size());
  std::ranges::copy(head.bytes(), plain.bytes().begin());
  std::ranges::copy(value, plain.bytes().last(value.size()).begin());
  return crypto::seal(to, plain.bytes());
}

}  // namespace taper::capsules
