#include "tests/support/child_process.h"

#include <dirent.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <string_view>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"

namespace taper::testing {

ChildProcess::ChildProcess(const std::function<int()>& work) {
  std::fflush(nullptr);
  pid_ = ::fork();
  TAPER_ASSERT(pid_ >= 0);
  if (pid_ == 0) ::_exit(work());
}

ChildProcess::~ChildProcess() {
  if (done_) return;
  kill_now();
  (void)wait();
}

void ChildProcess::reaped(int status) {
  done_ = true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool ChildProcess::running() {
  int status = 0;
  if (!done_ && ::waitpid(pid_, &status, WNOHANG) == pid_) reaped(status);
  return !done_;
}

void ChildProcess::kill_now() {
  if (!done_) ::kill(pid_, SIGKILL);
}

int ChildProcess::wait() {
  int status = 0;
  if (!done_ && ::waitpid(pid_, &status, 0) == pid_) reaped(status);
  return status_;
}

namespace {

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  DIR* listing = ::opendir("/proc");
  TAPER_ASSERT(listing != nullptr);
  while (const dirent* entry = ::readdir(listing)) {
    pid_t pid = 0;
    const std::string_view name = entry->d_name;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  ::closedir(listing);
  return pids;
}

// Empty when the process is gone by now.
std::string of_process(pid_t pid, const char* file) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + file;
  const Result<Bytes> bytes = read_file(path, std::size_t{1} << 20);
  return bytes.ok() ? std::string(as_text(*bytes)) : "";
}

}  // namespace

int processes_with(const std::string& marker) {
  int found = 0;
  for (const pid_t pid : all_processes())
    if (pid != ::getpid() && of_process(pid, "cmdline").find(marker) != std::string::npos) ++found;
  return found;
}

constexpr int kLooks = 6000;  // a minute: what has not gone by then is not going

int wait_until_fewer(const std::string& marker, int most) {
  int found = processes_with(marker);
  for (int i = 0; i < kLooks && found > most; ++i) {
    pause_ms(10);
    found = processes_with(marker);
  }
  return found;
}

std::vector<pid_t> children_of(pid_t parent) {
  const std::string wanted = "\nPPid:\t" + std::to_string(parent) + "\n";
  std::vector<pid_t> children;
  for (const pid_t pid : all_processes())
    if (of_process(pid, "status").find(wanted) != std::string::npos) children.push_back(pid);
  return children;
}

void pause_ms(int milliseconds) {
  const timespec time{.tv_sec = milliseconds / 1000, .tv_nsec = (milliseconds % 1000) * 1'000'000L};
  ::nanosleep(&time, nullptr);
}

}  // namespace taper::testing
