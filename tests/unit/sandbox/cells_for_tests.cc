#include "tests/unit/sandbox/cells_for_tests.h"

#include <dirent.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "crypto/crypto.h"
#include "runtime/base/clock.h"
#include "tests/support/permit_for_tests.h"

namespace taper::testing {

std::string built_program(const std::string& name) {
  // Beside this program, wherever it was copied to for an ordinary user.
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

std::int64_t boot_ms() { return SystemClock().now().boot_ms; }

std::unique_ptr<sandbox::Spawner> launch_spawner() {
  REQUIRE(crypto::initialise().ok());
  auto spawner = sandbox::Spawner::launch(built_program("taper-spawnd"));
  REQUIRE(spawner.ok());
  return std::move(*spawner);
}

ScratchDirectory::ScratchDirectory() : path_("/tmp/taper-test-XXXXXX") {
  REQUIRE(::mkdtemp(path_.data()) != nullptr);
  REQUIRE(::chmod(path_.c_str(), 0755) == 0);
}

ScratchDirectory::~ScratchDirectory() { std::filesystem::remove_all(path_); }

std::string ScratchDirectory::add(const std::string& name, const std::string& text,
                                  unsigned mode) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path) << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
  return path;
}

std::string text_of(const std::string& path) {
  const Result<Bytes> bytes = read_file(path, limits::kProgramBytesMax);
  return bytes.ok() ? std::string(as_text(*bytes)) : "";
}

authority::PermitFacts command_facts(const sandbox::Program& program,
                                     std::vector<std::string> argv) {
  authority::PermitFacts facts;
  facts.task = crypto::random_id<TaskId>();
  facts.call = crypto::random_id<CallId>();
  facts.tool = "test";
  facts.kind = authority::ToolKind::command;
  facts.argv = std::move(argv);
  facts.program = program.hash();
  facts.deadline_boot_ms = boot_ms() + 10'000;
  return facts;
}

authority::PermitFacts builtin_facts(const std::string& tool,
                                     std::vector<authority::InputValue> inputs) {
  authority::PermitFacts facts;
  facts.task = crypto::random_id<TaskId>();
  facts.call = crypto::random_id<CallId>();
  facts.tool = tool;
  facts.kind = authority::ToolKind::builtin;
  facts.inputs = std::move(inputs);
  facts.deadline_boot_ms = boot_ms() + 10'000;
  return facts;
}

std::vector<sandbox::RunReport> wait_reports(sandbox::Spawner& spawner, std::size_t wanted) {
  std::vector<sandbox::RunReport> out;
  const std::int64_t end = boot_ms() + 10'000;
  while (out.size() < wanted && boot_ms() < end) {
    pollfd wait{spawner.wait_fd(), POLLIN, 0};
    ::poll(&wait, 1, 500);
    (void)spawner.beat();
    auto reports = spawner.poll();
    REQUIRE(reports.ok());
    for (sandbox::RunReport& report : *reports) out.push_back(std::move(report));
  }
  REQUIRE(out.size() == wanted);
  return out;
}

sandbox::RunReport run_call(sandbox::Spawner& spawner, authority::PermitFacts facts,
                            const sandbox::Program* program) {
  const CallId call = facts.call;
  const Status started = spawner.run(permit_for_tests(std::move(facts)), program);
  INFO((started.ok() ? "" : to_line(started.error())));
  REQUIRE(started.ok());
  std::vector<sandbox::RunReport> reports = wait_reports(spawner);
  REQUIRE(reports[0].call == call);
  return std::move(reports[0]);
}

sandbox::RunReport inspect(std::vector<std::string> words,
                           const std::function<void(authority::PermitFacts&)>& change) {
  const auto spawner = launch_spawner();
  const auto program = sandbox::Program::load(built_program("hostile_inspect"));
  REQUIRE(program.ok());
  words.insert(words.begin(), built_program("hostile_inspect"));
  authority::PermitFacts facts = command_facts(*program, std::move(words));
  if (change) change(facts);
  return run_call(*spawner, std::move(facts), &*program);
}

std::size_t processes_with(const std::string& marker) {
  std::size_t count = 0;
  DIR* proc = ::opendir("/proc");
  REQUIRE(proc != nullptr);
  while (const dirent* entry = ::readdir(proc)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const std::string argv = text_of(std::string("/proc/") + entry->d_name + "/cmdline");
    if (argv.find(std::string(1, '\0') + marker + '\0') != std::string::npos) ++count;
  }
  ::closedir(proc);
  return count;
}

bool eventually(std::int64_t limit_ms, const std::function<bool()>& condition) {
  const std::int64_t end = boot_ms() + limit_ms;
  do {
    if (condition()) return true;
    ::usleep(1000);
  } while (boot_ms() < end);
  return false;
}

}  // namespace taper::testing
