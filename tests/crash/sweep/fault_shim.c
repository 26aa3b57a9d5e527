/* What it does to you: makes this process's own file operations fail, or ends it. See fault_shim.h.
 *
 * For a power cut it keeps, for every file of the tree, what each write replaced since the last
 * sync of that file, and every change of a name since the last sync of its directory. At the cut
 * all of it is taken back, newest first; with a seed some of the writes, or the first half of one,
 * are put there again, as a disk may have done. Writes through a descriptor with O_DSYNC are
 * durable when they return. */
#define _GNU_SOURCE
#include "tests/crash/sweep/fault_shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) __typeof__(&(name)) real = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name)

static struct fault_plan* plan;
static pid_t armed_for;

const char* fault_op_name(unsigned op) {
  static const char* const names[op_count] = {"write",  "sync",   "truncate", "allocate",
                                              "create", "rename", "link",     "remove",
                                              "mkdir",  "map",    "lock",     "spawn"};
  return op < op_count ? names[op] : "?";
}

static int armed(void) { return plan != NULL && getpid() == armed_for; }

static int in_tree(const char* path) {
  const size_t length = strlen(plan->tree);
  return strncmp(path, plan->tree, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static int path_of(int fd, char* path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return 1;
}

/* Absolute, for what the watched code does: absolute paths, or one name in an open directory. */
static int path_at(int directory, const char* name, char* path) {
  if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
  if (directory == AT_FDCWD) return 0;
  if (!path_of(directory, path)) return 0;
  const size_t used = strlen(path);
  return snprintf(path + used, PATH_MAX - used, "/%s", name) < (int)(PATH_MAX - used);
}

static int watched_fd(int fd) {
  char path[PATH_MAX];
  return armed() && path_of(fd, path) && in_tree(path);
}

static int watched_path(int directory, const char* name, char* path) {
  return armed() && path_at(directory, name, path) && in_tree(path);
}

/* ---- what is not durable yet ---- */

enum change_kind {
  changed_bytes,
  changed_size,
  created,
  renamed,
  linked,
  removed,
  made_directory,
  removed_directory
};

struct change {
  enum change_kind kind;
  struct change* before;
  /* bytes and size */
  dev_t device;
  ino_t inode;
  int fd;
  off_t at;
  size_t length, old_length;
  unsigned char *old_bytes, *new_bytes;
  off_t old_size;
  /* names */
  char path[PATH_MAX], from[PATH_MAX], kept[PATH_MAX];
};

static struct change* newest;
static unsigned kept_files;

static struct change* add_change(enum change_kind kind) {
  struct change* change = calloc(1, sizeof *change);
  if (change == NULL) abort();
  change->kind = kind;
  change->before = newest;
  newest = change;
  return change;
}

static int keeps(void) { return plan->kind == fault_power_cut; }

static void forget(int (*durable)(const struct change*, const void*), const void* what) {
  struct change** at = &newest;
  while (*at != NULL) {
    struct change* change = *at;
    if (!durable(change, what)) {
      at = &change->before;
      continue;
    }
    *at = change->before;
    if (change->kind <= changed_size) syscall(SYS_close, change->fd);
    free(change->old_bytes);
    free(change->new_bytes);
    free(change);
  }
}

static int is_of_file(const struct change* change, const void* what) {
  const struct stat* info = what;
  return change->kind <= changed_size && change->device == info->st_dev &&
         change->inode == info->st_ino;
}

static int is_in_directory(const struct change* change, const void* what) {
  const char* directory = what;
  const size_t length = strlen(directory);
  return change->kind > changed_size && strncmp(change->path, directory, length) == 0 &&
         change->path[length] == '/' && strchr(change->path + length + 1, '/') == NULL;
}

static void synced(int fd) {
  struct stat info;
  char path[PATH_MAX];
  if (!keeps() || fstat(fd, &info) != 0) return;
  if (S_ISDIR(info.st_mode) && path_of(fd, path)) {
    forget(is_in_directory, path);
  } else {
    forget(is_of_file, &info);
  }
}

/* Called before `length` bytes of `bytes` go to `at` of the file (or, without bytes, its size
 * changes). */
static void keep_bytes(int fd, const struct iovec* parts, int count, off_t at) {
  struct stat info;
  if (!keeps() || fstat(fd, &info) != 0 || (fcntl(fd, F_GETFL) & O_DSYNC) != 0) return;
  struct change* change = add_change(parts != NULL ? changed_bytes : changed_size);
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  change->fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
  change->device = info.st_dev;
  change->inode = info.st_ino;
  change->old_size = info.st_size;
  change->at = at;
  for (int i = 0; parts != NULL && i < count; ++i) change->length += parts[i].iov_len;
  if (change->length == 0) return;
  change->new_bytes = malloc(change->length);
  change->old_bytes = malloc(change->length);
  if (change->new_bytes == NULL || change->old_bytes == NULL) abort();
  size_t filled = 0;
  for (int i = 0; i < count; ++i) {
    memcpy(change->new_bytes + filled, parts[i].iov_base, parts[i].iov_len);
    filled += parts[i].iov_len;
  }
  const ssize_t old =
      syscall(SYS_pread64, change->fd, change->old_bytes, change->length, change->at);
  change->old_length = old > 0 ? (size_t)old : 0;
}

/* The file that a name leads to stays reachable, for the case that the name comes back. */
static void keep_file(struct change* change, const char* path) {
  char kept[PATH_MAX];
  snprintf(kept, sizeof kept, "%s.kept-%u", plan->tree, ++kept_files);
  if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0) == 0) strcpy(change->kept, kept);
}

static void keep_name(enum change_kind kind, const char* path, const char* from) {
  if (!keeps()) return;
  struct change* change = add_change(kind);
  snprintf(change->path, sizeof change->path, "%s", path);
  if (from != NULL) snprintf(change->from, sizeof change->from, "%s", from);
  if (kind == renamed || kind == removed) keep_file(change, path);
}

/* The operation failed: what was kept for it never happened. */
static void not_happened(void) {
  struct change* change = newest;
  if (!keeps() || change == NULL) return;
  newest = change->before;
  if (change->kind <= changed_size) syscall(SYS_close, change->fd);
  if (change->kept[0] != '\0') syscall(SYS_unlinkat, AT_FDCWD, change->kept, 0);
  free(change->old_bytes);
  free(change->new_bytes);
  free(change);
}

static void take_back(const struct change* change) {
  switch (change->kind) {
    case changed_bytes:
      syscall(SYS_pwrite64, change->fd, change->old_bytes, change->old_length, change->at);
      syscall(SYS_ftruncate, change->fd, change->old_size);
      break;
    case changed_size: syscall(SYS_ftruncate, change->fd, change->old_size); break;
    case created:
    case linked: syscall(SYS_unlinkat, AT_FDCWD, change->path, 0); break;
    case renamed:
      syscall(SYS_renameat2, AT_FDCWD, change->path, AT_FDCWD, change->from, 0);
      if (change->kept[0] != '\0')
        syscall(SYS_renameat2, AT_FDCWD, change->kept, AT_FDCWD, change->path, 0);
      break;
    case removed:
      if (change->kept[0] != '\0')
        syscall(SYS_renameat2, AT_FDCWD, change->kept, AT_FDCWD, change->path, 0);
      break;
    case made_directory: syscall(SYS_unlinkat, AT_FDCWD, change->path, AT_REMOVEDIR); break;
    case removed_directory: syscall(SYS_mkdirat, AT_FDCWD, change->path, 0700); break;
  }
}

static unsigned next_random(unsigned* state) {
  *state = *state * 1664525U + 1013904223U;
  return *state >> 16U;
}

/* Oldest first, so that a later write lies over an earlier one. */
static void put_some_there(const struct change* change, unsigned* state) {
  if (change == NULL) return;
  put_some_there(change->before, state);
  if (change->kind != changed_bytes) return;
  const unsigned fate = next_random(state) % 8;
  if (fate < 3) return;
  /* A sector is whole or not there. */
  const size_t length = fate == 3 ? change->length / 2 / 512 * 512 : change->length;
  syscall(SYS_pwrite64, change->fd, change->new_bytes, length, change->at);
}

static void cut_the_power(void) {
  for (const struct change* change = newest; change != NULL; change = change->before)
    take_back(change);
  unsigned state = plan->seed;
  if (plan->seed != 0) put_some_there(newest, &state);
  syscall(SYS_kill, getpid(), SIGKILL);
}

/* ---- the count ---- */

enum verdict { go_on, fail, shorten };

static enum verdict next_op(enum fault_op op) {
  if (plan->count < kFaultOpsMax) plan->ops[plan->count] = (uint8_t)op;
  const uint64_t number = ++plan->count;
  if (plan->at == 0 || number < plan->at) return go_on;
  if (number > plan->at) {
    const int lasts = op == op_write || op == op_sync || op == op_allocate || op == op_create;
    return plan->kind == fault_error && plan->sticky && lasts ? fail : go_on;
  }
  switch (plan->kind) {
    case fault_error: return fail;
    case fault_short: return op == op_write ? shorten : go_on;
    case fault_kill: syscall(SYS_kill, getpid(), SIGKILL); break;
    case fault_power_cut: cut_the_power(); break;
    default: break;
  }
  return go_on;
}

/* The first object told of is the program itself. */
static int base_of(struct dl_phdr_info* info, size_t size, void* base) {
  (void)size;
  *(uintptr_t*)base = info->dlpi_addr;
  return 1;
}

static void note_frames(void) {
  void* found[128];
  uintptr_t base = 0;
  const int count = backtrace(found, 128);
  dl_iterate_phdr(base_of, &base);
  for (int i = 0; i < count; ++i) {
    const uint64_t frame = (uintptr_t)found[i] - base;
    uint32_t at = 0;
    while (at < plan->frame_count && plan->frames[at] != frame) ++at;
    if (at == plan->frame_count && at < kFaultFramesMax) plan->frames[plan->frame_count++] = frame;
  }
}

void fault_arm(struct fault_plan* its_plan) {
  plan = its_plan;
  if (plan->trace) note_frames(); /* the first time loads a library */
  armed_for = getpid();
}

static int failed(void) {
  errno = plan->error;
  return -1;
}

/* ---- writes ---- */

static size_t total(const struct iovec* parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  return bytes;
}

/* All of them, at an offset. Gives what the call gives. */
static ssize_t put(int fd, const struct iovec* parts, int count, off_t at, enum verdict verdict) {
  if (verdict == fail) return failed();
  struct iovec half[1];
  if (verdict == shorten) {
    half[0].iov_base = parts[0].iov_base;
    half[0].iov_len = total(parts, count) > 1 ? (parts[0].iov_len + 1) / 2 : parts[0].iov_len;
    parts = half;
    count = 1;
  }
  keep_bytes(fd, parts, count, at);
  const ssize_t done = syscall(SYS_pwritev, fd, parts, count, at, (off_t)0);
  if (done < 0) not_happened();
  return done;
}

ssize_t pwrite(int fd, const void* bytes, size_t length, off_t at) {
  REAL(pwrite);
  if (!watched_fd(fd)) return real(fd, bytes, length, at);
  const struct iovec part = {(void*)(uintptr_t)bytes, length};
  return put(fd, &part, 1, at, next_op(op_write));
}
ssize_t pwrite64(int fd, const void* bytes, size_t length, off_t at) {
  return pwrite(fd, bytes, length, at);
}

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t at) {
  REAL(pwritev);
  if (!watched_fd(fd)) return real(fd, parts, count, at);
  return put(fd, parts, count, at, next_op(op_write));
}
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off_t at) {
  return pwritev(fd, parts, count, at);
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
  REAL(writev);
  if (!watched_fd(fd)) return real(fd, parts, count);
  const off_t at = lseek(fd, 0, SEEK_CUR);
  const ssize_t done = put(fd, parts, count, at < 0 ? 0 : at, next_op(op_write));
  if (done > 0) lseek(fd, done, SEEK_CUR);
  return done;
}

ssize_t write(int fd, const void* bytes, size_t length) {
  REAL(write);
  struct stat info;
  if (!watched_fd(fd) || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    return real(fd, bytes, length);
  const struct iovec part = {(void*)(uintptr_t)bytes, length};
  const off_t at = lseek(fd, 0, SEEK_CUR);
  const ssize_t done = put(fd, &part, 1, at, next_op(op_write));
  if (done > 0) lseek(fd, done, SEEK_CUR);
  return done;
}

/* ---- syncs ---- */

static int sync_file(int fd, int (*real)(int)) {
  if (!watched_fd(fd)) return real(fd);
  const enum verdict verdict = next_op(op_sync);
  if (plan->trace) note_frames();
  if (plan->sync_delay_ms > 0) {
    const struct timespec wait = {plan->sync_delay_ms / 1000,
                                  (long)(plan->sync_delay_ms % 1000) * 1000000L};
    nanosleep(&wait, NULL);
  }
  if (plan->fail_syncs) {
    errno = EIO;
    return -1;
  }
  if (verdict == fail) return failed();
  synced(fd);
  return 0; /* the tree lies where a real sync would only cost time */
}

int fsync(int fd) {
  REAL(fsync);
  return sync_file(fd, real);
}
int fdatasync(int fd) {
  REAL(fdatasync);
  return sync_file(fd, real);
}
int msync(void* address, size_t length, int flags) {
  REAL(msync);
  if (armed() && next_op(op_sync) == fail) return failed();
  return real(address, length, flags);
}

/* ---- sizes ---- */

int ftruncate(int fd, off_t length) {
  REAL(ftruncate);
  if (!watched_fd(fd)) return real(fd, length);
  if (next_op(op_truncate) == fail) return failed();
  keep_bytes(fd, NULL, 0, 0);
  const int done = real(fd, length);
  if (done != 0) not_happened();
  return done;
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

int posix_fallocate(int fd, off_t at, off_t length) {
  REAL(posix_fallocate);
  if (!watched_fd(fd)) return real(fd, at, length);
  if (next_op(op_allocate) == fail) return plan->error;
  keep_bytes(fd, NULL, 0, 0);
  return real(fd, at, length);
}
int posix_fallocate64(int fd, off_t at, off_t length) { return posix_fallocate(fd, at, length); }

/* ---- names ---- */

static int open_at(int directory, const char* name, int flags, mode_t mode) {
  char path[PATH_MAX];
  if ((flags & O_CREAT) == 0 || !watched_path(directory, name, path))
    return (int)syscall(SYS_openat, directory, name, flags, mode);
  if (next_op(op_create) == fail) return failed();
  const int absent = faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
  const int fd = (int)syscall(SYS_openat, directory, name, flags, mode);
  if (fd >= 0 && absent) keep_name(created, path, NULL);
  return fd;
}

#define MODE_OF(flags)                            \
  mode_t mode = 0;                                \
  if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) { \
    va_list rest;                                 \
    va_start(rest, flags);                        \
    mode = va_arg(rest, mode_t);                  \
    va_end(rest);                                 \
  }

int open(const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_at(AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_at(directory, path, flags, mode);
}
int openat64(int directory, const char* path, int flags, ...) {
  MODE_OF(flags)
  return open_at(directory, path, flags, mode);
}

int mkostemp(char* name, int flags) {
  REAL(mkostemp);
  char path[PATH_MAX];
  const int watched = watched_path(AT_FDCWD, name, path);
  if (watched && next_op(op_create) == fail) return failed();
  const int fd = real(name, flags);
  if (fd >= 0 && watched) keep_name(created, name, NULL);
  return fd;
}

int renameat2(int from_at, const char* from, int to_at, const char* to, unsigned flags) {
  char old[PATH_MAX];
  char path[PATH_MAX];
  const int watched = watched_path(to_at, to, path) && path_at(from_at, from, old);
  if (watched && next_op(op_rename) == fail) return failed();
  if (watched) keep_name(renamed, path, old);
  const int done = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
  if (done != 0 && watched) not_happened();
  return done;
}
int renameat(int from_at, const char* from, int to_at, const char* to) {
  return renameat2(from_at, from, to_at, to, 0);
}
int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_at, const char* from, int to_at, const char* to, int flags) {
  char path[PATH_MAX];
  const int watched = watched_path(to_at, to, path);
  if (watched && next_op(op_link) == fail) return failed();
  const int done = (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
  if (done == 0 && watched) keep_name(linked, path, NULL);
  return done;
}
int link(const char* from, const char* to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int directory, const char* name, int flags) {
  char path[PATH_MAX];
  const int watched = watched_path(directory, name, path);
  if (watched && next_op(op_remove) == fail) return failed();
  if (watched) keep_name((flags & AT_REMOVEDIR) != 0 ? removed_directory : removed, path, NULL);
  const int done = (int)syscall(SYS_unlinkat, directory, name, flags);
  if (done != 0 && watched) not_happened();
  return done;
}
int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) {
  const int done = unlink(path);
  return done != 0 && (errno == EISDIR || errno == EPERM) ? rmdir(path) : done;
}

int mkdir(const char* name, mode_t mode) {
  char path[PATH_MAX];
  const int watched = watched_path(AT_FDCWD, name, path);
  if (watched && next_op(op_mkdir) == fail) return failed();
  const int done = (int)syscall(SYS_mkdirat, AT_FDCWD, name, mode);
  if (done == 0 && watched) keep_name(made_directory, path, NULL);
  return done;
}

/* ---- maps, locks, processes ---- */

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t at) {
  if (fd >= 0 && watched_fd(fd) && next_op(op_map) == fail) {
    errno = plan->error;
    return MAP_FAILED;
  }
  return (void*)syscall(SYS_mmap, address, length, protection, flags, fd, at);
}
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t at) {
  return mmap(address, length, protection, flags, fd, at);
}

int flock(int fd, int operation) {
  REAL(flock);
  if (watched_fd(fd) && next_op(op_lock) == fail) return failed();
  return real(fd, operation);
}

/* What is spawned loads this library too, and finds in its environment where to fail. */
static int spawn_with_fault(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                            const posix_spawnattr_t* attributes, char* const argv[]) {
  REAL(posix_spawn);
  Dl_info self;
  char preload[PATH_MAX + 16];
  char place[64];
  if (dladdr((void*)&fault_arm, &self) == 0) return ENOENT;
  snprintf(preload, sizeof preload, "LD_PRELOAD=%s", self.dli_fname);
  snprintf(place, sizeof place, "FAULT_CHILD=%u%s", plan->child_at, plan->child_dies ? "!" : "");
  char* const environment[] = {preload, place, NULL};
  return real(pid, path, actions, attributes, argv, environment);
}

int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const argv[],
                char* const environment[]) {
  REAL(posix_spawn);
  if (!armed()) return real(pid, path, actions, attributes, argv, environment);
  if (next_op(op_spawn) == fail) return plan->error;
  if (plan->child_at != 0) return spawn_with_fault(pid, path, actions, attributes, argv);
  return real(pid, path, actions, attributes, argv, environment);
}

static unsigned child_at; /* 0: this process has no fault of its own */
static int child_dies;

__attribute__((constructor)) static void read_child_fault(void) {
  const char* place = getenv("FAULT_CHILD");
  if (place == NULL) return;
  child_at = (unsigned)strtoul(place, NULL, 10);
  child_dies = strchr(place, '!') != NULL;
  unsetenv("FAULT_CHILD");
  unsetenv("LD_PRELOAD");
}

static int child_fails(void) {
  if (child_at == 0 || --child_at != 0) return 0;
  if (child_dies) raise(SIGKILL);
  errno = EAGAIN;
  return 1;
}

/* Only clone3 is of interest; the rest goes through as it is. */
long syscall(long number, ...) {
  static long (*real)(long, ...);
  if (real == NULL) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  va_list rest;
  long a[6];
  va_start(rest, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_clone3 && child_fails()) return -1;
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

pid_t fork(void) {
  REAL(fork);
  if (armed() && next_op(op_spawn) == fail) return failed();
  if (child_fails()) return -1;
  return real();
}
