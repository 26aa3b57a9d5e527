// usage: hostile_seeker HALF HALF [SECONDS]
// Looks everywhere a tool can look for the two halves in a row, and prints a line for each place:
// environments, arguments, its own memory, its descriptors, every file. The whole never stands in
// its own arguments, so what it finds came from elsewhere. Then stays for so long.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

std::string first, second;

bool holds(const std::string& bytes) {
  for (std::size_t at = bytes.find(first); at != std::string::npos;
       at = bytes.find(first, at + 1)) {
    if (bytes.compare(at + first.size(), second.size(), second) == 0) return true;
  }
  return false;
}

std::string content(int fd) {
  std::string out;
  char buffer[4096];
  for (off_t at = 0; out.size() < 4U * 1024 * 1024;) {
    const ssize_t count = pread(fd, buffer, sizeof buffer, at);
    if (count <= 0) break;
    out.append(buffer, static_cast<std::size_t>(count));
    at += count;
  }
  return out;
}

void look_at(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return;
  if (holds(content(fd))) std::printf("file %s\n", path.c_str());
  close(fd);
}

void look_below(const std::string& folder) {
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return;
  while (const dirent* entry = readdir(listing)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string path = folder + "/" + name;
    struct stat found;
    if (lstat(path.c_str(), &found) != 0) continue;
    if (S_ISDIR(found.st_mode)) look_below(path);
    if (S_ISREG(found.st_mode)) look_at(path);
  }
  closedir(listing);
}

void look_at_processes() {
  DIR* listing = opendir("/proc");
  if (listing == nullptr) return;
  while (const dirent* entry = readdir(listing)) {
    const std::string process = std::string("/proc/") + entry->d_name;
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    look_at(process + "/environ");
    look_at(process + "/cmdline");
  }
  closedir(listing);
}

void look_at_memory() {
  std::ifstream maps("/proc/self/maps");
  const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  if (memory < 0) return;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx r", &begin, &end) != 2 || end - begin > (64UL << 20))
      continue;
    std::string bytes(end - begin, '\0');
    const ssize_t count = pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (count > 0 && holds(bytes)) std::printf("memory %s\n", line.c_str());
  }
  close(memory);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  first = argv[1];
  second = argv[2];
  look_at_memory();
  for (int fd = 0; fd < 256; ++fd) {
    if (holds(content(fd))) std::printf("descriptor %d\n", fd);
  }
  look_at_processes();
  // No rule lets it list "/", so every place that could be there is asked for by name.
  for (const char* folder : {"/boot", "/dev", "/etc", "/home", "/mnt", "/opt", "/root",
                             "/run/secrets", "/srv", "/tmp", "/var"})
    look_below(folder);
  std::puts("looked");
  std::fflush(stdout);
  if (argc > 3) sleep(static_cast<unsigned>(std::atoi(argv[3])));
  return 0;
}
