// Making and opening a state: the engine and the files beside it must tell the same story.
#include <poll.h>
#include <sys/stat.h>

#include <cerrno>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "store/node_store.h"

namespace taper::store {
namespace {

Status make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return os_error("make " + directory, errno);
  }
  if (has_state(directory)) return Error(Code::file_exists, {directory, "", "", ""});
  if (::chmod(directory.c_str(), S_IRWXU) != 0) return os_error("chmod " + directory, errno);
  return success();
}

Status check_marker(const Marker& marker, const LoadedLog& loaded) {
  if (marker.incarnation != loaded.identity.incarnation) {
    return Error(Code::store_rolled_back,
                 {"incarnation", marker.incarnation.hex(), loaded.identity.incarnation.hex(), ""});
  }
  if (loaded.state.commit >= marker.commit) return success();
  return Error(Code::store_rolled_back, {"commit", "at least " + std::to_string(marker.commit),
                                         std::to_string(loaded.state.commit), ""});
}

// A twin is written after the state's own commit is durable, so the same state is never older.
Status check_twin(const StateOptions& options, const std::optional<Marker>& twin,
                  const LoadedLog& loaded) {
  if (!twin || loaded.state.commit >= twin->commit) return success();
  return Error(Code::store_rolled_back,
               {"commit",
                "at least " + std::to_string(twin->commit) + ", as " + twin_path(options) +
                    " says that this boot has seen",
                std::to_string(loaded.state.commit),
                "the whole directory was put back, or a copy of it went on elsewhere on this host; "
                "'taper node renew' makes a new incarnation with the same keys"});
}

Result<LoadedLog> load(const Engine& engine) {
  TAPER_TRY(const std::unique_ptr<EngineTxn> txn, engine.begin(Access::read));
  return load_log(*txn);
}

Status check_origin(const StateOptions& options, const LoadedLog& loaded) {
  if (options.origin == loaded.identity.origin) return success();
  return Error(Code::node_record_malformed,
               {"node.pub", loaded.identity.origin, options.origin, ""});
}

Result<std::unique_ptr<Store>> open_for_reading(const StateOptions& options) {
  const std::string& directory = options.directory;
  // The marker and its twin first: they may only be older than what the owner commits meanwhile.
  const Result<Marker> marker = read_marker(directory);
  const std::optional<Marker> twin = look_at_twin(options);
  TAPER_TRY(std::unique_ptr<Engine> engine,
            open_lmdb_engine(directory, OpenMode::read, limits::kStoreMapBytes));
  if (!marker.ok()) return Error(marker.error());
  TAPER_TRY(LoadedLog loaded, load(*engine));
  TAPER_CHECK(check_marker(*marker, loaded));
  TAPER_CHECK(check_origin(options, loaded));
  TAPER_CHECK(check_twin(options, twin, loaded));
  return std::unique_ptr<Store>(
      std::make_unique<NodeStore>(std::move(engine), nullptr, std::move(loaded), std::nullopt));
}

}  // namespace

Status create_state(const std::string& directory, const StateIdentity& identity, LogSeed log_seed) {
  TAPER_CHECK(make_directory(directory));
  TAPER_TRY(const std::unique_ptr<StateFiles> files, StateFiles::lock(directory));
  TAPER_TRY(const std::unique_ptr<Engine> engine,
            open_lmdb_engine(directory, OpenMode::create, limits::kStoreMapBytes));
  TAPER_TRY(const std::unique_ptr<EngineTxn> txn, engine->begin(Access::write));
  TAPER_TRY(const LogState state, found_log(*txn, identity, log_seed));
  TAPER_CHECK(create_seed(directory, log_seed));
  TAPER_CHECK(txn->reserve());
  TAPER_CHECK(txn->commit());
  return create_marker(directory, {identity.incarnation, state.commit});
}

Result<std::unique_ptr<Store>> open_state(const StateOptions& options) {
  const std::string& directory = options.directory;
  if (!has_state(directory)) return Error(Code::not_a_state, {directory, "", "", ""});
  if (options.read_only) return open_for_reading(options);
  TAPER_TRY(std::unique_ptr<StateFiles> files, StateFiles::lock(directory));
  TAPER_TRY(std::unique_ptr<Engine> engine,
            open_lmdb_engine(directory, OpenMode::write, limits::kStoreMapBytes));
  TAPER_TRY(const Marker marker, read_marker(directory));
  TAPER_TRY(LoadedLog loaded, load(*engine));
  TAPER_CHECK(check_marker(marker, loaded));
  TAPER_CHECK(check_origin(options, loaded));
  TAPER_TRY(LogSeed stored, read_seed(directory));
  TAPER_TRY(LogSeed seed, ratchet_to(std::move(stored), loaded.state.epoch, loaded.state.key));
  const Marker here{loaded.identity.incarnation, loaded.state.commit};
  TAPER_CHECK(files->open_files());
  if (!options.twins.empty()) {
    TAPER_TRY(const auto twin, files->take_twin(twin_path(options), here));
    TAPER_CHECK(check_twin(options, twin, loaded));
  }
  TAPER_CHECK(files->overwrite_seed(seed));
  TAPER_CHECK(files->write_marker(here));
  TAPER_CHECK(files->sync_marker());
  return std::unique_ptr<Store>(std::make_unique<NodeStore>(
      std::move(engine), std::move(files), std::move(loaded), LogKeys(std::move(seed))));
}

std::string twin_in_force(const StateOptions& options) {
  constexpr int kAttempts = 4;  // its owner may be between a commit and the twin
  constexpr int kPauseMs = 5;
  for (int left = kAttempts; left > 0; --left) {
    const auto engine = open_lmdb_engine(options.directory, OpenMode::read, limits::kStoreMapBytes);
    if (!engine.ok()) return "";
    const Result<LoadedLog> loaded = load(**engine);
    const std::optional<Marker> twin = look_at_twin(options);
    if (!loaded.ok() || !twin) return "";
    // An older one is what an owner left who wrote none, and what was put back may be as new.
    if (twin->incarnation == loaded->identity.incarnation && twin->commit >= loaded->state.commit)
      return twin_path(options);
    ::poll(nullptr, 0, kPauseMs);
  }
  return "";
}

}  // namespace taper::store
