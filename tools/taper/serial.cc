#include "tools/taper/serial.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <limits>

#include "runtime/base/file.h"

namespace taper::tools {
namespace {

constexpr unsigned kSecondShift = 32;
constexpr unsigned kNanosecondShift = 2;  // a second of them fills the bits below
// Fixed width, so that the next number overwrites the last one whole.
constexpr std::size_t kSerialDigits = 20;
constexpr std::size_t kSerialBytes = kSerialDigits + 1;

Result<std::uint64_t> parse_serial(const std::string& path, std::string_view text) {
  std::uint64_t serial = 0;
  const char* end = text.data() + kSerialDigits;
  const bool sized = text.size() == kSerialBytes && text.back() == '\n';
  const auto parsed = std::from_chars(text.data(), sized ? end : text.data(), serial);
  if (!sized || parsed.ec != std::errc{} || parsed.ptr != end)
    return Error(Code::key_file_malformed,
                 {.field = path,
                  .expected = "20 digits and a newline",
                  .got = std::string(text),
                  .fix = "move the counter away; a new one starts above all earlier serials"});
  return serial;
}

Status write_serial(int fd, const std::string& path, std::uint64_t serial) {
  std::array<char, kSerialBytes + 1> text{};
  std::snprintf(text.data(), text.size(), "%020llu\n", static_cast<unsigned long long>(serial));
  const ssize_t wrote = ::pwrite(fd, text.data(), kSerialBytes, 0);
  if (wrote != static_cast<ssize_t>(kSerialBytes)) return os_error("write " + path, errno);
  if (::fsync(fd) != 0) return os_error("fsync " + path, errno);
  return success();
}

Result<std::uint64_t> first_serial(int fd, const std::string& path, std::int64_t now_s) {
  struct stat made{};
  if (::futimens(fd, nullptr) != 0 || ::fstat(fd, &made) != 0)
    return os_error("stat " + path, errno);
  const std::int64_t seconds = std::max<std::int64_t>(now_s, made.st_mtim.tv_sec);
  const bool same = seconds == made.st_mtim.tv_sec;  // else the file system has another clock
  const auto below = static_cast<std::uint64_t>(same ? made.st_mtim.tv_nsec : 0);
  return (static_cast<std::uint64_t>(seconds) << kSecondShift) + (below << kNanosecondShift);
}

// The counter's name must be on the disk before a serial from it is used.
Status sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory =
      slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return os_error("fsync " + directory, errno);
  return success();
}

}  // namespace

Result<std::uint64_t> take_serial(const std::string& key_path, std::int64_t now_s) {
  const std::string path = key_path + ".serial";
  const Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return os_error("open " + path, errno);
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return os_error("lock " + path, errno);
  }
  TAPER_TRY(const Bytes bytes, read_fd(fd.get(), path, kSerialBytes));
  std::uint64_t next = 0;
  if (bytes.empty()) {
    TAPER_TRY(next, first_serial(fd.get(), path, now_s));
  } else {
    TAPER_TRY(const std::uint64_t last, parse_serial(path, as_text(bytes)));
    if (last == std::numeric_limits<std::uint64_t>::max())
      return Error(Code::key_file_malformed, {.field = path,
                                              .expected = "a serial that can still rise",
                                              .got = "the last one",
                                              .fix = "make a new issuer key"});
    next = last + 1;
  }
  TAPER_CHECK(write_serial(fd.get(), path, next));
  if (bytes.empty()) TAPER_CHECK(sync_directory_of(path));
  return next;
}

}  // namespace taper::tools
