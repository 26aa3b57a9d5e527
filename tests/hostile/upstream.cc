// usage: hostile_upstream [WORD...] (standing in for taper-upstream) | hostile_upstream attack
// In a cell of an upstream in place of the real helper: does what the called tool's name says, or
// misbehaves so. As the server of such a cell: attacks its helper and tells what came of it.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

namespace {

constexpr int kSocket = 3;
constexpr int kProgram = 4;
constexpr int kOk = 1;
constexpr int kDrift = 621;
constexpr int kStoreCorrupt = 802;

std::string errno_name() { return strerrorname_np(errno); }

struct Frame {
  std::string bytes;
  Frame& number(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
    return *this;
  }
  Frame& text(const std::string& value) {
    number(value.size(), 4);
    bytes += value;
    return *this;
  }
};

bool read_all(void* into, std::size_t size) {
  auto* at = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t count = read(kSocket, at, size);
    if (count <= 0) return false;
    at += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

void send(const Frame& message) {
  Frame out;
  out.text(message.bytes);
  if (write(kSocket, out.bytes.data(), out.bytes.size()) < 0) _exit(1);
}

void reply(const std::string& result) {
  Frame out;
  out.number(1, 1).number(kOk, 2).text("").text("").text("");
  out.number(1, 2).text("result").number(1, 1).text(result);
  send(out.text("").number(0, 4).number(9, 8));
}

void fail(int code, const std::string& field) {
  Frame out;
  out.number(1, 1).number(static_cast<std::uint64_t>(code), 2).text(field).text("").text("");
  send(out.number(9, 8));
}

void tell(double done) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &done, sizeof bits);
  Frame out;
  send(out.number(2, 1).number(bits, 8).number(0, 1).number(0, 8).text("far"));
}

// The inputs of the next request that are texts.
std::map<std::string, std::string> next_request() {
  std::uint32_t size = 0;
  if (!read_all(&size, sizeof size)) _exit(0);
  std::string bytes(size, '\0');
  if (!read_all(bytes.data(), size)) _exit(1);
  std::size_t at = 1;
  const auto number = [&](std::size_t length) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + at, length);
    at += length;
    return value;
  };
  const auto text = [&] {
    const std::size_t length = number(4);
    at += length;
    return bytes.substr(at - length, length);
  };
  text();
  number(1);
  std::map<std::string, std::string> inputs;
  for (std::uint64_t left = number(2); left > 0; --left) {
    const std::string name = text();
    const std::uint64_t tag = number(1);
    if (tag == 1) inputs[name] = text();
    if (tag != 1) inputs[name] = std::to_string(number(tag == 2 ? 8 : 1));
  }
  return inputs;
}

std::string file_text(const std::string& path) {
  std::ifstream in(path);
  if (!in) return errno_name();
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string try_open(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags, 0644);
  return fd >= 0 ? "ok" : errno_name();
}

// What a child said on its standard output, and how it ended.
std::string output_of(const std::vector<std::string>& words, int program) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_name();
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    if (program >= 0) {
      // At exec, as the real one has it.
      fcntl(kSocket, F_SETFD, FD_CLOEXEC);
      fcntl(kProgram, F_SETFD, FD_CLOEXEC);
      syscall(SYS_execveat, program, "", argv.data(), environ, AT_EMPTY_PATH);
    } else {
      execv(argv[0], argv.data());
    }
    const std::string error = errno_name();
    _exit(write(1, error.data(), error.size()) < 0);
  }
  close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<std::size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) out += std::string("died of SIG") + sigabbrev_np(WTERMSIG(status));
  return out;
}

std::string open_descriptors() {
  std::string out;
  struct stat found;
  for (int fd = 0; fd < 256; ++fd)
    if (fstat(fd, &found) == 0) out += std::to_string(fd) + " ";
  return out;
}

// Can what is in this tree be mapped to be run, as a server's native modules are?
std::string try_map(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  if (fd < 0) return errno_name();
  void* at = mmap(nullptr, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  return at == MAP_FAILED ? errno_name() : "ok";
}

void serve(const std::vector<std::string>& argv) {
  prctl(PR_SET_DUMPABLE, 0);
  for (int served = 1;; ++served) {
    auto inputs = next_request();
    const std::string what = inputs["name"];
    const std::string value = inputs["arguments"];
    if (what == "count") reply(std::to_string(served));
    if (what == "inputs") {
      std::string out;
      for (const auto& [name, text] : inputs) out += name + "=" + text + ";";
      reply(out);
    }
    if (what == "argv") {
      std::string out;
      for (const std::string& word : argv) out += word + " ";
      reply(out);
    }
    if (what == "descriptors") reply(open_descriptors());
    if (what == "read") reply(file_text(value));
    if (what == "write") reply(try_open(value, O_WRONLY | O_CREAT));
    if (what == "map") reply(try_map(value));
    if (what == "execute") reply(output_of({value, "ran"}, -1));
    if (what == "server") reply(output_of({argv.begin() + 1, argv.end()}, kProgram));
    if (what == "garbage") send(Frame().text("no reply"));
    if (what == "flood") send(Frame{std::string(8 << 20, 'x')});
    if (what == "progress" || what == "progresses") {
      for (int i = 0; i < (what == "progress" ? 2 : 100); ++i) {
        tell(i);
        if (what == "progress") usleep(100'000);
      }
      reply("told");
    }
    if (what == "once") {
      tell(1);
      reply("told");
    }
    if (what == "infinite") tell(HUGE_VAL);
    if (what == "lie") fail(kStoreCorrupt, "");
    if (what == "drift") fail(kDrift, "description");
    if (what == "die") _exit(7);
    if (what == "violation") raise(SIGSYS);
    if (what == "hang") pause();
    if (inputs["ask"] == "definitions") reply("not asked for");
  }
}

// Each way to the helper's memory and descriptors; a line each.
int attack() {
  const pid_t helper = getppid();
  const std::string proc = "/proc/" + std::to_string(helper);
  std::string out;
  out += "descriptors " + open_descriptors() + "\n";
  out += "mem " + try_open(proc + "/mem", O_RDWR) + "\n";
  out += "fd " + try_open(proc + "/fd/3", O_RDWR) + "\n";
  out += "environ " + try_open(proc + "/environ", O_RDONLY) + "\n";
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, helper, 0));
  out += "getfd " +
         std::string(syscall(SYS_pidfd_getfd, pidfd, kSocket, 0) >= 0 ? "ok" : errno_name()) + "\n";
  if (write(1, out.data(), out.size()) < 0) return 1;
  // A forbidden call kills, so each has a child of its own.
  for (const char* way : {"ptrace", "process_vm_readv"}) {
    const pid_t pid = fork();
    if (pid == 0) {
      char byte = 0;
      iovec part{&byte, 1};
      const bool trace = way[1] == 't';
      const long done = trace ? ptrace(PTRACE_ATTACH, helper, nullptr, nullptr)
                              : process_vm_readv(helper, &part, 1, &part, 1, 0);
      _exit(done >= 0 ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
    out = std::string(way) +
          (killed                     ? " killed"
           : WEXITSTATUS(status) == 0 ? " ok"
                                      : " refused") +
          "\n";
    if (write(1, out.data(), out.size()) < 0) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  if (argc > 1 && words[1] == "attack" && words[0] != "taper-upstream") return attack();
  if (argc > 1 && words[1] == "ran") return write(1, "ran", 3) == 3 ? 0 : 1;
  serve(words);
}
