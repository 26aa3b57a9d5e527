#include "runtime/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace taper {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Error file_error(Code code, const std::string& path, int error_number) {
  if (error_number == ENOSPC || error_number == EDQUOT) code = Code::store_full;
  if (error_number == ENOENT) code = Code::file_missing;
  return Error(code,
               {.field = path, .expected = "", .got = std::strerror(error_number), .fix = ""});
}

Error larger_than(const std::string& name, std::size_t max_bytes, std::string got) {
  return Error(Code::too_large,
               {name, "at most " + std::to_string(max_bytes) + " bytes", std::move(got), ""});
}

// The written and synced temporary file's name.
Result<std::string> write_temporary(const std::string& path, ByteSpan bytes, unsigned mode) {
  std::string name = path + ".tmp-XXXXXX";
  const Fd file(::mkostemp(name.data(), O_CLOEXEC));
  if (!file) return file_error(Code::file_unreadable, path, errno);
  Status written = write_all(file.get(), path, bytes);
  if (written.ok() && ::fchmod(file.get(), mode) != 0) {
    written = file_error(Code::file_unreadable, path, errno);
  }
  if (written.ok() && ::fsync(file.get()) != 0) {
    written = file_error(Code::file_unreadable, path, errno);
  }
  if (!written.ok()) {
    ::unlink(name.c_str());
    return Error(written.error());
  }
  return name;
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Error os_error(const std::string& what, int error_number) {
  return Error(Code::os_failure,
               {.field = what, .expected = "", .got = std::strerror(error_number), .fix = ""});
}

Result<Bytes> read_fd(int fd, const std::string& name, std::size_t max_bytes) {
  Bytes out;
  for (;;) {
    const std::size_t have = out.size();
    out.resize(std::min(max_bytes + 1, have + 64 * 1024));
    const ssize_t count = ::read(fd, out.data() + have, out.size() - have);
    if (count < 0 && errno == EINTR) {
      out.resize(have);
      continue;
    }
    if (count < 0) return file_error(Code::file_unreadable, name, errno);
    out.resize(have + static_cast<std::size_t>(count));
    if (out.size() > max_bytes) {
      return larger_than(name, max_bytes, "more");
    }
    if (count == 0) return out;
  }
}

Result<Fd> open_input(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return file_error(Code::file_unreadable, path, errno);
  const bool inherited =
      path == "/dev/stdin" || path.starts_with("/dev/fd/") || path.starts_with("/proc/self/fd/");
  if (!inherited && !S_ISREG(info.st_mode)) {
    return Error(Code::file_unreadable,
                 {path, "a regular file", S_ISDIR(info.st_mode) ? "a directory" : "another kind",
                  "name a file; a shell's <(command) is taken too"});
  }
  // It may have become a pipe since: opening that must not wait for a writer.
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | (inherited ? 0 : O_NONBLOCK)));
  if (!file) return file_error(Code::file_unreadable, path, errno);
  return file;
}

Result<Bytes> read_file(const std::string& path, std::size_t max_bytes) {
  TAPER_TRY(const Fd file, open_input(path));
  struct stat info{};
  if (::fstat(file.get(), &info) == 0 && info.st_size > 0 &&
      static_cast<std::uint64_t>(info.st_size) > max_bytes) {
    return larger_than(path, max_bytes, std::to_string(info.st_size));
  }
  return read_fd(file.get(), path, max_bytes);
}

Status write_all(int fd, const std::string& name, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error(Code::file_unreadable, name, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return success();
}

Status sync_directory(const std::string& path) {
  const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) {
    return file_error(Code::file_unreadable, path, errno);
  }
  return success();
}

Status replace_file(const std::string& path, ByteSpan bytes, unsigned mode) {
  TAPER_TRY(const std::string temporary, write_temporary(path, bytes, mode));
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(temporary.c_str());
    return file_error(Code::file_unreadable, path, error_number);
  }
  return sync_directory(parent_of(path));
}

Status create_file(const std::string& path, ByteSpan bytes, unsigned mode) {
  TAPER_TRY(const std::string temporary, write_temporary(path, bytes, mode));
  const int linked = ::link(temporary.c_str(), path.c_str());
  const int error_number = errno;
  ::unlink(temporary.c_str());
  if (linked != 0) {
    return file_error(error_number == EEXIST ? Code::file_exists : Code::file_unreadable, path,
                      error_number);
  }
  return sync_directory(parent_of(path));
}

}  // namespace taper
