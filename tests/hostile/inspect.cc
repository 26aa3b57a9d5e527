// usage: hostile_inspect WHAT [VALUE]
// Tells from inside a cell what it sees, or ends in the way it is told to.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

extern char** environ;

namespace {

void print_file(const char* path) {
  std::ifstream in(path);
  std::cout << in.rdbuf();
}

void print_environment() {
  for (char** word = environ; *word != nullptr; ++word) std::puts(*word);
}

void print_descriptors() {
  for (int fd = 0; fd < 256; ++fd) {
    struct stat found;
    if (fstat(fd, &found) == 0) std::printf("%d\n", fd);
  }
}

// "ok" or the errno's name for each way to reach `path`.
int try_read(const char* path) {
  const int fd = open(path, O_RDONLY);
  std::printf("%s\n", fd >= 0 ? "ok" : strerrorname_np(errno));
  return 0;
}

int try_write(const char* path) {
  const int fd = open(path, O_WRONLY | O_CREAT, 0644);
  std::printf("%s\n", fd >= 0 && write(fd, "x", 1) == 1 ? "ok" : strerrorname_np(errno));
  return 0;
}

void flood() {
  const std::string line(4096, 'x');
  for (;;) std::fwrite(line.data(), 1, line.size(), stdout);
}

void print_names() {
  utsname name;
  uname(&name);
  std::printf("host %s uid %d gid %d pid %d groups %d\n", name.nodename, int(getuid()),
              int(getgid()), int(getpid()), getgroups(0, nullptr));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::string what = argv[1];
  const char* value = argc > 2 ? argv[2] : "";
  if (what == "status") print_file("/proc/self/status");
  if (what == "limits") print_file("/proc/self/limits");
  if (what == "mounts") print_file("/proc/self/mountinfo");
  if (what == "uidmap") print_file("/proc/self/uid_map");
  if (what == "environment") print_environment();
  if (what == "descriptors") print_descriptors();
  if (what == "names") print_names();
  if (what == "read") return try_read(value);
  if (what == "write") return try_write(value);
  if (what == "exit") return std::atoi(value);
  if (what == "signal") raise(std::atoi(value));
  if (what == "flood") flood();
  if (what == "sleep") sleep(60);
  if (what == "forbidden") syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr);
  if (what == "stdin") return getchar() == EOF ? 0 : 1;
  return 0;
}
