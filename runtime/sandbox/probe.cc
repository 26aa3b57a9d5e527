#include "runtime/sandbox/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/sandbox/landlock.h"
#include "runtime/sandbox/seccomp/filter.h"
#include "runtime/sandbox/spawnd_link.h"
#include "runtime/sandbox/spawner.h"
#include "runtime/sandbox/system.h"
#include "runtime/sandbox/tree_source.h"
#include "runtime/sandbox/wire.h"

namespace taper::sandbox {
namespace {

constexpr const char* kProgram = "/bin/true";

Check fine(std::string name, std::string detail) {
  return {std::move(name), Health::ok, std::move(detail), ""};
}
Check wrong(std::string name, Health health, std::string detail, std::string fix) {
  return {std::move(name), health, std::move(detail), std::move(fix)};
}

// Runs `act` in a child with new namespaces; it returns an errno, 0 for success. What went wrong,
// or nothing.
template <class Act>
std::string try_in_child(std::uint64_t namespaces, Act act) {
  Result<Clone> child = clone_process(namespaces);
  if (!child.ok()) return child.error().detail().got;
  if (child->pid == 0) ::_exit(act());
  int status = 0;
  while (::waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) return "it was killed";
  return WEXITSTATUS(status) == 0 ? "" : std::strerror(WEXITSTATUS(status));
}

std::string read_setting(const std::string& path) {
  const Result<Bytes> bytes = read_file(path, limits::kKeyFileBytesMax);
  if (!bytes.ok()) return "";
  std::string text(as_text(*bytes));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// What usually keeps an ordinary user from making namespaces.
std::string namespace_fix() {
  if (read_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1") {
    return "load an AppArmor profile for taper-spawnd that allows 'userns,'";
  }
  if (read_setting("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
    return "sysctl kernel.unprivileged_userns_clone=1";
  }
  if (read_setting("/proc/sys/user/max_user_namespaces") == "0") {
    return "sysctl user.max_user_namespaces=10000";
  }
  return "allow taper to make namespaces; container hosts often forbid it";
}

void check_namespaces(std::vector<Check>& out) {
  struct Kind {
    const char* name;
    std::uint64_t flag;
  };
  constexpr std::array<Kind, 7> kKinds = {{{"user namespace", 0},
                                           {"pid namespace", CLONE_NEWPID},
                                           {"mount namespace", CLONE_NEWNS},
                                           {"network namespace", CLONE_NEWNET},
                                           {"ipc namespace", CLONE_NEWIPC},
                                           {"uts namespace", CLONE_NEWUTS},
                                           {"cgroup namespace", CLONE_NEWCGROUP}}};
  for (const Kind& kind : kKinds) {
    std::string problem = try_in_child(CLONE_NEWUSER | kind.flag, [] { return 0; });
    out.push_back(problem.empty()
                      ? fine(kind.name, "made one")
                      : wrong(kind.name, Health::fail, std::move(problem), namespace_fix()));
  }
}

Check check_landlock() {
  const std::string abi = "ABI " + std::to_string(landlock_abi());
  const std::string problem =
      try_in_child(0, [] { return restrict_landlock({}).ok() ? 0 : ENOSYS; });
  if (problem.empty()) return fine("landlock", abi + ", bound a child");
  return wrong("landlock", Health::fail, abi + ", " + problem,
               "Linux 6.7 or later with 'landlock' in the lsm= list of its command line");
}

Check check_seccomp() {
  const std::string problem =
      try_in_child(0, [] { return install_seccomp(SeccompProfile::command).ok() ? 0 : ENOSYS; });
  if (problem.empty()) return fine("seccomp", "bound a child");
  return wrong("seccomp", Health::fail, problem, "a kernel with CONFIG_SECCOMP_FILTER");
}

Check check_proc() {
  const std::string problem = try_in_child(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, [] {
    const int mount = try_new_filesystem("proc", {{"subset", "pid"}}, MOUNT_ATTR_RDONLY);
    return mount < 0 ? -mount : 0;
  });
  if (problem.empty()) return fine("fresh /proc", "mounted one");
  return wrong("fresh /proc", Health::warn, "cells have no /proc: " + problem,
               "run where the host's own /proc is not covered in places");
}

Check check_idmap() {
  if (starter() == Starter::user) return fine("idmapped mount", "not needed: cells run as you");
  Idmaps idmaps;
  const Result<Fd> mount = open_tree_source({.path = "/", .directory = true}, &idmaps);
  if (mount.ok()) return fine("idmapped mount", "made one of /");
  return wrong("idmapped mount", Health::fail, to_line(mount.error()),
               "keep granted trees on a file system that supports idmapped mounts (ext4, xfs, "
               "btrfs), or run taper as an ordinary user");
}

Result<News> next_news(int socket) {
  pollfd wait{socket, POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(limits::kProbeTimeoutMs)) <= 0) {
    return os_error("wait for taper-spawnd", ETIMEDOUT);
  }
  TAPER_TRY(const std::optional<Packet> packet, receive_packet(socket));
  if (!packet) return os_error("wait for taper-spawnd", ETIMEDOUT);
  return decode_news(packet->bytes);
}

// One throw-away cell with every layer. No permit is asked: the program and all else are fixed.
Status run_throwaway(const SpawndLink& link, const Program& program, std::uint64_t id) {
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  CellOrder order;
  order.cell = id;
  order.kind = authority::ToolKind::command;
  order.argv = {kProgram};
  order.deadline_boot_ms = SystemClock().now().boot_ms + limits::kProbeTimeoutMs;
  const std::array<int, 3> fds = {program.fd(), null.get(), null.get()};
  Bytes bytes = encode_order(order);
  if (send_packet(link.socket(), bytes, fds) != Sent::sent) {
    return Error(Code::spawner_lost);
  }
  for (;;) {
    TAPER_TRY(const News news, next_news(link.socket()));
    const auto* gone = std::get_if<CellGone>(&news);
    if (gone == nullptr) continue;
    if (gone->end == CellEnd::exited && gone->value == 0) return success();
    if (gone->end == CellEnd::refused) {
      return Error(gone->code, {.field = gone->field, .expected = "", .got = gone->got, .fix = ""});
    }
    return Error(Code::tool_killed,
                 {.field = kProgram, .expected = "", .got = "did not end well", .fix = ""});
  }
}

Result<double> measure_cells(const std::string& spawnd_path) {
  TAPER_TRY(const Program program, Program::load(kProgram));
  TAPER_TRY(const SpawndLink link, SpawndLink::launch(spawnd_path));
  const SystemClock clock;
  const std::int64_t start = clock.now().boot_ms;
  for (std::uint64_t run = 1; run <= limits::kProbeRuns; ++run) {
    TAPER_CHECK(run_throwaway(link, program, run));
  }
  return static_cast<double>(clock.now().boot_ms - start) / limits::kProbeRuns;
}

Check check_cell(const std::string& spawnd_path, double& spawn_ms) {
  const Result<double> measured = measure_cells(spawnd_path);
  if (!measured.ok()) {
    const char* fix = describe(measured.error().code()).fix;
    return wrong("cell", Health::fail, to_line(measured.error()),
                 measured.error().code() == Code::sandbox_layer
                     ? "see the check of that layer: " + measured.error().detail().field
                     : fix);
  }
  spawn_ms = *measured;
  std::array<char, 32> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), spawn_ms, std::chars_format::fixed, 2);
  TAPER_ASSERT(error == std::errc());
  return fine("cell", std::string(kProgram) + " ran behind every layer in " +
                          std::string(text.data(), end) + " ms");
}

// Our directory in the unified hierarchy; empty where there is none.
std::string cgroup_directory() {
  std::string mount = "/sys/fs/cgroup";
  if (::access((mount + "/cgroup.controllers").c_str(), F_OK) != 0) mount += "/unified";
  const std::string own = read_setting("/proc/self/cgroup");
  const std::size_t line = own.rfind("0::");
  if (line == std::string::npos) return "";
  const std::string path = mount + own.substr(line + 3, own.find('\n', line) - line - 3);
  return ::access((path + "/cgroup.controllers").c_str(), F_OK) == 0 ? path : "";
}

Check check_cgroup() {
  constexpr const char* kName = "cgroup limits";
  constexpr const char* kFix =
      "start taper inside a delegated cgroup v2 subtree with the memory and pids controllers "
      "(systemd: Delegate=yes)";
  const std::string path = cgroup_directory();
  if (path.empty()) return wrong(kName, Health::warn, "no cgroup v2 at our path", kFix);
  const std::string controllers = " " + read_setting(path + "/cgroup.controllers") + " ";
  for (const char* wanted : {" memory ", " pids "}) {
    if (controllers.find(wanted) == std::string::npos) {
      return wrong(kName, Health::warn,
                   std::string("cgroup v2 lacks the controller") + wanted + "here", kFix);
    }
  }
  if (::access((path + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    return wrong(kName, Health::warn, path + " is not writable", kFix);
  }
  return wrong(kName, Health::warn,
               "controllers are writable at " + path + "; cells do not use them",
               "none needed: rlimits, a pid limit and capped file systems hold cells");
}

}  // namespace

ProbeReport probe(const std::string& spawnd_path) {
  ProbeReport report;
  check_namespaces(report.checks);
  report.checks.push_back(check_landlock());
  report.checks.push_back(check_seccomp());
  report.checks.push_back(check_proc());
  report.checks.push_back(check_idmap());
  report.checks.push_back(check_cell(spawnd_path, report.spawn_ms));
  report.checks.push_back(check_cgroup());
  const auto failed = std::ranges::find(report.checks, Health::fail, &Check::health);
  const Check& blocker = failed == report.checks.end() ? report.checks.back() : *failed;
  report.tier = failed == report.checks.end() ? 2 : 0;
  report.next_blocker = blocker.name + ": " + blocker.detail;
  return report;
}

}  // namespace taper::sandbox
