#include "tools/taper/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/base/file.h"

namespace taper::tools {

Result<MappedFile> MappedFile::open(const std::string& path, std::size_t max_bytes) {
  MappedFile out;
  TAPER_TRY(const Fd file, open_input(path));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return os_error("stat " + path, errno);
  const auto size = static_cast<std::size_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || size == 0) {
    TAPER_TRY(out.read_, read_fd(file.get(), path, max_bytes));
    return out;
  }
  if (size > max_bytes)
    return Error(Code::too_large, {.field = path,
                                   .expected = "at most " + std::to_string(max_bytes) + " bytes",
                                   .got = std::to_string(size),
                                   .fix = ""});
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (at == MAP_FAILED) return os_error("map " + path, errno);
  out.at_ = at;
  out.size_ = size;
  return out;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : at_(std::exchange(other.at_, nullptr)), size_(other.size_), read_(std::move(other.read_)) {}

void MappedFile::forget(ByteSpan front) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (at_ != nullptr) ::madvise(at_, front.size() / page * page, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (at_ != nullptr) ::munmap(at_, size_);
}

}  // namespace taper::tools
