// Permits for tests of what runs tools. Only test programs link this library.
#pragma once

#include "runtime/authority/permit.h"

namespace taper::testing {

// A real Permit over `facts`, from a commit of a store in memory. crypto::initialise first.
authority::Permit permit_for_tests(authority::PermitFacts facts,
                                   std::vector<authority::CallSecret> secrets = {});

}  // namespace taper::testing
