#include "tests/support/permit_for_tests.h"

#include "runtime/authority/permit_maker.h"
#include "store/store.h"

namespace taper::testing {

authority::Permit permit_for_tests(authority::PermitFacts facts,
                                   std::vector<authority::CallSecret> secrets) {
  const auto store = store::open_memory({}, store::LogSeed::generate());
  const Result<store::Committed> committed = store->write([](store::WriteTxn& txn) {
    return txn.put(store::Table::meta, as_bytes("permit"), as_bytes("for a test"));
  });
  TAPER_ASSERT(committed.ok());
  return authority::PermitMaker::make(std::move(facts), std::move(secrets), *committed);
}

}  // namespace taper::testing
