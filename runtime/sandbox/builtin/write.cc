#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
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

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

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

Result<Temporary> make_temporary(int directory, const std::string& path, unsigned mode) {
  Temporary temporary;
  temporary.directory = directory;
  int error_number = EEXIST;
  for (int i = 0; i < limits::kTemporaryNameTries && error_number == EEXIST; ++i) {
    std::array<std::uint8_t, 8> random{};
    crypto::random_bytes(random);
    const std::string name = ".taper-" + to_hex(random) + ".tmp";
    open_how how{};
    how.flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    temporary.file.reset(
        static_cast<int>(::syscall(SYS_openat2, directory, name.c_str(), &how, sizeof how)));
    error_number = temporary.file ? 0 : errno;
    if (temporary.file) temporary.name = name;
  }
  if (!temporary.file) return tool_failure(path, error_number);
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
