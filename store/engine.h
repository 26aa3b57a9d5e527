// Private: what a backend must do, ordered tables in transactions. The rules of the store (log,
// marker, keys) stand above it in node_store.h, once.
#pragma once

#include <memory>

#include "store/store.h"

namespace taper::store {

class EngineTxn : public ReadTxn {
 public:
  virtual Status put(Table table, ByteSpan key, ByteSpan value) = 0;
  virtual Status put_new(Table table, ByteSpan key, ByteSpan value) = 0;
  virtual Status erase(Table table, ByteSpan key) = 0;
  // Space for what this transaction and limits::kStoreReserveBytes after it need. Error:
  // store_full.
  virtual Status reserve() = 0;
  // Durable on success; the transaction is over either way. store_full: nothing was changed.
  // commit_unknown: it may be there or not. Without commit() nothing is changed.
  virtual Status commit() = 0;
};

enum class Access : std::uint8_t { unset, read, write };

class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;
  // One write transaction at a time; it must end before its engine does.
  virtual Result<std::unique_ptr<EngineTxn>> begin(Access access) const = 0;
};

std::unique_ptr<Engine> make_memory_engine();

enum class OpenMode : std::uint8_t { unset, create, write, read };
// data.mdb and lock.mdb in `directory`. Opened twice in one process they are shared, because LMDB's
// locks would break. Errors: not_a_state, state_locked, store_full, store_corrupt, store_version,
// store_failure.
Result<std::unique_ptr<Engine>> open_lmdb_engine(const std::string& directory, OpenMode mode,
                                                 std::size_t map_bytes);

}  // namespace taper::store
