// Receipts: that one record stands in the log, as a file that the node's record alone verifies
// (store/auditor/receipt.h). docs/formats/receipt.md
#pragma once

#include <functional>
#include <optional>

#include "store/store.h"

namespace taper::store {

// The newest record of this type whose body is the one; as_text(body) is the record's JSON.
Result<std::optional<std::uint64_t>> find_record(const Store& store, LeafType type,
                                                 const std::function<bool(ByteSpan body)>& is_it);

// The record, its path to the first checkpoint that was completed over it or to the newest, and the
// chain of log keys up to the one that signed that. Errors: too_large, store_corrupt.
Result<Bytes> make_receipt(const Store& store, std::uint64_t number);

}  // namespace taper::store
