#include "store/state_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "crypto/crypto.h"
#include "store/log_state.h"

namespace taper::store {
namespace {

constexpr std::string_view kMarkerMagic = "TPM1";
constexpr std::string_view kSeedMagic = "TPS1";
constexpr std::size_t kSmallFileBytesMax = 256;
constexpr std::size_t kSeedBytes = 32;

std::string marker_path(const std::string& directory) { return directory + "/marker"; }
std::string seed_path(const std::string& directory) { return directory + "/log.seed"; }

// {magic, fields, BLAKE2b-256 of all before}: a torn write is seen.
Bytes sealed(ByteWriter fields) {
  const Hash check = crypto::hash(fields.bytes());
  fields.raw(check.span());
  return std::move(fields).bytes();
}

bool open_sealed(ByteSpan file, std::string_view magic, std::size_t size) {
  if (file.size() != magic.size() + size + Hash::kSize) return false;
  const Hash check = crypto::hash(file.first(file.size() - Hash::kSize));
  return as_text(file).starts_with(magic) &&
         crypto::constant_time_equal(check.span(), file.last(Hash::kSize));
}

Bytes encode(const Marker& marker) {
  ByteWriter out;
  out.raw(as_bytes(kMarkerMagic)).raw(marker.incarnation.span()).u64(marker.commit);
  return sealed(std::move(out));
}

crypto::Secret encode(const LogSeed& seed) {
  ByteWriter out;
  out.raw(as_bytes(kSeedMagic)).u64(seed.epoch()).raw(seed.bytes());
  Bytes file = sealed(std::move(out));
  crypto::Secret secret = crypto::Secret::copy_of(file);
  crypto::wipe(file);
  return secret;
}

Result<Marker> decode_marker(ByteSpan file, std::string_view what) {
  if (!open_sealed(file, kMarkerMagic, Incarnation::kSize + 8)) return corrupt(what);
  ByteReader reader(file);
  reader.take(kMarkerMagic.size());
  Marker marker;
  marker.incarnation = Incarnation::from(reader.take(Incarnation::kSize)).value_or(Incarnation{});
  marker.commit = reader.u64();
  return marker;
}

Status overwrite(const Fd& file, const std::string& path, ByteSpan bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count =
        ::pwrite(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("write " + path, errno);
    done += static_cast<std::size_t>(count);
  }
  return success();
}

Result<Fd> open_private(const std::string& path, int access) {
  Fd file(::open(path.c_str(), access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (!file) return os_error("open " + path, errno);
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return os_error("stat " + path, errno);
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return Error(Code::key_file_exposed, {path, "", "", ""});
  }
  return file;
}

// Never an error that speaks of the state itself, which may be whole.
Error unfit(const std::string& path, const std::string& what) {
  return {Code::twin_unfit, {path, "a marker, in a private file of the state's owner", what, ""}};
}

}  // namespace

bool has_state(const std::string& directory) {
  for (const std::string& path :
       {directory + "/data.mdb", marker_path(directory), seed_path(directory)}) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) == 0) return true;
  }
  return false;
}

Status create_marker(const std::string& directory, const Marker& marker) {
  return create_file(marker_path(directory), encode(marker), S_IRUSR | S_IWUSR);
}

Result<Marker> read_marker(const std::string& directory) {
  const Result<Bytes> file = read_file(marker_path(directory), kSmallFileBytesMax);
  if (!file.ok()) return corrupt("its marker");
  return decode_marker(*file, "its marker");
}

std::string twin_path(const StateOptions& options) {
  return options.twins + "/" + crypto::hash(as_bytes(options.origin)).hex();
}

std::optional<Marker> look_at_twin(const StateOptions& options) {
  if (options.twins.empty()) return std::nullopt;
  const std::string path = twin_path(options);
  const Fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat state{};
  struct stat found{};
  if (!file || ::stat(options.directory.c_str(), &state) != 0 || ::fstat(file.get(), &found) != 0 ||
      !S_ISREG(found.st_mode) || found.st_uid != state.st_uid || (found.st_mode & 077) != 0) {
    return std::nullopt;
  }
  const Result<Bytes> bytes = read_fd(file.get(), path, kSmallFileBytesMax);
  if (!bytes.ok()) return std::nullopt;
  const Result<Marker> twin = decode_marker(*bytes, path);
  return twin.ok() ? std::optional(*twin) : std::nullopt;
}

Status create_seed(const std::string& directory, const LogSeed& seed) {
  return create_file(seed_path(directory), encode(seed).bytes(), S_IRUSR | S_IWUSR);
}

Result<LogSeed> read_seed(const std::string& directory) {
  const std::string path = seed_path(directory);
  TAPER_TRY(const Fd file, open_private(path, O_RDONLY));
  crypto::Secret bytes(kSmallFileBytesMax);
  const ssize_t count = ::pread(file.get(), bytes.bytes().data(), bytes.size(), 0);
  if (count < 0) return os_error("read " + path, errno);
  const ByteSpan content = ByteSpan(bytes.bytes()).first(static_cast<std::size_t>(count));
  if (!open_sealed(content, kSeedMagic, 8 + kSeedBytes)) return corrupt("log.seed");
  ByteReader reader(content);
  reader.take(kSeedMagic.size());
  const std::uint64_t epoch = reader.u64();
  return LogSeed(epoch, reader.take(kSeedBytes));
}

Result<LogSeed> ratchet_to(LogSeed seed, std::uint64_t epoch, const PublicKey& announced) {
  if (seed.epoch() > epoch) return corrupt("log.seed, which is ahead of the log");
  while (seed.epoch() < epoch) seed = seed.next();
  if (seed.key().public_key() != announced) return corrupt("log.seed, which is not this log's");
  return seed;
}

Result<std::unique_ptr<StateFiles>> StateFiles::lock(const std::string& directory) {
  const std::string path = directory + "/lock";
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file) return os_error("open " + path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return Error(Code::state_locked, {directory, "", "", ""});
    return os_error("lock " + path, errno);
  }
  std::unique_ptr<StateFiles> files(new StateFiles(directory, std::move(file)));
  TAPER_CHECK(files->check_lock());
  return files;
}

Status StateFiles::check_lock() const {
  struct stat ours{};
  struct stat there{};
  if (::fstat(lock_.get(), &ours) == 0 && ::stat((directory_ + "/lock").c_str(), &there) == 0 &&
      ours.st_dev == there.st_dev && ours.st_ino == there.st_ino) {
    return success();
  }
  return Error(Code::state_locked, {directory_ + "/lock", "the file we locked", "another", ""});
}

Status StateFiles::open_files() {
  TAPER_TRY(marker_, open_private(marker_path(directory_), O_RDWR));
  TAPER_TRY(seed_, open_private(seed_path(directory_), O_RDWR));
  return success();
}

Result<std::optional<Marker>> StateFiles::take_twin(const std::string& path, const Marker& ours) {
  constexpr int kNew = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const Fd made(::open(path.c_str(), kNew, S_IRUSR | S_IWUSR));
  if (!made && errno != EEXIST) return std::optional<Marker>();
  Result<Fd> opened = open_private(path, O_RDWR);
  if (!opened.ok())
    return unfit(path, opened.code() == Code::key_file_exposed ? "another file"
                                                               : opened.error().detail().got);
  Fd twin = std::move(opened).value();
  if (::flock(twin.get(), LOCK_EX | LOCK_NB) != 0)
    return Error(Code::state_locked, {path, "one copy of a state in use", "another", ""});
  const Result<Bytes> read = read_fd(twin.get(), path, kSmallFileBytesMax);
  if (!read.ok()) return unfit(path, read.error().detail().got);
  const Bytes& said = *read;
  // New, or whoever made it was killed before he wrote. A full disk there stops nothing here.
  if (said.empty() && !overwrite(twin, path, encode(ours)).ok()) return std::optional<Marker>();
  twin_ = std::move(twin);
  twin_path_ = path;
  if (said.empty()) return std::optional<Marker>();
  const Result<Marker> marker = decode_marker(said, path);
  if (!marker.ok()) return unfit(path, "another content");
  return std::optional(*marker);
}

Status StateFiles::write_marker(const Marker& marker) {
  const Bytes bytes = encode(marker);
  TAPER_CHECK(overwrite(marker_, marker_path(directory_), bytes));
  return twin_ ? overwrite(twin_, twin_path_, bytes) : success();
}

Status StateFiles::sync_marker() {
  if (::fdatasync(marker_.get()) == 0) return success();
  return os_error("sync " + marker_path(directory_), errno);
}

Status StateFiles::overwrite_seed(const LogSeed& seed) {
  TAPER_CHECK(overwrite(seed_, seed_path(directory_), encode(seed).bytes()));
  if (::fdatasync(seed_.get()) == 0) return success();
  return os_error("sync " + seed_path(directory_), errno);
}

}  // namespace taper::store
