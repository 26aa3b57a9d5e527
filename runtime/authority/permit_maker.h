// The one place that makes a Permit. Private to the authority: no other folder includes it (the
// lint refuses the edge), and without a store::Committed there is nothing to call it with.
#pragma once

#include "runtime/authority/permit.h"
#include "store/store.h"

namespace taper::authority {

class PermitMaker {
 public:
  static Permit make(PermitFacts facts, const store::Committed& committed) {
    return Permit(std::move(facts), committed);
  }
};

}  // namespace taper::authority
