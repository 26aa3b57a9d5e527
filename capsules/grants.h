// What holds between grants, and between the parts of one, beyond what each field says of itself.
#pragma once

#include <optional>

#include "capsules/capsule.h"

namespace taper::capsules {

struct GrantFault {
  std::size_t grant = 0;  // its place in the list
  const char* field = "";
  std::string expected, got;
};

// The first of: an `after` that names no other grant of the list, or a circle of them; a `sum` of
// an argument that is not named in args; an `idempotency` argument that is not, or is optional.
std::optional<GrantFault> grant_fault(const std::vector<Grant>& grants);

}  // namespace taper::capsules
