#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/sandbox/builtin/builtins.h"

namespace taper::sandbox {
namespace {

constexpr unsigned kNewFileMode = 0644;  // the umask takes from it
constexpr unsigned kKeptModeBits = 0666;
constexpr std::size_t kTemporaryTagBytes = 8;

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Fd open_here(int directory, const char* name, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return Fd(static_cast<int>(::syscall(SYS_openat2, directory, name, &how, sizeof how)));
}

// A new file in `directory`, under a name that nothing else has.
struct Temporary {
  int directory = -1;
  std::string name;
  Fd file;

  Temporary() = default;
  Temporary(Temporary&& other) noexcept
      : directory(other.directory),
        name(std::exchange(other.name, {})),
        file(std::move(other.file)) {}
  Temporary& operator=(Temporary&&) = delete;
  ~Temporary() {
    if (!name.empty()) ::unlinkat(directory, name.c_str(), 0);
  }
};

bool is_held(int file) { return ::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK; }

// Who writes holds the lock until the rename, so a file that can be locked is what a killed write
// left behind.
void remove_leftover(int directory, const char* name) {
  const Fd file = open_here(directory, name, O_WRONLY, 0);
  struct stat held{};
  struct stat named{};
  if (!file || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return;
  if (::fstat(file.get(), &held) != 0 || !S_ISREG(held.st_mode)) return;
  if (::fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (named.st_ino == held.st_ino && named.st_dev == held.st_dev) ::unlinkat(directory, name, 0);
}

// The names follow from the target's, so that the next write of it finds what one left behind.
Result<Temporary> make_temporary(int directory, const std::string& path, unsigned mode) {
  Temporary temporary;
  temporary.directory = directory;
  const Hash target = crypto::hash(as_bytes(name_of(path)));
  const std::string stem = ".taper-" + to_hex(target.span().first(kTemporaryTagBytes)) + "-";
  int error_number = EEXIST;
  for (int i = 0; i < limits::kTemporaryNameTries && error_number == EEXIST; ++i) {
    const std::string name = stem + std::to_string(i) + ".tmp";
    remove_leftover(directory, name.c_str());
    temporary.file = open_here(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL, mode);
    error_number = temporary.file ? 0 : errno;
    if (!temporary.file) continue;
    struct stat made{};
    // Another write may have taken it for a leftover before it could be locked.
    const bool lost = is_held(temporary.file.get()) || ::fstat(temporary.file.get(), &made) != 0 ||
                      made.st_nlink == 0;
    if (lost) error_number = EEXIST;
    if (!lost) temporary.name = name;
  }
  if (temporary.name.empty()) return tool_failure(path, error_number);
  return temporary;
}

Status write_and_sync(int file, const std::string& path, ByteSpan content) {
  if (const Status written = write_all(file, path, content); !written.ok()) {
    return tool_failure(path, written.error().detail().got);
  }
  if (::fsync(file) != 0) return tool_failure(path, errno);
  return success();
}

Error not_regular(const std::string& path) { return tool_failure(path, "not a regular file"); }

}  // namespace

Result<BuiltinResult> write_file_atomically(const GrantedTrees& trees, const std::string& path,
                                            ByteSpan content) {
  TAPER_TRY(const Fd directory, trees.open_parent(path));
  const std::string name = name_of(path);
  struct stat old{};
  const bool exists = ::fstatat(directory.get(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (!exists && errno != ENOENT) return tool_failure(path, errno);
  if (exists && !S_ISREG(old.st_mode)) return not_regular(path);
  // Replacing must not make a private file readable, nor keep it executable or suid.
  const unsigned mode = exists ? old.st_mode & kKeptModeBits : kNewFileMode;
  TAPER_TRY(Temporary temporary, make_temporary(directory.get(), path, mode));
  TAPER_CHECK(write_and_sync(temporary.file.get(), path, content));
  if (::renameat(directory.get(), temporary.name.c_str(), directory.get(), name.c_str()) != 0) {
    return tool_failure(path, errno);
  }
  temporary.name.clear();
  if (::fsync(directory.get()) != 0) return tool_failure(path, errno);
  BuiltinResult result;
  result.fields = {{"bytes", static_cast<std::int64_t>(content.size())}, {"created", !exists}};
  return result;
}

Result<BuiltinResult> append_to_file(const GrantedTrees& trees, const std::string& path,
                                     ByteSpan content) {
  const int flags = O_WRONLY | O_APPEND;
  Result<Fd> file = Fd();
  bool created = false;
  if (trees.has_parent(path)) {
    file = trees.open(path, flags | O_CREAT | O_EXCL, kNewFileMode);
    created = file.ok();
  }
  if (!created) file = trees.open(path, flags);
  if (!file.ok()) return Error(file.error());
  struct stat facts{};
  if (::fstat(file->get(), &facts) != 0) return tool_failure(path, errno);
  if (!S_ISREG(facts.st_mode)) return not_regular(path);
  if (facts.st_nlink > 1) return tool_failure(path, "it has more than one name (hard link)");
  TAPER_CHECK(write_and_sync(file->get(), path, content));
  if (created) {
    TAPER_TRY(const Fd directory, trees.open_parent(path));
    if (::fsync(directory.get()) != 0) return tool_failure(path, errno);
  }
  if (::fstat(file->get(), &facts) != 0) return tool_failure(path, errno);
  BuiltinResult result;
  result.fields = {{"bytes", static_cast<std::int64_t>(content.size())},
                   {"size", static_cast<std::int64_t>(facts.st_size)}};
  return result;
}

}  // namespace taper::sandbox
