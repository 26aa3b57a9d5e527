// Private: the small files beside data.mdb. docs/formats/log.md
//   lock      held by the process that may write
//   marker    {incarnation, last commit}: shows an older data.mdb put back
//   log.seed  the log's secret, never inside LMDB, whose freed pages would keep old seeds
#pragma once

#include <memory>
#include <string>

#include "runtime/base/file.h"
#include "store/store.h"

namespace taper::store {

struct Marker {
  Incarnation incarnation;
  std::uint64_t commit = 0;
};

// Whether `directory` holds any part of a state.
bool has_state(const std::string& directory);

Status create_marker(const std::string& directory, const Marker& marker);
// Errors: store_corrupt.
Result<Marker> read_marker(const std::string& directory);

Status create_seed(const std::string& directory, const LogSeed& seed);
// Errors: store_corrupt, key_file_exposed, file_unreadable.
Result<LogSeed> read_seed(const std::string& directory);
// Moves `seed` forward to the epoch that the log last announced. Error: store_corrupt when the seed
// is ahead of the log or its key is not the announced one.
Result<LogSeed> ratchet_to(LogSeed seed, std::uint64_t epoch, const PublicKey& announced);

class StateFiles {
 public:
  // Takes the lock. Errors: state_locked, file_unreadable.
  static Result<std::unique_ptr<StateFiles>> lock(const std::string& directory);
  // That the directory's lock file still is the one we locked: another process may own a new one.
  // Error: state_locked.
  Status check_lock() const;

  // The files must exist by now.
  Status open_files();
  Status write_marker(const Marker& marker);  // not synced
  Status sync_marker();
  Status overwrite_seed(const LogSeed& seed);  // in place, synced

 private:
  explicit StateFiles(std::string directory, Fd lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}
  std::string directory_;
  Fd lock_;
  Fd marker_;
  Fd seed_;
};

}  // namespace taper::store
