#include "tools/taper/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "runtime/base/file.h"

namespace taper::tools {
namespace {

constexpr std::size_t kPartBytes = 1024UL * 1024;

Error larger(const std::string& path, std::size_t max_bytes, std::string got) {
  return Error(Code::too_large, {.field = path,
                                 .expected = "at most " + std::to_string(max_bytes) + " bytes",
                                 .got = std::move(got),
                                 .fix = ""});
}

// Reads until the part is full or the file ends.
Result<std::size_t> fill(int fd, const std::string& path, Bytes& part) {
  std::size_t have = 0;
  while (have < part.size()) {
    const ssize_t count = ::read(fd, part.data() + have, part.size() - have);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read " + path, errno);
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  return have;
}

// Where temporary files are made by name, the name goes at once.
Result<Fd> private_file() {
  const char* asked = std::getenv("TMPDIR");
  const std::string folder = asked == nullptr || *asked == '\0' ? "/var/tmp" : asked;
  Fd file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (file) return file;
  std::string name = folder + "/taper-XXXXXX";
  file.reset(::mkostemp(name.data(), O_CLOEXEC));
  if (!file) return os_error("make a temporary file in " + folder, errno);
  ::unlink(name.c_str());
  return file;
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path, std::size_t max_bytes) {
  MappedFile out;
  TAPER_TRY(const Fd file, open_input(path));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return os_error("stat " + path, errno);
  if (S_ISREG(info.st_mode) && std::cmp_greater(info.st_size, max_bytes))
    return larger(path, max_bytes, std::to_string(info.st_size));
  Fd copy;
  Bytes part(kPartBytes);
  for (bool more = true; more;) {
    TAPER_TRY(const std::size_t count, fill(file.get(), path, part));
    if (count > max_bytes - out.size_) return larger(path, max_bytes, "more");
    more = count == part.size();
    if (!more && !copy) {
      part.resize(count);
      out.read_ = std::move(part);
      return out;
    }
    if (!copy) {
      TAPER_TRY(copy, private_file());
    }
    TAPER_CHECK(write_all(copy.get(), "the copy of " + path, ByteSpan(part).first(count)));
    out.size_ += count;
  }
  void* at = ::mmap(nullptr, out.size_, PROT_READ, MAP_PRIVATE, copy.get(), 0);
  if (at == MAP_FAILED) return os_error("map " + path, errno);
  out.at_ = at;
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
