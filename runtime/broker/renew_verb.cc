// A new incarnation of a node: a whole new state with the old one's keys is built beside it, the
// two change places in one step, and what was is put aside without its keys. So a crash at any
// point leaves the old state or the new one, and the next call goes on from there.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "runtime/base/limits.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/owned_state.h"
#include "store/audit_export.h"
#include "store/state_files.h"

namespace taper::broker {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPrivateFile = 0600;
constexpr mode_t kModeBits = 0777;
constexpr std::size_t kCopiedFileBytesMax = 64 * 1024 * 1024;
constexpr std::size_t kShownDigits = 16;
// In a state that was built to take another's place, until that is put aside.
constexpr const char* kPlaceholder = "/renews";
constexpr const char* kNodePolicyFile = "/node.toml";

struct Places {
  std::string state;  // real path
  std::string parent;
  std::string other;  // beside it: the new state while it is built, then the old one

  std::string aside(const authority::NodeRecord& old) const {
    return state + ".ended-" + old.incarnation.hex().substr(0, kShownDigits);
  }
};

bool exists(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0;
}

Status file_error(const std::string& what, const std::error_code& error) {
  return error ? Status(os_error(what, error.value())) : success();
}

Status remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return file_error("remove " + path, error);
}

Result<Places> places_of(const std::string& state) {
  char real[PATH_MAX];
  if (::realpath(state.c_str(), real) == nullptr)
    return Error(Code::not_a_state, {state, "a directory with node.pub", "", ""});
  Places places{.state = real, .parent = {}, .other = std::string(real) + ".renewing"};
  places.parent = places.state.substr(0, places.state.rfind('/') + 1);
  struct stat found{};
  if (::stat(real, &found) != 0) return os_error("stat " + places.state, errno);
  // Root could neither read that user's keys as its own nor make files that are his.
  if (found.st_uid != ::geteuid())
    return Error(Code::control_unreachable,
                 {places.state, "its owner, uid " + std::to_string(found.st_uid),
                  "uid " + std::to_string(::geteuid()), "run it as that user"});
  return places;
}

Status copy_tree(const std::string& from, const std::string& to);

// A regular file, a folder or a link, with its mode; a file is synced. Nothing else is copied.
// NOLINTNEXTLINE(misc-no-recursion): tools.d is as deep as its owner made it
Status copy_entry(const std::string& from, const std::string& to) {
  struct stat found{};
  if (::lstat(from.c_str(), &found) != 0) return os_error("stat " + from, errno);
  if (S_ISDIR(found.st_mode)) return copy_tree(from, to);
  if (S_ISLNK(found.st_mode)) {
    std::error_code error;
    fs::copy_symlink(from, to, error);
    return file_error("copy " + from, error);
  }
  if (!S_ISREG(found.st_mode)) return success();
  TAPER_TRY(Bytes bytes, read_file(from, kCopiedFileBytesMax));
  Status written = create_file(to, bytes, found.st_mode & kModeBits);
  crypto::wipe(bytes);
  return written;
}

// NOLINTNEXTLINE(misc-no-recursion): as above
Status copy_tree(const std::string& from, const std::string& to) {
  if (::mkdir(to.c_str(), S_IRWXU) != 0) return os_error("mkdir " + to, errno);
  std::error_code error;
  for (fs::directory_iterator at(from, error), end; !error && at != end; at.increment(error))
    TAPER_CHECK(copy_entry(at->path(), to + "/" + at->path().filename().string()));
  TAPER_CHECK(file_error("list " + from, error));
  struct stat folder{};
  if (::stat(from.c_str(), &folder) != 0 || ::chmod(to.c_str(), folder.st_mode & kModeBits) != 0)
    return os_error("chmod " + to, errno);
  return sync_directory(to);
}

using RootFiles = std::vector<Bytes>;  // every version, in order

Result<RootFiles> roots_of(const store::Store& store) {
  RootFiles roots;
  TAPER_CHECK(store.read([&roots](const store::ReadTxn& txn) {
    return txn.scan(store::Table::roots, {}, [&roots](ByteSpan, ByteSpan file) {
      roots.push_back(to_bytes(file));
      return true;
    });
  }));
  return roots;
}

// What held the old state until the new one stands in its place.
struct OldState {
  std::optional<OwnedState> owned;
  std::unique_ptr<store::StateFiles> lock;  // where it cannot be owned
  RootFiles roots;
};

// Its tasks ended, its results erased, its log closed and exported into it.
Status close(OwnedState& owned, const std::string& state, const authority::NodeRecord& record,
             Renewed& renewed) {
  store::ResultFiles results(state);
  for (const TaskId& task : owned.authority->live_tasks()) {
    const Now now = SystemClock().now();
    TAPER_CHECK(owned.authority->begin_ending(task, authority::EndReason::operator_kill, now,
                                              {.uid = ::geteuid()}));
    TAPER_CHECK(results.erase_task(task));
    TAPER_CHECK(owned.authority->finish(task, now));
    ++renewed.ended;
  }
  TAPER_CHECK(results.erase_all_but({}));
  TAPER_CHECK(owned.store->sync_marker());
  owned.store->rest();
  TAPER_TRY(const Bytes log, store::export_log(state, authority::log_origin(record), {}));
  TAPER_CHECK(replace_file(state + "/log.tpa", log, kPrivateFile));
  renewed.exported = true;
  return success();
}

// A store that tells another story than the files beside it is not taken up and not believed.
bool is_beyond_repair(Code code) {
  return code == Code::store_rolled_back || code == Code::store_corrupt ||
         code == Code::store_version || code == Code::node_record_malformed ||
         code == Code::not_a_state;
}

Result<OldState> take_old(const Places& places, const authority::NodeRecord& record,
                          Renewed& renewed) {
  OldState old;
  Result<OwnedState> owned = own_state(places.state, "", SystemClock().now());
  if (owned.ok()) {
    TAPER_TRY(old.roots, roots_of(*owned->store));
    TAPER_CHECK(close(*owned, places.state, record, renewed));
    old.owned = std::move(*owned);
    return old;
  }
  if (!is_beyond_repair(owned.code())) return owned.error();
  renewed.unread = owned.error();
  TAPER_TRY(old.lock, store::StateFiles::lock(places.state));
  return old;
}

// Names a new incarnation and log, and nothing else anew.
Result<authority::NodeRecord> build_state(const Places& places, const authority::NodeRecord& old,
                                          const RootFiles& roots) {
  const std::string& path = places.other;
  TAPER_CHECK(remove_tree(path));
  if (::mkdir(path.c_str(), S_IRWXU) != 0) return os_error("mkdir " + path, errno);
  TAPER_CHECK(create_file(path + kPlaceholder, as_bytes(old.incarnation.hex()), kPrivateFile));
  TAPER_CHECK(copy_tree(places.state + "/keys", path + "/keys"));
  TAPER_CHECK(copy_tree(places.state + "/tools.d", path + "/tools.d"));
  // What this node denies, it denies in every life; one that cannot be read still denies all.
  if (exists(places.state + kNodePolicyFile))
    TAPER_CHECK(copy_entry(places.state + kNodePolicyFile, path + kNodePolicyFile));
  TAPER_TRY(authority::NodeRecord record, authority::renew_node(path, old));
  if (!roots.empty()) {
    TAPER_TRY(const OwnedState owned, own_state(path, "", SystemClock().now()));
    for (const Bytes& root : roots)
      TAPER_CHECK(take_in_root(owned, root, std::nullopt, SystemClock().now()));
  }
  TAPER_CHECK(sync_directory(path));
  return record;
}

// The old state, which lies beside the new one by now: a log and its evidence, without any key.
Status put_aside(const Places& places, const authority::NodeRecord& old, Renewed& renewed) {
  for (const char* part : {"/keys", "/log.seed", "/results"})
    TAPER_CHECK(remove_tree(places.other + part));
  renewed.aside = places.aside(old);
  if (::rename(places.other.c_str(), renewed.aside.c_str()) != 0)
    return os_error("rename " + places.other, errno);
  TAPER_CHECK(sync_directory(places.parent));
  TAPER_CHECK(remove_tree(places.state + kPlaceholder));
  renewed.exported = exists(renewed.aside + "/log.tpa");
  return success();
}

}  // namespace

Result<Renewed> node_renew(const std::string& state) {
  TAPER_TRY(const Places places, places_of(state));
  Renewed renewed;
  // A call before this one came as far as the change of places.
  if (exists(places.other + "/node.pub") && !exists(places.other + kPlaceholder)) {
    TAPER_TRY(const authority::NodeRecord old, authority::read_node(places.other));
    TAPER_TRY(renewed.record, authority::read_node(places.state));
    renewed.before = old.incarnation;
    renewed.finished_earlier = true;
    TAPER_CHECK(put_aside(places, old, renewed));
    return renewed;
  }
  TAPER_TRY(const authority::NodeRecord record, authority::read_node(places.state));
  renewed.before = record.incarnation;
  TAPER_CHECK(check_key_links(places.state));
  // Left by a call that was broken off at its very end; the old state must not bear it.
  TAPER_CHECK(remove_tree(places.state + kPlaceholder));
  TAPER_CHECK(sync_directory(places.state));
  TAPER_TRY(const OldState old, take_old(places, record, renewed));
  TAPER_TRY(renewed.record, build_state(places, record, old.roots));
  renewed.roots = old.roots.size();
  if (::renameat2(AT_FDCWD, places.state.c_str(), AT_FDCWD, places.other.c_str(),
                  RENAME_EXCHANGE) != 0)
    return os_error("exchange " + places.state + " and " + places.other, errno);
  TAPER_CHECK(sync_directory(places.parent));
  TAPER_CHECK(put_aside(places, record, renewed));
  return renewed;
}

}  // namespace taper::broker
