#include "tests/sim/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "store/log_state.h"

namespace taper::sim {
namespace {

using store::Table;

constexpr std::size_t kSmallFileMost = 4096;

Error failing() { return Error(Code::store_failure, {"disk", "", "Input/output error", ""}); }
Error full() { return Error(Code::store_full, {"disk", "", "No space left on device", ""}); }

Trouble* trouble() { return disk().trouble; }

// What a change of the tables meets: EIO, or the end of the process.
Status meet() {
  if (trouble() == nullptr) return success();
  return trouble()->step() == Trouble::Step::works ? success() : Status(failing());
}

class Txn final : public store::EngineTxn {
 public:
  explicit Txn(std::unique_ptr<store::EngineTxn> inner) : inner_(std::move(inner)) {}

  Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const override {
    return inner_->get(table, key);
  }
  Status scan(Table table, ByteSpan prefix, const Visit& visit) const override {
    return inner_->scan(table, prefix, visit);
  }
  Status scan_back(Table table, ByteSpan prefix, const Visit& visit) const override {
    return inner_->scan_back(table, prefix, visit);
  }
  Status put(Table table, ByteSpan key, ByteSpan value) override {
    TAPER_CHECK(meet());
    return inner_->put(table, key, value);
  }
  Status put_new(Table table, ByteSpan key, ByteSpan value) override {
    TAPER_CHECK(meet());
    return inner_->put_new(table, key, value);
  }
  Status erase(Table table, ByteSpan key) override {
    TAPER_CHECK(meet());
    return inner_->erase(table, key);
  }
  Status reserve() override {
    if (trouble() == nullptr || trouble()->space == Trouble::Space::plenty) return success();
    ++trouble()->full;
    return full();
  }
  Status commit() override {
    if (trouble() == nullptr) return inner_->commit();
    if (trouble()->killed) return failing();
    if (trouble()->space == Trouble::Space::none && !trouble()->killed) {
      ++trouble()->full;
      inner_.reset();
      return full();
    }
    if (meet().ok()) return inner_->commit();
    // Whether what was on its way still came to the disk, nobody knows.
    if (disk().dice->percent(50)) TAPER_CHECK(inner_->commit());
    inner_.reset();
    return Error(Code::commit_unknown, {"disk", "", "Input/output error", ""});
  }

 private:
  std::unique_ptr<store::EngineTxn> inner_;
};

class DiskEngine final : public store::Engine {
 public:
  explicit DiskEngine(std::shared_ptr<Image> image) : image_(std::move(image)) {}
  Result<std::unique_ptr<store::EngineTxn>> begin(store::Access access) const override {
    if (access == store::Access::write) TAPER_CHECK(meet());
    TAPER_TRY(auto inner, image_->engine->begin(access));
    return std::unique_ptr<store::EngineTxn>(std::make_unique<Txn>(std::move(inner)));
  }

 private:
  std::shared_ptr<Image> image_;
};

std::string path_of(int fd) {
  std::array<char, 512> text{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

}  // namespace

Trouble::Step Trouble::step() {
  if (killed) return Step::dies;
  if (kill_in > 0 && --kill_in == 0) {
    killed = true;
    ++kills;
    return Step::dies;
  }
  if (fail_count == 0) return Step::works;
  if (fail_in > 0 && --fail_in > 0) return Step::works;
  --fail_count;
  ++errors;
  return Step::fails;
}

std::shared_ptr<Image> Image::copy() const {
  auto other = std::make_shared<Image>();
  const auto from = engine->begin(store::Access::read);
  const auto to = other->engine->begin(store::Access::write);
  TAPER_ASSERT(from.ok() && to.ok());
  for (std::uint8_t table = 0; table < static_cast<std::uint8_t>(Table::count_); ++table) {
    const auto at = static_cast<Table>(table);
    const Status done = (*from)->scan(
        at, {}, [&](ByteSpan key, ByteSpan value) { return (*to)->put(at, key, value).ok(); });
    TAPER_ASSERT(done.ok());
  }
  TAPER_ASSERT((*to)->commit().ok());
  return other;
}

std::uint64_t Image::commit() const {
  const auto txn = engine->begin(store::Access::read);
  TAPER_ASSERT(txn.ok());
  const auto loaded = store::load_log(**txn);
  return loaded.ok() ? loaded->state.commit : 0;
}

void Disk::forget() {
  images_.clear();
  unsynced_.clear();
}

Disk::FileId Disk::id_of(int fd) {
  struct stat info{};
  TAPER_ASSERT(::fstat(fd, &info) == 0);
  return {info.st_dev, info.st_ino};
}

void Disk::about_to_write(int fd) {
  const FileId id = id_of(fd);
  if (unsynced_.contains(id)) return;
  const std::string path = path_of(fd);
  Result<Bytes> before = read_file(path, kSmallFileMost);
  if (before.ok()) unsynced_[id] = {path, std::move(before).value()};
}

void Disk::synced(int fd) { unsynced_.erase(id_of(fd)); }

std::size_t Disk::drop_unsynced(const std::string& directory, Dice& chance) {
  std::size_t dropped = 0;
  std::erase_if(unsynced_, [&](const auto& entry) {
    const Unsynced& file = entry.second;
    if (!file.path.starts_with(directory + "/")) return false;
    if (chance.percent(50)) return true;
    const Fd out(::open(file.path.c_str(), O_WRONLY | O_CLOEXEC));
    const auto put = ::syscall(SYS_pwrite64, out.get(), file.before.data(), file.before.size(), 0);
    TAPER_ASSERT(put == static_cast<long>(file.before.size()));
    ++dropped;
    return true;
  });
  return dropped;
}

Disk& disk() {
  static Disk only;
  return only;
}

}  // namespace taper::sim

namespace taper::store {

// In place of LMDB's: this object is linked before the library, so that one is never taken.
Result<std::unique_ptr<Engine>> open_lmdb_engine(const std::string& directory, OpenMode mode,
                                                 std::size_t /*map_bytes*/) {
  std::shared_ptr<sim::Image>& image = sim::disk().image(directory);
  if (mode == OpenMode::create) image = std::make_shared<sim::Image>();
  if (!image) return Error(Code::not_a_state, {directory, "", "no data.mdb", ""});
  return std::unique_ptr<Engine>(std::make_unique<sim::DiskEngine>(image));
}

}  // namespace taper::store

// libc's, as StateFiles calls them.
extern "C" ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  taper::sim::Trouble* trouble = taper::sim::disk().trouble;
  // Their blocks are there already, so a full disk does not matter to them.
  if (trouble != nullptr && trouble->step() != taper::sim::Trouble::Step::works) {
    errno = EIO;
    return -1;
  }
  taper::sim::disk().about_to_write(fd);
  return ::syscall(SYS_pwrite64, fd, bytes, size, at);
}

extern "C" int fdatasync(int fd) {
  taper::sim::Trouble* trouble = taper::sim::disk().trouble;
  if (trouble != nullptr && trouble->step() != taper::sim::Trouble::Step::works) {
    errno = EIO;
    return -1;
  }
  taper::sim::disk().synced(fd);
  return 0;
}
