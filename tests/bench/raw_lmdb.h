// The floor under durable work: bare LMDB, one table for each kind of put.
#pragma once

#include <lmdb.h>

#include <span>
#include <string>
#include <vector>

#include "runtime/base/assert.h"
#include "runtime/base/bytes.h"

namespace taper::bench {

class RawLmdb {
 public:
  // `sizes` of the values, one for each table; they must outlive this.
  RawLmdb(const std::string& directory, std::span<const std::size_t> sizes)
      : sizes_(sizes), tables_(sizes.size()) {
    TAPER_ASSERT(mdb_env_create(&env_) == 0 && mdb_env_set_mapsize(env_, 4ULL << 30U) == 0 &&
                 mdb_env_set_maxdbs(env_, static_cast<MDB_dbi>(sizes.size())) == 0 &&
                 mdb_env_open(env_, directory.c_str(), MDB_NOTLS, 0600) == 0);
    MDB_txn* txn = nullptr;
    TAPER_ASSERT(mdb_txn_begin(env_, nullptr, 0, &txn) == 0);
    for (std::size_t i = 0; i < tables_.size(); ++i) {
      TAPER_ASSERT(mdb_dbi_open(txn, std::to_string(i).c_str(), MDB_CREATE, &tables_[i]) == 0);
    }
    TAPER_ASSERT(mdb_txn_commit(txn) == 0);
  }
  ~RawLmdb() { mdb_env_close(env_); }
  RawLmdb(const RawLmdb&) = delete;
  RawLmdb& operator=(const RawLmdb&) = delete;

  // One synced transaction that puts a new key into each of the first `puts` tables.
  bool commit(std::size_t puts) {
    ++number_;
    Bytes key = big_endian(number_);
    MDB_txn* txn = nullptr;
    if (mdb_txn_begin(env_, nullptr, 0, &txn) != 0) return false;
    for (std::size_t i = 0; i < puts; ++i) {
      Bytes value(sizes_[i], static_cast<std::uint8_t>(number_));
      MDB_val k{key.size(), key.data()};
      MDB_val v{value.size(), value.data()};
      if (mdb_put(txn, tables_[i], &k, &v, 0) != 0) return false;
    }
    return mdb_txn_commit(txn) == 0;
  }

 private:
  MDB_env* env_ = nullptr;
  std::span<const std::size_t> sizes_;
  std::vector<MDB_dbi> tables_;
  std::uint64_t number_ = 0;
};

}  // namespace taper::bench
