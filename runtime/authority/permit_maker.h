// The one place that makes a Permit. Private to the authority: no other folder includes it (the
// lint refuses the edge), and without a store::Committed there is nothing to call it with.
#pragma once

#include "runtime/authority/permit.h"
#include "store/store.h"

namespace taper::authority {

class PermitMaker {
 public:
  static Permit make(PermitFacts facts, std::vector<CallSecret> secrets,
                     const store::Committed& committed) {
    return Permit(std::move(facts), std::move(secrets), committed);
  }
};

}  // namespace taper::authority
