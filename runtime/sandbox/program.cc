#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/sandbox/spawner.h"

#ifndef MFD_EXEC  // Linux 6.3
#define MFD_EXEC 0x0010U
#endif

namespace taper::sandbox {
namespace {

Error unfit(const std::string& path, std::string expected, std::string got) {
  return Error(Code::program_unfit,
               {.field = path, .expected = std::move(expected), .got = std::move(got), .fix = ""});
}

Result<std::string> real_path(const std::string& path) {
  if (path.empty() || path.front() != '/') return unfit(path, "an absolute path", "");
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return unfit(path, "", std::strerror(errno));
  std::string out(resolved);
  std::free(resolved);
  return out;
}

// Somebody else who can change it decides what it is.
Status check_owner(const std::string& path, const struct stat& found) {
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return unfit(path, "not writable by others", "mode allows group or others to write");
  }
  if (found.st_uid != 0 && found.st_uid != ::geteuid()) {
    return unfit(path, "owned by root or by you", "uid " + std::to_string(found.st_uid));
  }
  return success();
}

// Times of files tick in milliseconds, so what was written a moment ago may be again unseen.
std::vector<std::int64_t> identity(const struct stat& found) {
  constexpr std::int64_t kSettledS = 2;
  if (wall_clock_s() - found.st_ctim.tv_sec < kSettledS) return {};
  return {static_cast<std::int64_t>(found.st_dev),
          static_cast<std::int64_t>(found.st_ino),
          found.st_size,
          found.st_mtim.tv_sec,
          found.st_mtim.tv_nsec,
          found.st_ctim.tv_sec,
          found.st_ctim.tv_nsec};
}

Result<std::size_t> check_program(const std::string& path, int file, struct stat& found) {
  if (::fstat(file, &found) != 0) return unfit(path, "", std::strerror(errno));
  if (!S_ISREG(found.st_mode)) return unfit(path, "a regular file", "another kind of file");
  TAPER_CHECK(check_owner(path, found));
  struct stat parent{};
  const std::string directory = path.substr(0, path.rfind('/') + 1);
  if (::stat(directory.c_str(), &parent) != 0) return unfit(directory, "", std::strerror(errno));
  TAPER_CHECK(check_owner(directory, parent));
  if (found.st_size <= 0 || static_cast<std::size_t>(found.st_size) > limits::kProgramBytesMax) {
    return unfit(path, "at most " + std::to_string(limits::kProgramBytesMax) + " bytes",
                 std::to_string(found.st_size));
  }
  return static_cast<std::size_t>(found.st_size);
}

Result<Fd> memory_file() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Fd memory(::memfd_create("program", kFlags | MFD_EXEC));
  if (!memory && errno == EINVAL) memory = Fd(::memfd_create("program", kFlags));
  if (!memory) return os_error("memfd_create", errno);
  return memory;
}

Result<Hash> hash_sealed(int memory, std::size_t size) {
  if (size == 0) return crypto::hash({});
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, memory, 0);
  if (bytes == MAP_FAILED) return os_error("mmap", errno);
  const Hash hash = crypto::hash(ByteSpan(static_cast<const std::uint8_t*>(bytes), size));
  ::munmap(bytes, size);
  return hash;
}

}  // namespace

Result<Program> Program::copy(int file, const std::string& path, Identity identity,
                              std::size_t size, const std::map<Hash, Program>& known) {
  Program program;
  program.file_ = std::move(identity);
  for (const auto& [hash, same] : known) {
    if (program.file_.empty() || same.file_ != program.file_) continue;
    program.fd_ = Fd(::fcntl(same.fd(), F_DUPFD_CLOEXEC, 0));
    program.hash_ = hash;
    if (!program.fd_) return os_error("dup", errno);
    return program;
  }
  TAPER_TRY(program.fd_, memory_file());
  for (std::size_t copied = 0; copied < size;) {
    const ssize_t count = ::sendfile(program.fd_.get(), file, nullptr, size - copied);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return os_error("read " + path, count < 0 ? errno : ENODATA);
    copied += static_cast<std::size_t>(count);
  }
  constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (::fcntl(program.fd_.get(), F_ADD_SEALS, kSeals) != 0) return os_error("F_ADD_SEALS", errno);
  TAPER_TRY(program.hash_, hash_sealed(program.fd_.get(), size));
  return program;
}

Result<Program> Program::copy(int file, const std::string& path, std::size_t bytes_max,
                              const std::map<Hash, Program>& known) {
  struct stat found{};
  if (::fstat(file, &found) != 0) return os_error("stat " + path, errno);
  const auto size = static_cast<std::size_t>(found.st_size);
  if (size <= bytes_max) return copy(file, path, identity(found), size, known);
  return Error(Code::too_large, {.field = path,
                                 .expected = "at most " + std::to_string(bytes_max) + " bytes",
                                 .got = std::to_string(found.st_size),
                                 .fix = ""});
}

Result<Program> Program::load(const std::string& path, const std::map<Hash, Program>& known) {
  TAPER_TRY(const std::string real, real_path(path));
  const Fd file(::open(real.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return unfit(path, "", std::strerror(errno));
  struct stat found{};
  TAPER_TRY(const std::size_t size, check_program(real, file.get(), found));
  TAPER_TRY(Program program, copy(file.get(), path, identity(found), size, known));
  std::array<char, 4> magic{};
  if (::pread(program.fd(), magic.data(), magic.size(), 0) != 4 ||
      std::string_view(magic.data(), magic.size()) !=
          "\x7f"
          "ELF") {
    return unfit(path, "an ELF program", "another format, such as a script");
  }
  return program;
}

}  // namespace taper::sandbox
