// What a cell looks like from inside, and that it refuses to be without any of its layers.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "runtime/sandbox/cell.h"
#include "tests/support/permit_for_tests.h"
#include "tests/unit/sandbox/cells_for_tests.h"

namespace taper::sandbox {
namespace {

constexpr int kNewTime = 0x80;  // CLONE_NEWTIME, which glibc 2.36 does not name for everybody

using testing::inspect;
using testing::ScratchDirectory;

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

// Runs /bin/true with these steps, this process standing in for spawnd.
CellGone run_steps_alone(const CellSteps& steps) {
  const auto program = Program::load("/bin/true");
  REQUIRE(program.ok());
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  std::array<int, 2> lifeline{};
  REQUIRE(::pipe2(lifeline.data(), O_CLOEXEC) == 0);
  const Fd reading(lifeline[0]);
  const Fd writing(lifeline[1]);
  CellPlan plan;
  plan.order.kind = authority::ToolKind::command;
  plan.order.argv = {"/bin/true"};
  plan.order.deadline_boot_ms = testing::boot_ms() + 5000;
  plan.starter = starter();
  plan.fds = {.null = null.get(),
              .lifeline = reading.get(),
              .program = program->fd(),
              .out = null.get(),
              .err = null.get(),
              .socket = -1};
  const auto cell = start_cell(std::move(plan), steps);
  REQUIRE(cell.ok());
  pollfd wait{cell->pidfd.get(), POLLIN, 0};
  REQUIRE(::poll(&wait, 1, 5000) == 1);
  REQUIRE(::waitpid(cell->pid, nullptr, 0) == cell->pid);
  return read_status(cell->status.get());
}

Status force_off(CellPlan&) { return os_error("forced off", ENOSYS); }

// Tells what a new namespace of any kind came to, while no capability is gone and no filter bound.
Status try_namespaces(CellPlan&) {
  std::string made;
  for (const int kind : {CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWIPC,
                         CLONE_NEWUTS, CLONE_NEWCGROUP, kNewTime}) {
    if (::unshare(kind) == 0 || errno != ENOSPC) made += " " + std::to_string(kind);
  }
  return Error(Code::internal, {.field = "", .expected = "", .got = "made:" + made, .fix = ""});
}

}  // namespace

TEST_CASE("with every step in place the program runs", "[sandbox][cell][R53]") {
  const CellGone gone = run_steps_alone(cell_steps());
  INFO(gone.field << ": " << gone.got);
  CHECK(gone.end == CellEnd::exited);
  CHECK(gone.value == 0);
}

TEST_CASE("no two cells share a network, nor one with the host", "[sandbox][cell][R53][R57]") {
  const auto spawner = testing::launch_spawner();
  const auto program = Program::load("/usr/bin/perl");
  REQUIRE(program.ok());
  // They live at once: the number of a namespace that is gone may come again.
  const std::string text = "print readlink('/proc/self/ns/net'); sleep 3";
  constexpr std::size_t kCells = 3;
  for (std::size_t i = 0; i < kCells; ++i) {
    authority::PermitFacts facts = testing::command_facts(*program, {"/usr/bin/perl", "-e", text});
    REQUIRE(spawner->run(testing::permit_for_tests(std::move(facts)), &*program).ok());
  }
  std::array<char, 64> host{};
  REQUIRE(::readlink("/proc/self/ns/net", host.data(), host.size() - 1) > 0);
  std::set<std::string> networks = {host.data()};
  for (const RunReport& report : testing::wait_reports(*spawner, kCells)) {
    CHECK(report.out.starts_with("net:["));
    networks.insert(report.out);
  }
  CHECK(networks.size() == kCells + 1);
}

TEST_CASE("each layer forced off refuses the cell by its name", "[sandbox][cell][R53][R57]") {
  const CellSteps steps = cell_steps();
  CHECK(steps.init.size() + steps.tool.size() == 13);
  const auto check = [](const CellSteps& broken, const CellStep& step) {
    INFO(step.name);
    const CellGone gone = run_steps_alone(broken);
    CHECK(gone.end == CellEnd::refused);
    CHECK(gone.code == step.code);
    CHECK(gone.field == step.name);
    CHECK(gone.got.find("forced off") == 0);
  };
  for (std::size_t i = 0; i < steps.init.size(); ++i) {
    CellSteps broken = steps;
    broken.init[i].run = force_off;
    check(broken, steps.init[i]);
  }
  for (std::size_t i = 0; i < steps.tool.size(); ++i) {
    CellSteps broken = steps;
    broken.tool[i].run = force_off;
    check(broken, steps.tool[i]);
  }
}

TEST_CASE("a cell's own user namespace holds no further namespace", "[sandbox][cell][R53]") {
  CellSteps steps = cell_steps();
  const auto layer = std::find_if(steps.init.begin(), steps.init.end(), [](const CellStep& step) {
    return step.name == std::string_view("nested namespaces");
  });
  REQUIRE(layer != steps.init.end());
  steps.init.insert(layer + 1, {"trial", Code::sandbox_setup, try_namespaces});
  const CellGone gone = run_steps_alone(steps);
  CHECK(gone.end == CellEnd::refused);
  CHECK(gone.got == "made:");
}

TEST_CASE("a tool has no capability, no new privileges and a filter", "[sandbox][cell][R53]") {
  const std::string status = inspect({"status"}).out;
  INFO(status);
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    CHECK(has_line(status, std::string(set) + ":\t0000000000000000"));
  }
  CHECK(has_line(status, "NoNewPrivs:\t1"));
  CHECK(has_line(status, "Seccomp:\t2"));
  CHECK(has_line(status, "Uid:\t65534\t65534\t65534\t65534"));
}

TEST_CASE("every resource of a tool is limited, hard and soft alike", "[sandbox][cell][R53]") {
  std::istringstream lines(inspect({"limits"}).out);
  std::map<std::string, std::string> told;
  // Name in 26 columns, then soft and hard in 21 each.
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.size() > 26 ? line.substr(26) : "");
    std::string soft, hard;
    words >> soft >> hard;
    told[line.substr(0, line.find("  "))] = soft == hard ? soft : "two";
  }
  CHECK(told["Max file size"] == std::to_string(limits::kCellFileBytes));
  CHECK(told["Max open files"] == std::to_string(limits::kCellOpenFiles));
  CHECK(told["Max processes"] == std::to_string(limits::kCellProcesses + 1));
  CHECK(told["Max cpu time"] == std::to_string(limits::kCellCpuS));
  CHECK(told["Max stack size"] == std::to_string(limits::kCellStackBytes));
  CHECK(told["Max data size"] == std::to_string(limits::kCellMemoryBytes));
  for (const char* none : {"Max core file size", "Max locked memory", "Max msgqueue size"})
    CHECK(told[none] == "0");
}

TEST_CASE("a tool's outer user is never root", "[sandbox][cell][R53]") {
  const std::uint32_t outer = ::geteuid() == 0 ? limits::kCellUid : ::geteuid();
  const RunReport report = inspect({"uidmap"});
  CHECK(report.out.find(" 65534 ") != std::string::npos);
  // Inside, the map shows the parent namespace's number.
  CHECK(report.out.find(" " + std::to_string(outer) + " ") != std::string::npos);
}

TEST_CASE("a tool sees its own names only", "[sandbox][cell][R53]") {
  const std::string names = inspect({"names"}).out;
  CHECK(names.find("host cell uid 65534 gid 65534 pid 2 ") == 0);
  CHECK(inspect({"descriptors"}).out == "0\n1\n2\n");
}

TEST_CASE("no secret of the broker's environment reaches a tool", "[sandbox][cell][R53]") {
  ::setenv("TAPER_TEST_SECRET", "hunter2", 1);
  const std::string environment = inspect({"environment"}).out;
  ::unsetenv("TAPER_TEST_SECRET");
  CHECK(environment == "PATH=/usr/bin:/bin\nHOME=/tmp\nLANG=C.UTF-8\nTZ=UTC\n");
}

TEST_CASE("a tool's own environment stands beside the usual, or in its place", "[sandbox][cell]") {
  const std::string environment = inspect({"environment"}, [](authority::PermitFacts& facts) {
                                    facts.env = {"LEVEL=2=3", "TZ=Europe/Paris", "TZX=", "X=a\nb"};
                                  }).out;
  CHECK(environment ==
        "LEVEL=2=3\nTZ=Europe/Paris\nTZX=\nX=a\nb\nPATH=/usr/bin:/bin\nHOME=/tmp\nLANG=C.UTF-8\n");
}

TEST_CASE("what was not named is not there", "[sandbox][cell][R53]") {
  for (const char* path : {"/etc/shadow", "/root", "/home", "/sys", "/proc/sys", "/proc/kcore",
                           "/dev/mem", "/dev/tty", "/dev/kmsg", "/var", "/run"}) {
    INFO(path);
    CHECK(inspect({"read", path}).out != "ok\n");
  }
  CHECK(inspect({"read", "/dev/urandom"}).out == "ok\n");
  CHECK(inspect({"read", "/etc/passwd"}).out == "ok\n");
}

TEST_CASE("only the private places can be written", "[sandbox][cell][R53]") {
  for (const char* path : {"/new", "/usr/new", "/etc/new", "/etc/passwd", "/dev/new",
                           "/etc/ld.so.cache", "/proc/self/oom_score_adj"}) {
    INFO(path);
    CHECK(inspect({"write", path}).out != "ok\n");
  }
  CHECK(inspect({"write", "/tmp/new"}).out == "ok\n");
  CHECK(inspect({"write", "/dev/shm/new"}).out == "ok\n");
  CHECK(inspect({"write", "/dev/null"}).out == "ok\n");
}

TEST_CASE("a tree's owner is the cell's user, everybody else stays other",
          "[sandbox][.needs-root][needs-root][R53]") {
  REQUIRE(::geteuid() == 0);
  const ScratchDirectory directory;
  const std::string own = directory.add("own", "text", 0600);
  const std::string roots = directory.add("roots", "text", 0600);
  const std::string open = directory.add("open", "text", 0644);
  REQUIRE(::chown(directory.path().c_str(), 61234, 61234) == 0);
  REQUIRE(::chown(own.c_str(), 61234, 61234) == 0);
  const auto change = [&](authority::PermitFacts& facts) {
    facts.trees = {{directory.path(), true, true}};
    facts.writes = true;
  };
  CHECK(inspect({"read", own}, change).out == "ok\n");
  CHECK(inspect({"read", roots}, change).out == "EACCES\n");
  CHECK(inspect({"write", roots}, change).out == "EACCES\n");
  CHECK(inspect({"read", open}, change).out == "ok\n");
  CHECK(inspect({"write", open}, change).out == "EACCES\n");
  const std::string made = directory.path() + "/made";
  CHECK(inspect({"write", made}, change).out == "ok\n");
  struct stat found{};
  REQUIRE(::stat(made.c_str(), &found) == 0);
  CHECK(found.st_uid == 61234);
  CHECK(found.st_gid == 61234);
}

TEST_CASE("a tree on a file system without idmapped mounts is refused",
          "[sandbox][.needs-root][needs-root][R53]") {
  REQUIRE(::geteuid() == 0);
  const RunReport report = inspect({"exit", "0"}, [](authority::PermitFacts& facts) {
    facts.trees = {{"/sys/kernel", true, false}};
  });
  CHECK(report.end == RunEnd::refused);
  CHECK(report.error.code() == Code::sandbox_layer);
  CHECK(report.error.detail().field == "idmapped mount");
}

}  // namespace taper::sandbox
