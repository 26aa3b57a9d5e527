// A new store over an engine, with an empty log.
#pragma once

#include <memory>
#include <utility>

#include "crypto/crypto.h"
#include "store/node_store.h"

namespace taper::store {

inline std::unique_ptr<NodeStore> store_over(std::unique_ptr<Engine> engine) {
  LogSeed seed = LogSeed::generate();
  const StateIdentity identity{crypto::random_id<Incarnation>(), "taper/test"};
  auto txn = engine->begin(Access::write).value();
  LogState state = found_log(*txn, identity, seed).value();
  TAPER_ASSERT(txn->commit().ok());
  txn.reset();
  return std::make_unique<NodeStore>(
      std::move(engine), nullptr, LoadedLog{identity, std::move(state)}, LogKeys(std::move(seed)));
}

}  // namespace taper::store
