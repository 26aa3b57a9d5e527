#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/permit_for_tests.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {
namespace {

using testing::builtin_facts;
using testing::command_facts;
using testing::inspect;
using testing::launch_spawner;
using testing::run_call;
using testing::ScratchDirectory;

RunReport run_program(const std::string& path, std::vector<std::string> words,
                      std::vector<authority::GrantedTree> trees = {}, bool writes = false) {
  const auto spawner = launch_spawner();
  const auto program = Program::load(path);
  REQUIRE(program.ok());
  words.insert(words.begin(), path);
  authority::PermitFacts facts = command_facts(*program, std::move(words));
  facts.trees = std::move(trees);
  facts.writes = writes;
  return run_call(*spawner, std::move(facts), &*program);
}

authority::PermitFacts call_like(const authority::PermitFacts& facts) {
  authority::PermitFacts next = builtin_facts(facts.tool, facts.inputs);
  next.task = facts.task;
  next.trees = facts.trees;
  next.writes = facts.writes;
  next.deadline_boot_ms = facts.deadline_boot_ms;
  return next;
}

std::string field_text(const RunReport& report, const std::string& name) {
  for (const Field& field : report.result.fields) {
    if (field.name == name) return std::get<std::string>(field.value);
  }
  return "(no field " + name + ")";
}

}  // namespace

TEST_CASE("a command that exits with 0 is done", "[sandbox][cell][R53]") {
  const RunReport report = run_program("/bin/true", {});
  INFO(to_line(report.error));
  CHECK(report.end == RunEnd::done);
  CHECK(report.error.code() == Code::ok);
}

TEST_CASE("the processor time of a cell's whole tree is told", "[sandbox][cell][R38]") {
  constexpr auto kCount = "(i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done); exit 3";
  const RunReport busy = run_program("/usr/bin/dash", {"-c", kCount});
  CHECK(busy.exit_status == 3);
  REQUIRE(busy.cpu_ms);
  const RunReport idle = run_program("/usr/bin/dash", {"-c", "exit 3"});
  REQUIRE(idle.cpu_ms);
  CHECK(*idle.cpu_ms >= 1);
  CHECK(*busy.cpu_ms > *idle.cpu_ms + 50);
}

TEST_CASE("exit status, signal and forbidden calls are told apart", "[sandbox][cell]") {
  const RunReport failed = inspect({"exit", "3"});
  CHECK(failed.end == RunEnd::failed);
  CHECK(failed.exit_status == 3);
  CHECK(failed.error.code() == Code::tool_failed);
  const RunReport crashed = inspect({"signal", std::to_string(SIGSEGV)});
  CHECK(crashed.end == RunEnd::signalled);
  CHECK(crashed.signal == SIGSEGV);
  CHECK(inspect({"forbidden"}).end == RunEnd::violation);
}

TEST_CASE("output is collected from both streams up to the cap", "[sandbox][cell]") {
  const RunReport echo = run_program("/bin/echo", {"to", "out"});
  CHECK(echo.out == "to out\n");
  const RunReport complaint = run_program("/bin/cat", {"/absent"});
  CHECK(complaint.end == RunEnd::failed);
  CHECK(complaint.err.find("/absent") != std::string::npos);
  const RunReport flood =
      inspect({"flood"}, [](authority::PermitFacts& facts) { facts.caps.output_bytes = 100'000; });
  CHECK(flood.end == RunEnd::output_cap);
  CHECK(flood.error.code() == Code::output_cap);
  CHECK(flood.out.size() == 100'000);
}

TEST_CASE("standard input is empty", "[sandbox][cell]") {
  CHECK(inspect({"stdin"}).end == RunEnd::done);
}

TEST_CASE("grep finds what is in its tree and nothing else exists", "[sandbox][cell][R53]") {
  const ScratchDirectory granted;
  const ScratchDirectory other;
  granted.add("log", "one\nERROR two\n");
  const std::string secret = other.add("secret", "ERROR\n");
  const std::vector<authority::GrantedTree> trees = {{granted.path(), true, false}};
  const RunReport found = run_program("/bin/grep", {"-r", "ERROR", granted.path()}, trees);
  CHECK(found.out == granted.path() + "/log:ERROR two\n");
  const RunReport missing = run_program("/bin/cat", {secret}, trees);
  CHECK(missing.err.find("No such file") != std::string::npos);
}

TEST_CASE("trees are read-only unless the tool may write", "[sandbox][cell][R53]") {
  const ScratchDirectory directory;
  REQUIRE(::chmod(directory.path().c_str(), 0700) == 0);
  const std::string target = directory.path() + "/new";
  const auto attempt = [&](bool tree, bool tool) {
    return inspect({"write", target},
                   [&](authority::PermitFacts& facts) {
                     facts.trees = {{directory.path(), true, tree}};
                     facts.writes = tool;
                   })
        .out;
  };
  CHECK(attempt(false, false) != "ok\n");
  CHECK(attempt(false, true) != "ok\n");
  CHECK(attempt(true, false) != "ok\n");
  CHECK(::access(target.c_str(), F_OK) != 0);
  CHECK(attempt(true, true) == "ok\n");
  struct stat made{};
  REQUIRE(::stat(target.c_str(), &made) == 0);
  CHECK(made.st_uid == ::geteuid());
}

TEST_CASE("a single file is granted without its neighbours", "[sandbox][cell][R53]") {
  const ScratchDirectory directory;
  const std::string file = directory.add("file", "text", 0600);
  const std::string neighbour = directory.add("neighbour", "text");
  const auto change = [&](bool writes) {
    return [&file, writes](authority::PermitFacts& facts) {
      facts.trees = {{file, false, writes}};
      facts.writes = writes;
    };
  };
  CHECK(inspect({"read", file}, change(false)).out == "ok\n");
  CHECK(inspect({"read", neighbour}, change(false)).out == "ENOENT\n");
  CHECK(inspect({"write", file}, change(false)).out != "ok\n");
  CHECK(inspect({"write", file}, change(true)).out == "ok\n");
  CHECK(testing::text_of(file) == "xext");
}

TEST_CASE("trees that are absent, linked or of another kind are refused", "[sandbox][cell][R53]") {
  const ScratchDirectory directory;
  const std::string file = directory.add("file", "text");
  REQUIRE(::mkdir((directory.path() + "/real").c_str(), 0755) == 0);
  REQUIRE(::symlink("real", (directory.path() + "/link").c_str()) == 0);
  REQUIRE(::mkfifo((directory.path() + "/fifo").c_str(), 0644) == 0);
  const auto refusal = [&](const std::string& path, bool is_directory) {
    const RunReport report = run_program("/bin/true", {}, {{path, is_directory, false}});
    CHECK(report.end == RunEnd::refused);
    CHECK(report.error.detail().field == path);
    return report.error.code();
  };
  CHECK(refusal(directory.path() + "/absent", true) == Code::tree_missing);
  CHECK(refusal(directory.path() + "/link", true) == Code::tree_missing);
  CHECK(refusal(directory.path() + "/link/below", true) == Code::tree_missing);
  CHECK(refusal(directory.path() + "/fifo", false) == Code::tree_unsafe);
  CHECK(refusal(file, true) == Code::tree_unsafe);
  CHECK(refusal(directory.path() + "/real", false) == Code::tree_unsafe);
}

TEST_CASE("a tree in a tree is mounted on top of it", "[sandbox][cell]") {
  const ScratchDirectory directory;
  const std::string inner = directory.path() + "/inner";
  REQUIRE(::mkdir(inner.c_str(), 0755) == 0);
  const auto change = [&](authority::PermitFacts& facts) {
    facts.trees = {{inner, true, true}, {directory.path(), true, false}};
    facts.writes = true;
  };
  CHECK(inspect({"write", inner + "/file"}, change).out == "ok\n");
  CHECK(inspect({"write", directory.path() + "/file"}, change).out != "ok\n");
}

TEST_CASE("a command whose program is not the permit's is refused", "[sandbox][cell][R53]") {
  const auto spawner = launch_spawner();
  const auto program = Program::load("/bin/true");
  const auto other = Program::load("/bin/echo");
  REQUIRE(program.ok());
  REQUIRE(other.ok());
  const auto facts = command_facts(*program, {"/bin/true"});
  CHECK(spawner->run(testing::permit_for_tests(facts), &*other).code() == Code::program_unfit);
  CHECK(spawner->run(testing::permit_for_tests(facts), nullptr).code() == Code::program_unfit);
}

TEST_CASE("a resident cell serves its task's calls in order", "[sandbox][cell]") {
  const ScratchDirectory directory;
  const std::string file = directory.add("file", "hello", 0600);
  const auto spawner = launch_spawner();
  authority::PermitFacts facts = builtin_facts("file.read", {{"path", file}});
  facts.trees = {{file, false, false}};
  std::vector<CallId> calls;
  for (int call = 0; call < 5; ++call) {
    authority::PermitFacts next = call_like(facts);
    calls.push_back(next.call);
    REQUIRE(spawner->run(testing::permit_for_tests(std::move(next)), nullptr).ok());
  }
  CHECK(spawner->cells_alive(facts.task) == 1);
  const std::vector<RunReport> reports = testing::wait_reports(*spawner, calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    INFO(to_line(reports[i].error));
    CHECK(reports[i].end == RunEnd::done);
    CHECK(reports[i].call == calls[i]);
    CHECK(field_text(reports[i], "content") == "hello");
  }
  REQUIRE(spawner->kill_task(facts.task).ok());
  CHECK(testing::eventually(2000, [&] {
    REQUIRE(spawner->poll().ok());
    return spawner->cells_alive(facts.task) == 0;
  }));
}

TEST_CASE("a large write crosses the request socket", "[sandbox][cell]") {
  const ScratchDirectory directory;
  const std::string file = directory.path() + "/out";
  const std::string content(900'000, 'y');
  const auto spawner = launch_spawner();
  authority::PermitFacts facts =
      builtin_facts("file.write", {{"path", file}, {"content", content}});
  facts.trees = {{directory.path(), true, true}};
  facts.writes = true;
  const RunReport report = run_call(*spawner, std::move(facts));
  INFO(to_line(report.error));
  CHECK(report.end == RunEnd::done);
  CHECK((testing::text_of(file) == content));
}

}  // namespace taper::sandbox
