// Private: the small files beside data.mdb. docs/formats/log.md
//   lock      held by the process that may write
//   marker    {incarnation, last commit}: shows an older data.mdb put back
//   log.seed  the log's secret, never inside LMDB, whose freed pages would keep old seeds
// and one outside the state, in a directory that lives no longer than the boot:
//   twin      as the marker: shows a whole state put back, marker and all
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

std::string twin_path(const StateOptions& options);
// For whoever only reads the state. Empty: none that its owner could have written.
std::optional<Marker> look_at_twin(const StateOptions& options);

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
  // Opens the twin and keeps it from others; what it said. Where there was none it is made, and
  // where it cannot be made there is none. Errors: state_locked (who owns a copy of this state has
  // it), twin_unfit.
  Result<std::optional<Marker>> take_twin(const std::string& path, const Marker& ours);
  Status write_marker(const Marker& marker);  // and the twin; not synced
  Status sync_marker();
  Status overwrite_seed(const LogSeed& seed);  // in place, synced

 private:
  explicit StateFiles(std::string directory, Fd lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}
  std::string directory_;
  Fd lock_;
  Fd marker_;
  Fd seed_;
  Fd twin_;
  std::string twin_path_;
};

}  // namespace taper::store
