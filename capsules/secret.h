// Sealed secrets: what lies in a box, and whether it belongs to the capsule around it.
// docs/formats/capsule.md, "Secrets".
#pragma once

#include <string_view>
#include <vector>

#include "capsules/capsule.h"
#include "crypto/seal.h"

namespace taper::capsules {

// A letter, then letters, digits, '.', '_', '-': it becomes the name of a file.
bool is_secret_name(std::string_view name);

// The beginning of a box's plaintext, part by part: everything that binds `name` to this capsule.
// The value follows, as a u32 length and 1 to limits::kSecretBytesMax bytes, and then nothing.
struct BoundPart {
  const char* field;
  Bytes bytes;
};
std::vector<BoundPart> bound_parts(const Capsule& capsule, const std::string& name);

// The value. Error: secret_unsealed, with the first part that is not this capsule's as its field.
Result<crypto::Secret> open_secret(const Capsule& capsule, const SealedSecret& secret,
                                   const crypto::UnsealingKey& key);

}  // namespace taper::capsules
