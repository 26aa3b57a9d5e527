// LMDB: MDB_NOTLS, both syncs on, no WRITEMAP (a stray pointer must not reach policy state).
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "store/engine.h"
#include "store/lmdb/damage.h"

namespace taper::store {
namespace {

constexpr std::size_t kTables = static_cast<std::size_t>(Table::count_);
constexpr std::array<const char*, kTables> kTableNames = {
    "meta",    "roots",     "capsules", "serials",    "activations", "tasks",    "calls",
    "budgets", "decisions", "replay",   "log_leaves", "log_nodes",   "log_heads"};
constexpr unsigned kReadersMax = 126;

using Handles = std::array<MDB_dbi, kTables>;

Code code_of(int rc) {
  switch (rc) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT: return Code::store_full;
    case MDB_KEYEXIST: return Code::key_present;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_NOTFOUND: return Code::store_corrupt;
    case MDB_VERSION_MISMATCH: return Code::store_version;
    default: return Code::store_failure;
  }
}

Error lmdb_error(const char* what, int rc) {
  return Error(code_of(rc), {what, "", mdb_strerror(rc), ""});
}

// LMDB's interface has no const; it does not write through keys and values that it is given.
MDB_val to_val(ByteSpan bytes) { return {bytes.size(), std::bit_cast<void*>(bytes.data())}; }
ByteSpan to_span(const MDB_val& value) {
  return {static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
}

class Environment {
 public:
  Environment() = default;
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { mdb_env_close(env_); }

  Status open(const std::string& directory, OpenMode mode, std::size_t map_bytes) {
    if (const int rc = mdb_env_create(&env_); rc != 0) return lmdb_error("mdb_env_create", rc);
    mdb_env_set_assert(env_, [](MDB_env*, const char*) { leave_for_damage(); });
    if (mode != OpenMode::read) TAPER_CHECK(allocate_locks(directory));
    mdb_env_set_maxdbs(env_, kTables);
    mdb_env_set_maxreaders(env_, kReadersMax);
    mdb_env_set_mapsize(env_, map_bytes);
    const InLmdb working;
    const unsigned flags = MDB_NOTLS | (mode == OpenMode::read ? MDB_RDONLY : 0U);
    if (const int rc = mdb_env_open(env_, directory.c_str(), flags, S_IRUSR | S_IWUSR); rc != 0) {
      return lmdb_error("mdb_env_open", rc);
    }
    MDB_envinfo info{};
    MDB_stat stat{};
    mdb_env_info(env_, &info);
    mdb_env_stat(env_, &stat);
    page_bytes_ = stat.ms_psize;
    const void* map = map_address(info.me_mapsize);
    map_ = watch_for_damage(map, map == nullptr ? 0 : info.me_mapsize);
    writable_ = mode != OpenMode::read;
    int dead = 0;
    if (writable_) mdb_reader_check(env_, &dead);
    return open_tables(mode);
  }

  // LMDB writes each page at its place in the file and reads no file's end, so blocks allocated
  // beyond the last page are room that no other file can take. So are pages that were freed: the
  // last page stays the last for ever, and they are filled first. `end` is where in the file the
  // transaction's large values end: for them there may be pages enough and no place.
  Status reserve(std::size_t end) {
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    const std::size_t used = std::max((info.me_last_pgno + 1) * page_bytes_, end);
    if (used + limits::kStoreReserveBytes <= reserved_) return write_ahead(used);
    constexpr std::size_t kStride = limits::kStoreReserveBytes / 8;  // not at every commit
    constexpr std::size_t kRoom = limits::kStoreReserveBytes + kStride;
    const auto full = [](int rc) { return lmdb_error("reserve", rc); };
    // A disk that had no room is asked again once the free pages are used up.
    if (!was_short_ || !has_free(kRoom)) {
      const int rc = allocate(used + kRoom, info.me_mapsize);
      was_short_ = rc != 0;
      if (rc == 0) return write_ahead(used);
      if (!has_free(kRoom)) return full(rc);
    }
    const int rc = allocate(used, info.me_mapsize);
    return rc == 0 ? success() : Status(full(rc));
  }

  // A value larger than a page has pages of its own. The others find room in any free page.
  bool is_large(const MDB_val& value) const { return value.mv_size > page_bytes_; }
  // Where in the file the pages of a large value end: the number of the first stands before it.
  std::size_t end_of(const MDB_val& large) const {
    constexpr std::size_t kPageHead = 16;
    std::size_t page = 0;
    std::memcpy(&page, static_cast<const char*>(large.mv_data) - kPageHead, sizeof(page));
    return (page + (kPageHead + large.mv_size + page_bytes_ - 1) / page_bytes_) * page_bytes_;
  }

  MDB_env* get() const { return env_; }
  MDB_dbi handle(Table table) const { return handles_.at(static_cast<std::size_t>(table)); }
  bool writable() const { return writable_; }

 private:
  // The sync of a block that was allocated and never written waits for the file system's journal
  // too, so they are written in advance, many at once; not by who commits only a few times. One by
  // one: what is written together the system keeps together, and then each page's write is slower.
  Status write_ahead(std::size_t used) {
    constexpr std::size_t kFew = limits::kStoreReserveBytes / 128;
    constexpr std::size_t kMany = limits::kStoreReserveBytes / 8;
    if (written_ == 0) written_ = used + kFew;
    if (used + kFew / 2 <= written_) return success();
    int fd = -1;
    int rc = mdb_env_get_fd(env_, &fd);
    const Bytes zeros(page_bytes_);
    written_ = std::max(used, written_);
    for (const std::size_t end = written_ + kMany; rc == 0 && written_ < end;
         written_ += page_bytes_) {
      if (::pwrite(fd, zeros.data(), page_bytes_, static_cast<off_t>(written_)) < 0) rc = errno;
    }
    return rc == 0 ? success() : Status(lmdb_error("reserve", rc));
  }

  // The file's blocks up to `end`: 0, or why not.
  int allocate(std::size_t end, std::size_t map_bytes) {
    if (end <= reserved_) return 0;
    int fd = -1;
    int rc = end > map_bytes ? MDB_MAP_FULL : mdb_env_get_fd(env_, &fd);
    if (rc == 0) rc = ::posix_fallocate(fd, 0, static_cast<off_t>(end));
    if (rc == 0) reserved_ = end;
    return rc;
  }

  // Whether pages of so many bytes were freed by earlier commits, and no reader looks behind those.
  bool has_free(std::size_t bytes) const {
    constexpr MDB_dbi kFreePages = 0;  // id of the commit → {how many, their numbers}
    const InLmdb working;
    MDB_envinfo info{};
    mdb_env_info(env_, &info);
    int dead = 0;
    mdb_reader_check(env_, &dead);
    std::size_t oldest = info.me_last_txnid;
    mdb_reader_list(env_, &note_reader, &oldest);
    MDB_txn* txn = nullptr;
    if (mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn) != 0) return false;
    MDB_cursor* cursor = nullptr;
    MDB_val key{}, value{};
    std::size_t found = 0;
    int rc = mdb_cursor_open(txn, kFreePages, &cursor);
    if (rc == 0) rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; rc == 0 && first_word(key) < oldest && found < bytes;
         rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))
      found += first_word(value) * page_bytes_;
    if (cursor != nullptr) mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return found >= bytes;
  }

  static std::size_t first_word(const MDB_val& value) {
    std::size_t word = 0;
    if (value.mv_size >= sizeof(word)) std::memcpy(&word, value.mv_data, sizeof(word));
    return word;
  }

  // A line {process, thread, id of the commit that it looks at} of each reader, behind a heading;
  // "-" where it looks at none.
  static int note_reader(const char* line, void* oldest) {
    std::istringstream words(line);
    std::string process, thread;
    std::size_t commit = 0;
    if (words >> process >> thread >> commit) {
      auto& least = *static_cast<std::size_t*>(oldest);
      least = std::min(least, commit);
    }
    return 0;
  }

  Status open_tables(OpenMode mode) {
    const bool create = mode == OpenMode::create;
    MDB_txn* txn = nullptr;
    if (const int rc = mdb_txn_begin(env_, nullptr, create ? 0 : MDB_RDONLY, &txn); rc != 0) {
      return lmdb_error("mdb_txn_begin", rc);
    }
    for (std::size_t i = 0; i < kTables; ++i) {
      const int rc = mdb_dbi_open(txn, kTableNames[i], create ? MDB_CREATE : 0, &handles_[i]);
      if (rc == 0) continue;
      mdb_txn_abort(txn);
      return lmdb_error(kTableNames[i], rc);
    }
    if (const int rc = mdb_txn_commit(txn); rc != 0) return lmdb_error("mdb_txn_commit", rc);
    return success();
  }

  // LMDB tells only where a map was asked to be. Found by the file's inode and the map's size; null
  // where the system does not say, and then nothing is watched: a fault outside LMDB is a crash.
  const void* map_address(std::size_t bytes) const {
    int fd = -1;
    struct stat file{};
    if (mdb_env_get_fd(env_, &fd) != 0 || ::fstat(fd, &file) != 0) return nullptr;
    const Result<Bytes> maps = read_file("/proc/self/maps", limits::kMountListBytesMax);
    if (!maps.ok()) return nullptr;
    std::istringstream lines{std::string(as_text(*maps))};
    for (std::string line; std::getline(lines, line);) {
      std::uintptr_t first = 0, end = 0;
      std::uint64_t offset = 0, inode = 0;
      char dash = 0;
      std::string rights, device;
      std::istringstream words(line);
      words >> std::hex >> first >> dash >> end >> rights >> offset >> device >> std::dec >> inode;
      if (inode == file.st_ino && offset == 0 && end - first >= bytes)
        return std::bit_cast<const void*>(first);
    }
    return nullptr;
  }

  // lock.mdb is written through memory, where a full disk is a signal. Before LMDB has it open:
  // closing any descriptor of it would drop LMDB's locks.
  static Status allocate_locks(const std::string& directory) {
    constexpr off_t kBytes = 16 * 1024;  // more than kReadersMax need
    const Fd file(
        ::open((directory + "/lock.mdb").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file) return lmdb_error("lock.mdb", errno);
    const int rc = ::posix_fallocate(file.get(), 0, kBytes);
    return rc == 0 ? success() : Status(lmdb_error("lock.mdb", rc));
  }

  MDB_env* env_ = nullptr;
  MapWatch map_;
  std::size_t page_bytes_ = 0;
  bool was_short_ = false;    // of room beyond the last page, when it was last asked for
  std::size_t reserved_ = 0;  // bytes of the file that are known to be allocated
  std::size_t written_ = 0;   // up to where they are written, or soon will be
  Handles handles_{};
  bool writable_ = false;
};

class Cursor {
 public:
  Cursor(MDB_txn* txn, MDB_dbi table) : rc_(mdb_cursor_open(txn, table, &cursor_)) {}
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;
  ~Cursor() {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
  }
  int move(MDB_cursor_op op) {
    if (rc_ != 0) return rc_;
    const InLmdb working;
    return mdb_cursor_get(cursor_, &key_, &value_, op);
  }
  int seek(ByteSpan key) {
    key_ = to_val(key);
    return move(MDB_SET_RANGE);
  }
  ByteSpan key() const { return to_span(key_); }
  ByteSpan value() const { return to_span(value_); }

 private:
  MDB_cursor* cursor_ = nullptr;
  int rc_ = 0;
  MDB_val key_{};
  MDB_val value_{};
};

bool has_prefix(ByteSpan key, ByteSpan prefix) { return as_text(key).starts_with(as_text(prefix)); }

// The least key above every key that begins with `prefix`; empty when there is none.
Bytes after_prefix(ByteSpan prefix) {
  Bytes next = to_bytes(prefix);
  while (!next.empty() && next.back() == 0xFF) next.pop_back();
  if (!next.empty()) ++next.back();
  return next;
}

class LmdbTxn final : public EngineTxn {
 public:
  LmdbTxn(std::shared_ptr<Environment> environment, MDB_txn* txn)
      : environment_(std::move(environment)), txn_(txn) {}
  ~LmdbTxn() override {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }

  Result<std::optional<ByteSpan>> get(Table table, ByteSpan key) const override {
    const InLmdb working;
    MDB_val wanted = to_val(key);
    MDB_val value{};
    const int rc = mdb_get(txn_, environment_->handle(table), &wanted, &value);
    if (rc == MDB_NOTFOUND) return std::optional<ByteSpan>();
    if (rc != 0) return lmdb_error("mdb_get", rc);
    return std::optional<ByteSpan>(to_span(value));
  }

  Status scan(Table table, ByteSpan prefix, const Visit& visit) const override {
    Cursor cursor(txn_, environment_->handle(table));
    int rc = prefix.empty() ? cursor.move(MDB_FIRST) : cursor.seek(prefix);
    while (rc == 0 && has_prefix(cursor.key(), prefix)) {
      if (!visit(cursor.key(), cursor.value())) return success();
      rc = cursor.move(MDB_NEXT);
    }
    if (rc != 0 && rc != MDB_NOTFOUND) return lmdb_error("mdb_cursor_get", rc);
    return success();
  }

  Status scan_back(Table table, ByteSpan prefix, const Visit& visit) const override {
    Cursor cursor(txn_, environment_->handle(table));
    const Bytes end = after_prefix(prefix);
    int rc = end.empty() ? MDB_NOTFOUND : cursor.seek(end);
    rc = cursor.move(rc == 0 ? MDB_PREV : MDB_LAST);
    while (rc == 0 && has_prefix(cursor.key(), prefix)) {
      if (!visit(cursor.key(), cursor.value())) return success();
      rc = cursor.move(MDB_PREV);
    }
    if (rc != 0 && rc != MDB_NOTFOUND) return lmdb_error("mdb_cursor_get", rc);
    return success();
  }

  Status put(Table table, ByteSpan key, ByteSpan value) override {
    return store_value(table, key, value, 0);
  }
  Status put_new(Table table, ByteSpan key, ByteSpan value) override {
    return store_value(table, key, value, MDB_NOOVERWRITE);
  }
  Status erase(Table table, ByteSpan key) override {
    const InLmdb working;
    MDB_val wanted = to_val(key);
    const int rc = mdb_del(txn_, environment_->handle(table), &wanted, nullptr);
    if (rc != 0 && rc != MDB_NOTFOUND) return lmdb_error("mdb_del", rc);
    return success();
  }

  Status reserve() override { return environment_->reserve(end_); }

  Status commit() override {
    const InLmdb working;
    const int rc = mdb_txn_commit(std::exchange(txn_, nullptr));
    if (rc == 0) return success();
    // Out of space before the meta page was touched leaves the old state whole. Where the meta page
    // itself failed LMDB refuses the next writer, and then nothing is sure.
    if (code_of(rc) == Code::store_full && next_writer_is_taken()) {
      return lmdb_error("mdb_txn_commit", rc);
    }
    return Error(Code::commit_unknown, {"mdb_txn_commit", "", mdb_strerror(rc), ""});
  }

 private:
  Status store_value(Table table, ByteSpan key, ByteSpan value, unsigned flags) {
    const InLmdb working;
    MDB_val wanted = to_val(key);
    MDB_val stored = to_val(value);
    const int rc = mdb_put(txn_, environment_->handle(table), &wanted, &stored, flags);
    if (rc != 0) return lmdb_error("mdb_put", rc);
    if (environment_->is_large(stored) &&
        mdb_get(txn_, environment_->handle(table), &wanted, &stored) == 0)
      end_ = std::max(end_, environment_->end_of(stored));
    return success();
  }
  bool next_writer_is_taken() const {
    MDB_txn* probe = nullptr;
    if (mdb_txn_begin(environment_->get(), nullptr, 0, &probe) != 0) return false;
    mdb_txn_abort(probe);
    return true;
  }

  std::shared_ptr<Environment> environment_;
  MDB_txn* txn_;
  std::size_t end_ = 0;  // where in the file its large values end
};

class LmdbEngine final : public Engine {
 public:
  explicit LmdbEngine(std::shared_ptr<Environment> environment)
      : environment_(std::move(environment)) {}
  Result<std::unique_ptr<EngineTxn>> begin(Access access) const override {
    TAPER_ASSERT(access != Access::unset);
    const InLmdb working;
    MDB_txn* txn = nullptr;
    const unsigned flags = access == Access::read ? MDB_RDONLY : 0;
    const int rc = mdb_txn_begin(environment_->get(), nullptr, flags, &txn);
    if (rc != 0) return lmdb_error("mdb_txn_begin", rc);
    return std::unique_ptr<EngineTxn>(std::make_unique<LmdbTxn>(environment_, txn));
  }

 private:
  std::shared_ptr<Environment> environment_;
};

// Which file it is, whatever path led to it.
using FileId = std::pair<dev_t, ino_t>;

std::optional<FileId> file_id(const std::string& directory) {
  struct stat info{};
  if (::stat((directory + "/data.mdb").c_str(), &info) != 0) return std::nullopt;
  return FileId(info.st_dev, info.st_ino);
}

std::map<FileId, std::weak_ptr<Environment>>& opened_here() {
  static std::map<FileId, std::weak_ptr<Environment>> opened;
  return opened;
}

}  // namespace

Result<std::unique_ptr<Engine>> open_lmdb_engine(const std::string& directory, OpenMode mode,
                                                 std::size_t map_bytes) {
  TAPER_ASSERT(mode != OpenMode::unset);
  const std::optional<FileId> before = file_id(directory);
  if (!before && mode != OpenMode::create) {
    return Error(Code::not_a_state, {directory, "", "no data.mdb", ""});
  }
  std::erase_if(opened_here(), [](const auto& entry) { return entry.second.expired(); });
  const auto open = before ? opened_here().find(*before) : opened_here().end();
  if (open != opened_here().end()) {
    std::shared_ptr<Environment> shared = open->second.lock();
    if (mode == OpenMode::read || shared->writable()) {
      return std::unique_ptr<Engine>(std::make_unique<LmdbEngine>(std::move(shared)));
    }
    return Error(Code::state_locked, {directory, "", "open for reading in this process", ""});
  }
  auto environment = std::make_shared<Environment>();
  TAPER_CHECK(environment->open(directory, mode, map_bytes));
  const std::optional<FileId> after = file_id(directory);
  if (!after) return Error(Code::not_a_state, {directory, "", "no data.mdb", ""});
  opened_here()[*after] = environment;
  return std::unique_ptr<Engine>(std::make_unique<LmdbEngine>(std::move(environment)));
}

}  // namespace taper::store
