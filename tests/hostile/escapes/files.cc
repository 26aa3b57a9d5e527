// Ways to files that were not granted, and to more than was granted of those that were.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "tests/hostile/escapes/escape.h"

namespace escape {
namespace {

constexpr int kDescriptors = 1024;
constexpr int kFchmodat2 = 452;

int read_only(const std::string& path) { return ::open(path.c_str(), O_RDONLY); }

}  // namespace

Verdict read_secret(const Place& place) { return opened(read_only(place.secret + "/file")); }

Verdict read_secret_dotdot(const Place& place) {
  return opened(read_only(place.work + "/../secret/file"));
}

Verdict read_secret_proc_root(const Place& place) {
  return opened(read_only("/proc/self/root" + place.secret + "/file"));
}

Verdict read_secret_proc_cwd(const Place& place) {
  if (::chdir(place.work.c_str()) != 0) return cannot("chdir");
  return opened(read_only("/proc/self/cwd/../secret/file"));
}

Verdict read_secret_symlink(const Place& place) {
  const std::string link = place.work + "/link";
  if (::symlink((place.secret + "/file").c_str(), link.c_str()) != 0) return cannot("symlink");
  return opened(read_only(link));
}

Verdict hardlink_secret(const Place& place) {
  return opened(::link((place.secret + "/file").c_str(), (place.work + "/hard").c_str()));
}

// A second name, in the writable tree, for a file of the read-only one.
Verdict link_descriptor(const Place& place) {
  const int fd = read_only(place.read + "/file");
  if (fd < 0) return cannot("open");
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  return opened(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (place.work + "/hard").c_str(),
                         AT_SYMLINK_FOLLOW));
}

Verdict rename_secret(const Place& place) {
  return opened(::rename((place.secret + "/file").c_str(), (place.work + "/moved").c_str()));
}

Verdict exchange_read_only(const Place& place) {
  return opened(::renameat2(AT_FDCWD, (place.read + "/file").c_str(), AT_FDCWD,
                            (place.work + "/own").c_str(), RENAME_EXCHANGE));
}

Verdict path_descriptor(const Place& place) {
  const int fd = ::open(place.secret.c_str(), O_PATH | O_DIRECTORY);
  if (fd < 0) return shut(errno_name(errno));
  return opened(::openat(fd, "file", O_RDONLY));
}

Verdict inherited_directory(const Place&) {
  for (int fd = 3; fd < kDescriptors; ++fd) {
    if (::openat(fd, ".", O_RDONLY | O_DIRECTORY) >= 0) return open("descriptor");
  }
  return shut("none");
}

Verdict inherited_descriptor(const Place&) {
  for (int fd = 3; fd < kDescriptors; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) return open("descriptor " + std::to_string(fd));
  }
  return shut("none");
}

Verdict open_by_handle(const Place& place) {
  struct {
    file_handle head;
    std::array<unsigned char, 128> bytes;
  } handle{};
  handle.head.handle_bytes = handle.bytes.size();
  int mount = 0;
  // The handle itself may be guessed; getting one here is only a convenience.
  (void)::name_to_handle_at(AT_FDCWD, (place.read + "/file").c_str(), &handle.head, &mount, 0);
  const int at = ::open(place.read.c_str(), O_RDONLY | O_DIRECTORY);
  return opened(::open_by_handle_at(at, &handle.head, O_RDONLY));
}

Verdict chmod_read_only(const Place& place) {
  return opened(::chmod((place.read + "/file").c_str(), 0600));
}
Verdict chown_read_only(const Place& place) {
  return opened(::chown((place.read + "/file").c_str(), ::getuid(), ::getgid()));
}
Verdict utimes_read_only(const Place& place) {
  return opened(::utimensat(AT_FDCWD, (place.read + "/file").c_str(), nullptr, 0));
}
Verdict setxattr_read_only(const Place& place) {
  return opened(::setxattr((place.read + "/file").c_str(), "user.taper", "x", 1, 0));
}
Verdict chmod_usr(const Place&) {
  struct stat found{};
  if (::stat("/usr", &found) != 0) return cannot("stat");
  return opened(::chmod("/usr", found.st_mode & 07777));
}
Verdict truncate_read_only(const Place& place) {
  return opened(::truncate((place.read + "/file").c_str(), 0));
}
Verdict open_truncate_read_only(const Place& place) {
  return opened(::open((place.read + "/file").c_str(), O_WRONLY | O_TRUNC));
}
Verdict create_in_read_only(const Place& place) {
  return opened(::open((place.read + "/new").c_str(), O_WRONLY | O_CREAT, 0644));
}

Verdict stat_secret(const Place& place) {
  struct stat found{};
  return opened(::stat((place.secret + "/file").c_str(), &found));
}
Verdict list_secret(const Place& place) {
  return ::opendir(place.secret.c_str()) != nullptr ? open("listed") : shut(errno_name(errno));
}
Verdict watch_secret(const Place& place) {
  const int watch = ::inotify_init1(0);
  if (watch < 0) return shut(errno_name(errno));
  return opened(::inotify_add_watch(watch, place.secret.c_str(), IN_ALL_EVENTS));
}
Verdict watch_host_programs(const Place&) {
  const int watch = ::inotify_init1(0);
  if (watch < 0) return shut(errno_name(errno));
  return opened(::inotify_add_watch(watch, "/usr/bin", IN_OPEN));
}
Verdict notify_host_programs(const Place&) {
  const int fd = read_only("/usr/bin");
  return fd < 0 ? cannot("open") : opened(::fcntl(fd, F_NOTIFY, DN_ACCESS));
}
// While it is held, whoever opens the file to write waits.
Verdict lease_read_only(const Place& place) {
  const int fd = read_only(place.read + "/file");
  return fd < 0 ? cannot("open") : opened(::fcntl(fd, F_SETLEASE, F_RDLCK));
}

Verdict remove_work(const Place& place) {
  ::unlink((place.work + "/own").c_str());
  return opened(::rmdir(place.work.c_str()));
}
Verdict rename_work(const Place& place) {
  return opened(::rename(place.work.c_str(), (place.work + "-moved").c_str()));
}
Verdict create_beside_work(const Place& place) {
  return opened(::open((place.work + "-beside").c_str(), O_WRONLY | O_CREAT, 0644));
}

Verdict suid_chmod(const Place& place) {
  return opened(::chmod((place.work + "/own").c_str(), 04755));
}
Verdict suid_create(const Place& place) {
  return opened(::open((place.work + "/suid").c_str(), O_WRONLY | O_CREAT, 04755));
}
Verdict sgid_directory(const Place& place) {
  return opened(::mkdir((place.work + "/sgid").c_str(), 02755));
}
Verdict suid_fchmodat2(const Place& place) {
  return opened(::syscall(kFchmodat2, AT_FDCWD, (place.work + "/own").c_str(), 04755, 0));
}
Verdict suid_openat2(const Place& place) {
  open_how how{};
  how.flags = O_WRONLY | O_CREAT;
  how.mode = 04755;
  return opened(::syscall(SYS_openat2, AT_FDCWD, (place.work + "/suid").c_str(), &how, sizeof how));
}
Verdict make_character_device(const Place& place) {
  return opened(::mknod((place.work + "/null").c_str(), S_IFCHR | 0600, makedev(1, 3)));
}
Verdict make_block_device(const Place& place) {
  return opened(::mknod((place.work + "/disk").c_str(), S_IFBLK | 0600, makedev(7, 0)));
}

Verdict open_kmsg(const Place&) { return opened(read_only("/dev/kmsg")); }
Verdict open_terminal_multiplexer(const Place&) {
  return opened(::open("/dev/ptmx", O_RDWR | O_NOCTTY));
}
Verdict open_host_shared_memory(const Place& place) { return opened(read_only(place.shared)); }

Verdict huge_file(const Place& place) {
  ::signal(SIGXFSZ, SIG_IGN);
  return opened(::truncate((place.work + "/own").c_str(), 3LL << 30));
}
Verdict fill_scratch(const Place&) {
  const int fd = ::open("/tmp", O_TMPFILE | O_RDWR, 0600);
  if (fd < 0) return cannot("O_TMPFILE: " + errno_name(errno));
  return opened(::fallocate(fd, 0, 0, 80LL << 20));
}
Verdict exhaust_scratch_inodes(const Place&) {
  constexpr int kFiles = 9000;
  std::string folder = "/tmp/taper-inodes-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) return cannot("mkdtemp");
  int made = 0;
  int error_number = 0;
  for (; made < kFiles && error_number == 0; ++made) {
    const int fd = ::open((folder + "/" + std::to_string(made)).c_str(), O_WRONLY | O_CREAT, 0600);
    error_number = fd < 0 ? errno : 0;
    if (fd >= 0) ::close(fd);
  }
  for (int i = 0; i < made; ++i) ::unlink((folder + "/" + std::to_string(i)).c_str());
  ::rmdir(folder.c_str());
  return error_number == 0 ? open("no end") : shut(errno_name(error_number));
}
Verdict unnamed_file_out(const Place& place) {
  const int fd = ::open(place.work.c_str(), O_TMPFILE | O_RDWR, 0600);
  if (fd < 0) return cannot("O_TMPFILE");
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  return opened(::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (place.secret + "/out").c_str(),
                         AT_SYMLINK_FOLLOW));
}
Verdict core_pattern(const Place&) {
  return opened(::open("/proc/sys/kernel/core_pattern", O_WRONLY));
}
Verdict core_limit(const Place&) {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  return opened(::setrlimit(RLIMIT_CORE, &unlimited));
}
Verdict shell_profile(const Place&) { return opened(::open("/etc/profile", O_WRONLY | O_APPEND)); }

}  // namespace escape
