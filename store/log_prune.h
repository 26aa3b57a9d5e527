// Private: forgetting the records that an auditor released. Their hashes stay as level 0 of the
// tree's nodes, and where it stands is kept in table meta.
#pragma once

#include "store/log_state.h"

namespace taper::store {

// What WriteTxn::release and WriteTxn::prune do.
Result<bool> release_log(EngineTxn& txn, const LogState& state, std::uint64_t size,
                         const TreeHash& root);
Result<bool> prune_log(EngineTxn& txn, const WriteTxn::Needed& needed);

}  // namespace taper::store
