// usage: hostile_run NAME
// Shows that an escape is shut: first outside, where whoever the table names must find it open, so
// that the escape is known to work; then inside a command's cell, where it must be shut for exactly
// the reason the table gives. Exits 0 when both hold.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/sandbox/spawner.h"
#include "tests/support/permit_for_tests.h"

namespace {

using namespace taper;

enum class Control { anybody, root, nobody };
struct Escape {
  std::string name;
  Control control;
  std::string reason;
};
const Escape kEscapes[] = {
#define ESCAPE(number, name, control, reason) {#name, Control::control, #reason},
#include "tests/hostile/escapes/escapes.def"
#undef ESCAPE
};

constexpr std::int64_t kDeadlineMs = 20'000;
// Beside this program, wherever it was copied to for an ordinary user.
const std::string kFolder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
const std::string kProgram = kFolder + "/hostile_escape";
const std::string kSpawnd = kFolder + "/taper-spawnd";

// A folder of its own for each try: an escape that works spoils it.
class Ground {
 public:
  Ground() {
    ok_ = ::mkdtemp(folder_.data()) != nullptr && ::chmod(folder_.c_str(), 0755) == 0;
    for (const char* name : {"/work", "/read", "/secret"}) {
      ok_ = ok_ && ::mkdir((folder_ + name).c_str(), 0755) == 0;
    }
    for (const char* name : {"/work/own", "/read/file", "/secret/file"}) {
      ok_ = ok_ && replace_file(folder_ + name, as_bytes("text"), 0644).ok();
    }
    shared_ = "/dev/shm/taper-hostile-" + std::to_string(::getpid());
    ok_ = ok_ && replace_file(shared_, as_bytes("text"), 0644).ok() && listen();
  }
  ~Ground() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    std::filesystem::remove_all(folder_ + "/work-moved", ignored);
    ::unlink(shared_.c_str());
  }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;
  bool ok() const { return ok_; }
  std::vector<std::string> words(const std::string& escape) const {
    return {kProgram, escape, folder_, shared_, std::to_string(::getpid())};
  }
  std::vector<authority::GrantedTree> trees() const {
    return {{.path = folder_ + "/work", .directory = true, .writable = true},
            {.path = folder_ + "/read", .directory = true, .writable = false}};
  }

 private:
  bool listen() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = folder_ + "/secret/socket";
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0 &&
           ::listen(socket_.get(), 8) == 0;
  }
  std::string folder_ = "/var/tmp/taper-hostile-XXXXXX";
  std::string shared_;
  Fd socket_;
  bool ok_ = false;
};

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// What the escape says when nothing holds it; "SIGNAL" when it died.
std::string try_outside(const std::string& name) {
  const Ground ground;
  std::array<int, 2> pipe{};
  if (!ground.ok() || ::pipe(pipe.data()) != 0) return "no ground";
  const pid_t child = ::fork();
  if (child == 0) {
    // The control of the escapes that look for what was left open.
    (void)!::open("/", O_RDONLY | O_DIRECTORY);
    ::dup2(::open("/dev/null", O_RDONLY), 0);
    ::dup2(pipe[1], 1);
    std::vector<std::string> words = ground.words(name);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(kProgram.c_str(), argv.data());
    ::_exit(2);
  }
  ::close(pipe[1]);
  const Result<Bytes> said = read_fd(pipe[0], "escape", 1 << 16);
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || !said.ok()) return "SIGNAL";
  return first_line(std::string(as_text(*&said.value())));
}

std::string describe(const sandbox::RunReport& report) {
  if (report.end == sandbox::RunEnd::violation) return "SHUT SIGSYS";
  const std::string line = first_line(report.out);
  if (!line.empty()) return line;
  return "end " + std::to_string(static_cast<int>(report.end)) + " signal " +
         std::to_string(report.signal) + " exit " + std::to_string(report.exit_status) + " " +
         to_line(report.error) + report.err;
}

Result<std::string> try_inside(const std::string& name) {
  const Ground ground;
  if (!ground.ok()) return std::string("no ground");
  TAPER_TRY(const sandbox::Program program, sandbox::Program::load(kProgram));
  TAPER_TRY(const std::unique_ptr<sandbox::Spawner> spawner, sandbox::Spawner::launch(kSpawnd));
  authority::PermitFacts facts;
  facts.tool = "escape";
  facts.kind = authority::ToolKind::command;
  facts.argv = ground.words(name);
  facts.program = program.hash();
  facts.writes = true;
  facts.trees = ground.trees();
  facts.deadline_boot_ms = SystemClock().now().boot_ms + kDeadlineMs;
  TAPER_CHECK(spawner->run(testing::permit_for_tests(std::move(facts)), &program));
  for (int waited_ms = 0; waited_ms < 2 * kDeadlineMs; waited_ms += 10) {
    TAPER_CHECK(spawner->beat());
    TAPER_TRY(const std::vector<sandbox::RunReport> reports, spawner->poll());
    if (!reports.empty()) return describe(reports.front());
    ::usleep(10'000);
  }
  return std::string("no report");
}

bool control_holds(const Escape& escape, const std::string& outside) {
  const bool must_open =
      escape.control == Control::anybody || (escape.control == Control::root && ::geteuid() == 0);
  return !must_open || outside.starts_with("OPEN");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !crypto::initialise().ok()) return 2;
  for (const Escape& escape : kEscapes) {
    if (escape.name != argv[1]) continue;
    const bool harmless_outside = escape.control != Control::nobody;
    const std::string outside = harmless_outside ? try_outside(escape.name) : "not tried";
    const Result<std::string> inside = try_inside(escape.name);
    const std::string said = inside.ok() ? inside.value() : to_line(inside.error());
    std::cout << escape.name << "\n  outside: " << outside << "\n  inside:  " << said
              << "\n  wanted:  SHUT " << escape.reason << "\n";
    return control_holds(escape, outside) && said == "SHUT " + escape.reason ? 0 : 1;
  }
  std::cerr << "no such escape\n";
  return 2;
}
