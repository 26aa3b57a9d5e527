// A new incarnation of a node: a whole new state with the old one's keys is built beside it, the
// two change places in one step, and what was is put aside without its keys. So a crash at any
// point leaves the old state or the new one, and the next call goes on from there. What can be seen
// to fail is tried before anything of the old state is ended.
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "runtime/authority/time_report.h"
#include "runtime/base/limits.h"
#include "runtime/broker/beside.h"
#include "runtime/broker/diagnostics.h"
#include "runtime/broker/embedded.h"
#include "runtime/broker/node_policy_file.h"
#include "runtime/broker/owned_state.h"
#include "runtime/broker/tool_files.h"
#include "runtime/broker/twins.h"
#include "store/audit_export.h"
#include "store/audit_verify.h"
#include "store/state_files.h"

namespace taper::broker {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPrivateFile = 0600;
constexpr mode_t kModeBits = 0777;
constexpr mode_t kOthersBits = 0077;
constexpr std::size_t kCopiedFileBytesMax = 64 * 1024 * 1024;
constexpr std::size_t kShownDigits = 16;
// In a state that was built to take another's place, until that is put aside: the incarnation that
// it takes the place of.
constexpr const char* kPlaceholder = "/renews";
constexpr const char* kNodePolicyFile = "node.toml";
constexpr const char* kExported = "/log.tpa";

struct Places {
  std::string state;  // real path
  std::string parent;
  std::string other;  // beside it: the new state while it is built, then the old one
  Fd alone;           // locked for the whole renewal, so that nothing here is another one's

  std::string aside(const authority::NodeRecord& old) const {
    return state + std::string(kEnded) + old.incarnation.hex().substr(0, kShownDigits);
  }
};

// Empty: there is nothing.
std::optional<struct stat> look(const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return std::nullopt;
  return found;
}

bool exists(const std::string& path) { return look(path).has_value(); }

bool is_file(const std::string& path) {
  const auto found = look(path);
  return found && S_ISREG(found->st_mode);
}

bool is_private_file(const std::string& path) {
  const auto found = look(path);
  return found && S_ISREG(found->st_mode) && found->st_uid == ::geteuid() &&
         (found->st_mode & kOthersBits) == 0;
}

Status file_error(const std::string& what, const std::error_code& error) {
  return error ? Status(os_error(what, error.value())) : success();
}

Status remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return file_error("remove " + path, error);
}

// Two folders change places only where both lie on one file system and neither is mounted there.
Status check_movable(const std::string& state) {
  struct statx found{};
  if (::statx(AT_FDCWD, state.c_str(), 0, STATX_BASIC_STATS, &found) != 0)
    return os_error("stat " + state, errno);
  if ((found.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) return success();
  return Error(Code::os_failure,
               {state, "a directory that can change places with one beside it", "a mount point",
                "keep the state in a directory below the mount point"});
}

Result<Places> places_of(const std::string& state) {
  char real[PATH_MAX];
  if (::realpath(state.c_str(), real) == nullptr)
    return Error(Code::not_a_state, {state, "a directory with node.pub", "", ""});
  Places places{.state = real, .parent = {}, .other = real + std::string(kRenewing), .alone = {}};
  places.parent = places.state.substr(0, places.state.rfind('/') + 1);
  struct stat found{};
  if (::stat(real, &found) != 0) return os_error("stat " + places.state, errno);
  // Root could neither read that user's keys as its own nor make files that are his.
  if (found.st_uid != ::geteuid())
    return Error(Code::control_unreachable,
                 {places.state, "its owner, uid " + std::to_string(found.st_uid),
                  "uid " + std::to_string(::geteuid()), "run it as that user"});
  TAPER_CHECK(check_movable(places.state));
  return places;
}

// What a renewal left in `state`; empty: nothing of ours.
std::optional<std::string> placeholder_in(const std::string& state) {
  if (!is_private_file(state + kPlaceholder)) return std::nullopt;
  const Result<Bytes> file = read_file(state + kPlaceholder, limits::kKeyFileBytesMax);
  return file.ok() ? std::optional<std::string>(as_text(*file)) : std::nullopt;
}

// What stands where the new state is built.
enum class Beside : std::uint8_t {
  nothing,
  unfinished,  // a new state for this one that was not finished
  ended,       // what this state took the place of
  foreign,
};

Beside look_beside(const Places& places, const authority::NodeRecord& record) {
  const auto found = look(places.other);
  if (!found) return Beside::nothing;
  if (!S_ISDIR(found->st_mode) || found->st_uid != ::geteuid()) return Beside::foreign;
  std::error_code error;
  int entries = 0;
  for (fs::directory_iterator at(places.other, error), end; !error && at != end;
       at.increment(error))
    ++entries;
  if (error) return Beside::foreign;
  if (entries == 0) return Beside::unfinished;
  if (const auto renews = placeholder_in(places.other)) {
    const std::string wanted = record.incarnation.hex();
    // Broken off while it was written, it is all that is there.
    const bool ours = *renews == wanted || (entries == 1 && wanted.starts_with(*renews));
    return ours ? Beside::unfinished : Beside::foreign;
  }
  const Result<authority::NodeRecord> old = authority::read_node(places.other);
  const bool replaced = old.ok() && old->sign == record.sign &&
                        placeholder_in(places.state) == old->incarnation.hex();
  return replaced ? Beside::ended : Beside::foreign;
}

Error in_the_way(const std::string& path) {
  return {Code::file_exists,
          {path, "nothing there, or what a renewal of this very state left", "something else",
           "look at what it is, and move it away"}};
}

// What is done here goes by path, and paths change under whoever is not alone. The file stays: two
// could hold two locks of one name where one of them removed it.
Result<Fd> lock_renewals(const std::string& state) {
  const std::string path = state + std::string(kRenewLock);
  Fd file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kPrivateFile));
  if (!file && !exists(path)) return os_error("open " + path, errno);
  if (!file || !is_private_file(path)) return in_the_way(path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno != EWOULDBLOCK) return os_error("lock " + path, errno);
  return Error(Code::state_locked, {path, "no other renewal of this state", "one is under way",
                                    "wait for its end, then look at the state"});
}

// A copy belongs to whoever copies, so what would be refused for its owner must not become ours.
Status check_copied(const std::string& path, const struct stat& found) {
  const bool kind = S_ISDIR(found.st_mode) || S_ISLNK(found.st_mode) || S_ISREG(found.st_mode);
  if (kind && (found.st_uid == 0 || found.st_uid == ::geteuid())) return success();
  return Error(Code::tool_file_malformed,
               {path, "a file or folder of root's or of the node's user",
                kind ? "uid " + std::to_string(found.st_uid) : "another kind of file",
                "mend or remove it; nothing was ended"});
}

Status copy_tree(const std::string& from, const std::string& to);

// A regular file, a folder or a link, with its mode; a file is synced.
// NOLINTNEXTLINE(misc-no-recursion): tools.d is as deep as its owner made it
Status copy_entry(const std::string& from, const std::string& to) {
  struct stat found{};
  if (::lstat(from.c_str(), &found) != 0) return os_error("stat " + from, errno);
  if (S_ISDIR(found.st_mode)) return copy_tree(from, to);
  TAPER_CHECK(check_copied(from, found));
  if (S_ISLNK(found.st_mode)) {
    std::error_code error;
    fs::copy_symlink(from, to, error);
    return file_error("copy " + from, error);
  }
  TAPER_TRY(Bytes bytes, read_file(from, kCopiedFileBytesMax));
  Status written = create_file(to, bytes, found.st_mode & kModeBits);
  crypto::wipe(bytes);
  return written;
}

// NOLINTNEXTLINE(misc-no-recursion): as above
Status copy_tree(const std::string& from, const std::string& to) {
  struct stat folder{};
  if (::stat(from.c_str(), &folder) != 0) return os_error("stat " + from, errno);
  TAPER_CHECK(check_copied(from, folder));
  if (::mkdir(to.c_str(), S_IRWXU) != 0) return os_error("mkdir " + to, errno);
  std::error_code error;
  for (fs::directory_iterator at(from, error), end; !error && at != end; at.increment(error))
    TAPER_CHECK(copy_entry(at->path(), to + "/" + at->path().filename().string()));
  TAPER_CHECK(file_error("list " + from, error));
  if (::chmod(to.c_str(), folder.st_mode & kModeBits) != 0) return os_error("chmod " + to, errno);
  return sync_directory(to);
}

// What this node denies, it denies in every life; a policy that cannot be read denies all, and no
// new life may begin without it.
Status copy_policy(const Places& places) {
  const OwnPolicy policy = read_policy(places.state);
  if (policy.unread) {
    ErrorDetail detail = policy.unread->detail();
    detail.fix = "mend or remove the node's policy; nothing was ended";
    return Error(policy.unread->code(), std::move(detail));
  }
  TAPER_TRY(const auto text,
            read_owned_file(places.state, kNodePolicyFile, limits::kToolFileBytesMax));
  const auto found = look(places.state + "/" + kNodePolicyFile);
  if (!text || !found) return success();
  return create_file(places.other + "/" + kNodePolicyFile, as_bytes(*text),
                     found->st_mode & kModeBits);
}

// That this file system lets two folders change places.
Status try_exchange(const std::string& folder) {
  const std::string one = folder + "/one", two = folder + "/two";
  if (::mkdir(one.c_str(), S_IRWXU) != 0 || ::mkdir(two.c_str(), S_IRWXU) != 0)
    return os_error("mkdir in " + folder, errno);
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, two.c_str(), RENAME_EXCHANGE) != 0)
    return os_error("exchange two folders in " + folder, errno);
  TAPER_CHECK(remove_tree(one));
  return remove_tree(two);
}

// First of all the placeholder: what bears it may be removed.
Status begin_state(const std::string& path, const authority::NodeRecord& old) {
  TAPER_CHECK(remove_tree(path));
  if (::mkdir(path.c_str(), S_IRWXU) != 0) return os_error("mkdir " + path, errno);
  const std::string placeholder = path + kPlaceholder;
  const Fd file(::open(placeholder.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       kPrivateFile));
  if (!file) return os_error("open " + placeholder, errno);
  TAPER_CHECK(write_all(file.get(), placeholder, as_bytes(old.incarnation.hex())));
  if (::fsync(file.get()) != 0) return os_error("sync " + placeholder, errno);
  return sync_directory(path);
}

// Names a new incarnation and log, and nothing else anew. Nothing of the old state is changed.
Result<authority::NodeRecord> build_state(const Places& places, const authority::NodeRecord& old) {
  const std::string& path = places.other;
  TAPER_CHECK(begin_state(path, old));
  TAPER_CHECK(try_exchange(path));
  TAPER_CHECK(copy_tree(places.state + "/keys", path + "/keys"));
  if (exists(places.state + "/tools.d")) {
    TAPER_CHECK(copy_tree(places.state + "/tools.d", path + "/tools.d"));
  } else if (::mkdir((path + "/tools.d").c_str(), S_IRWXU) != 0) {
    return os_error("mkdir " + path + "/tools.d", errno);
  }
  TAPER_CHECK(copy_policy(places));
  return authority::renew_node(path, old);
}

// What the old state knew, for the new one.
struct Known {
  std::vector<Bytes> roots;  // every version, in order
  std::int64_t signed_s = 0;
};

// What held the old state until the new one stands in its place.
struct OldState {
  std::optional<OwnedState> owned;
  std::unique_ptr<store::StateFiles> lock;  // where it cannot be owned
  Known known;
};

// A twin that is none says nothing of the store, which is not given up for it; the next incarnation
// has another.
Result<OwnedState> own_old(const Places& places) {
  Result<OwnedState> owned = own_state(places.state, "", SystemClock().now());
  if (owned.code() != Code::twin_unfit) return owned;
  warn(to_line(owned.error()));
  return own_state_at(places.state, "", SystemClock().now(), "");
}

Result<Known> known_to(const OwnedState& owned) {
  Known known;
  TAPER_CHECK(owned.store->read([&known](const store::ReadTxn& txn) {
    return txn.scan(store::Table::roots, {}, [&known](ByteSpan, ByteSpan file) {
      known.roots.push_back(to_bytes(file));
      return true;
    });
  }));
  TAPER_TRY(const authority::TimeReport time,
            authority::time_report(*owned.store, SystemClock().now()));
  known.signed_s = time.signed_s;
  return known;
}

// As log.tpa and, where it does not fit in one file, log-2.tpa, log-3.tpa, …
Status export_whole(const std::string& state, const authority::NodeRecord& record) {
  store::LogFront front;
  front.goes_on = true;
  for (int part = 1; front.goes_on; ++part) {
    TAPER_TRY(const Bytes log,
              store::export_log(state, authority::log_origin(record), {}, front.end));
    TAPER_TRY(front, store::read_log_front(log));
    const std::string exported =
        state + (part == 1 ? kExported : "/log-" + std::to_string(part) + ".tpa");
    if (exists(exported) && !is_file(exported) &&
        ::rename(exported.c_str(), (exported + ".aside").c_str()) != 0)
      return os_error("rename " + exported, errno);
    TAPER_CHECK(replace_file(exported, log, kPrivateFile));
  }
  return success();
}

// Its tasks ended, its results erased, its log closed and exported into it. How many tasks. What
// this host cannot export it should not be able to before a task ends, so that is tried first.
Result<std::uint64_t> close(const OwnedState& owned, const std::string& state,
                            const authority::NodeRecord& record) {
  store::ResultFiles results(state);
  std::uint64_t ended = 0;
  const std::vector<TaskId> live = owned.authority->live_tasks();
  if (!live.empty()) TAPER_CHECK(export_whole(state, record));  // what may fail, first
  for (const TaskId& task : live) {
    const Now now = SystemClock().now();
    TAPER_CHECK(owned.authority->begin_ending(task, authority::EndReason::operator_kill, now,
                                              {.uid = ::geteuid()}));
    TAPER_CHECK(results.erase_task(task));
    TAPER_CHECK(owned.authority->finish(task, now));
    ++ended;
  }
  TAPER_CHECK(results.erase_all_but({}));
  TAPER_CHECK(owned.store->sync_marker());
  owned.store->rest();
  TAPER_CHECK(export_whole(state, record));
  return ended;
}

// A damaged page ends the process that meets it, so a child goes first over all that is read.
struct Rehearsed {
  bool survived = false;
  std::optional<std::uint64_t> ended = {};  // tasks; empty: it was refused
};

// The child's whole life. False: refused.
bool rehearse(const Places& places, const authority::NodeRecord& record, std::uint64_t& ended) {
  const Result<OwnedState> owned = own_old(places);
  if (!owned.ok() || !known_to(*owned).ok()) return false;
  const Result<std::uint64_t> closed = close(*owned, places.state, record);
  if (closed.ok()) ended = *closed;
  return closed.ok();
}

// What killed the child may be short memory or somebody's signal: no sign of damage, on which an
// intact store would be given up.
Error died(int status) {
  return {Code::os_failure,
          {"the process that reads the old state first", "an answer",
           WIFSIGNALED(status) ? "its death by signal " + std::to_string(WTERMSIG(status))
                               : "exit " + std::to_string(WEXITSTATUS(status)),
           "nothing was removed; see that this host has memory for the whole log, and renew again; "
           "a store that nobody can read is given up by moving its data.mdb away"}};
}

Result<Rehearsed> rehearse_in_child(const Places& places, const authority::NodeRecord& record) {
  // Apart from the exit of the store's last words.
  constexpr int kDone = 0, kRefused = 99;
  const int kDamaged = exit_code(Code::store_corrupt);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("pipe", errno);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return os_error("fork", errno);
  if (child == 0) {
    // It holds the state: it must not outlive who would go on.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(kRefused);
    ::close(places.alone.get());  // whoever finishes what is broken off waits for no child
    const Fd silence(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    ::dup2(silence.get(), STDERR_FILENO);
    std::uint64_t ended = 0;
    const bool done = rehearse(places, record, ended);
    const bool told = ::write(to.get(), &ended, sizeof(ended)) == sizeof(ended);
    ::_exit(done && told ? kDone : kRefused);
  }
  to.reset();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return os_error("waitpid", errno);
  const int left = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (left != kDone && left != kRefused && left != kDamaged) return died(status);
  Rehearsed out{.survived = left != kDamaged};
  std::uint64_t ended = 0;
  if (left == kDone && ::read(from.get(), &ended, sizeof(ended)) == sizeof(ended))
    out.ended = ended;
  return out;
}

// Whether the small files beside the store are what they must be.
bool are_fit(const std::string& state) {
  const std::string locks = state + "/lock.mdb";
  const auto results = look(state + "/results");
  return is_private_file(state + "/log.seed") && is_private_file(state + "/marker") &&
         is_file(state + "/data.mdb") && (!exists(locks) || is_file(locks)) &&
         (!results || S_ISDIR(results->st_mode));
}

// A store that tells another story than the files beside it is not taken up and not believed.
bool is_beyond_repair(Code code, const std::string& state) {
  switch (code) {
    case Code::store_rolled_back:
    case Code::store_corrupt:
    case Code::store_version:
    case Code::node_record_malformed:
    case Code::key_file_exposed:  // log.seed: those of keys/ were looked at before
    case Code::not_a_state: return true;
    // This host may only be short of something.
    case Code::os_failure:
    case Code::store_failure:
    case Code::file_missing:
    case Code::file_unreadable: return !are_fit(state);
    default: return false;
  }
}

Result<OldState> take_old(const Places& places, const authority::NodeRecord& record,
                          Renewed& renewed) {
  OldState old;
  TAPER_TRY(const Rehearsed rehearsed, rehearse_in_child(places, record));
  if (rehearsed.survived) {
    Result<OwnedState> owned = own_old(places);
    if (owned.ok()) {
      TAPER_TRY(old.known, known_to(*owned));
      renewed.ended = rehearsed.ended.value_or(0);
      if (!rehearsed.ended || !owned->authority->live_tasks().empty()) {
        TAPER_TRY(const std::uint64_t ended, close(*owned, places.state, record));
        renewed.ended += ended;
      }
      renewed.exported = true;
      old.owned = std::move(*owned);
      return old;
    }
    if (!is_beyond_repair(owned.code(), places.state)) return owned.error();
    renewed.unread = owned.error();
  } else {
    renewed.unread = Error(Code::store_corrupt,
                           {"data.mdb", "whole pages", "one that is damaged or cut off", ""});
  }
  TAPER_TRY(old.lock, store::StateFiles::lock(places.state));
  return old;
}

Status hand_over(const Places& places, const Known& known) {
  TAPER_TRY(const OwnedState owned,
            own_state_at(places.other, "", SystemClock().now(), twins_of(places.other)));
  for (const Bytes& root : known.roots)
    TAPER_CHECK(take_in_root(owned, root, std::nullopt, SystemClock().now()));
  TAPER_CHECK(owned.authority->inherit_time(known.signed_s, SystemClock().now()));
  return owned.store->sync_marker();
}

// The old state, which lies beside the new one by now: a log and its evidence, without any key.
Status put_aside(const Places& places, const authority::NodeRecord& old, Renewed& renewed) {
  for (const char* part : {"/keys", "/log.seed", "/results"})
    TAPER_CHECK(remove_tree(places.other + part));
  renewed.aside = places.aside(old);
  if (exists(renewed.aside)) return in_the_way(renewed.aside);
  if (::rename(places.other.c_str(), renewed.aside.c_str()) != 0)
    return os_error("rename " + places.other, errno);
  TAPER_CHECK(sync_directory(places.parent));
  return remove_tree(places.state + kPlaceholder);
}

// A call before this one came as far as the change of places.
Result<Renewed> finish_earlier(const Places& places, const authority::NodeRecord& record) {
  Renewed renewed;
  TAPER_TRY(const authority::NodeRecord old, authority::read_node(places.other));
  renewed.record = record;
  renewed.before = old.incarnation;
  renewed.finished_earlier = true;
  renewed.exported = is_file(places.other + kExported);
  TAPER_CHECK(put_aside(places, old, renewed));
  return renewed;
}

// A lock that is no file is nobody's: whoever held the one before it stops at his next commit.
Status free_lock(const Places& places) {
  const std::string path = places.state + "/lock";
  if (!exists(path) || is_file(path)) return success();
  if (::rename(path.c_str(), (path + ".aside").c_str()) == 0) return success();
  return os_error("rename " + path, errno);
}

// That nobody owns the state; one who was just killed may hold it for a moment longer.
Status check_free(const Places& places) {
  constexpr int kPauseMs = 50;
  for (int left = 20;; --left) {
    const auto lock = store::StateFiles::lock(places.state);
    if (lock.ok()) return success();
    if (lock.code() != Code::state_locked) return lock.error();
    if (left == 0)
      return Error(Code::state_locked, {places.state, "a state that nobody owns", "",
                                        "stop it: the state changes under whoever owns it"});
    ::poll(nullptr, 0, kPauseMs);
  }
}

Result<Renewed> renew(const Places& places, const authority::NodeRecord& record) {
  Renewed renewed;
  renewed.before = record.incarnation;
  TAPER_TRY(renewed.record, build_state(places, record));
  TAPER_TRY(const OldState old, take_old(places, record, renewed));
  if (old.owned) TAPER_CHECK(hand_over(places, old.known));
  renewed.roots = old.known.roots.size();
  TAPER_CHECK(sync_directory(places.other));
  if (::renameat2(AT_FDCWD, places.state.c_str(), AT_FDCWD, places.other.c_str(),
                  RENAME_EXCHANGE) != 0)
    return os_error("exchange " + places.state + " and " + places.other, errno);
  TAPER_CHECK(sync_directory(places.parent));
  TAPER_CHECK(put_aside(places, record, renewed));
  return renewed;
}

}  // namespace

Result<Renewed> node_renew(const std::string& state) {
  TAPER_TRY(Places places, places_of(state));
  TAPER_CHECK(check_in_place(places.state));
  TAPER_TRY(places.alone, lock_renewals(places.state));
  TAPER_TRY(const authority::NodeRecord record, authority::read_node(places.state));
  const Beside beside = look_beside(places, record);
  if (beside == Beside::ended) return finish_earlier(places, record);
  if (beside == Beside::foreign) return in_the_way(places.other);
  if (exists(places.aside(record))) return in_the_way(places.aside(record));
  TAPER_CHECK(check_key_links(places.state));
  TAPER_CHECK(free_lock(places));
  TAPER_CHECK(check_free(places));
  // Left by a call that was broken off at its very end; the old state must not bear it.
  TAPER_CHECK(remove_tree(places.state + kPlaceholder));
  TAPER_CHECK(sync_directory(places.state));
  Result<Renewed> renewed = renew(places, record);
  // It has copies of the keys.
  if (!renewed.ok() && look_beside(places, record) == Beside::unfinished)
    (void)remove_tree(places.other);
  return renewed;
}

}  // namespace taper::broker
