#include "runtime/sandbox/seccomp/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <charconv>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "tests/unit/sandbox/bpf_evaluate.h"

using namespace taper;
using namespace taper::sandbox;
using taper::testing::evaluate;

#if defined(__x86_64__)
namespace {

constexpr std::uint32_t kAllowed = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::uint32_t kKilled = SECCOMP_RET_KILL_PROCESS;
constexpr std::uint32_t kByArgument = 1;

// Verdicts by the kernel's own x86_64 numbers, written down apart from the filter's names.
struct Expected {
  std::string_view allowed, refused, killed, by_argument;
};
constexpr Expected kCommand{
    "0-1 3-15 17-28 32-40 44-48 51-52 54-55 57-63 73-82 84 86-89 92-100 102 104-115 117-132 "
    "137-138 140-152 158 160 186-204 213 217-219 221-226 228-235 239 247 252 260-267 269-271 "
    "273-277 280-287 289-293 295-297 299 307 309 315-316 318 322 324-332 334 424 434 436 439 441 "
    "444-446 "
    "449",
    "41-43 49-50 103 116 159 161 164 170-171 227 248-251 253-255 288 294 298 300-301 305 308 312 "
    "323 425-427 "
    "438",
    "101 154-155 163 165-169 172-173 175-176 179 246 304 310-311 313 320-321 428-433 442-443",
    "2 16 53 56 72 83 85 90-91 133 135 157 257-259 268 272 302 317 319"};
constexpr Expected kBuiltin{
    "0-1 3 5 8 11-15 17 24-25 28 39 60 73-74 96 131 186 201-202 217 219 228 231 234 262-264 318 "
    "437",
    "",
    "2 41-43 49-50 56-59 62 85 101 103 154-155 159 161 163-173 175-176 179 227 246 248-250 257 272 "
    "288 298 300-301 304-305 308 310-313 320-323 425-433 442-443",
    "9-10 72"};

void mark(std::map<std::uint32_t, std::uint32_t>& table, std::string_view ranges,
          std::uint32_t verdict) {
  const char* at = ranges.data();
  const char* end = at + ranges.size();
  while (at < end) {
    std::uint32_t first = 0;
    at = std::from_chars(at, end, first).ptr;
    std::uint32_t last = first;
    if (at < end && *at == '-') at = std::from_chars(at + 1, end, last).ptr;
    while (at < end && *at == ' ') ++at;
    for (std::uint32_t number = first; number <= last; ++number) {
      const bool added = table.emplace(number, verdict).second;
      REQUIRE(added);
    }
  }
}

std::uint32_t ask(SeccompProfile profile, std::uint32_t number,
                  std::array<std::uint64_t, 6> arguments = {},
                  std::uint32_t architecture = AUDIT_ARCH_X86_64) {
  seccomp_data call{};
  call.nr = static_cast<int>(number);
  call.arch = architecture;
  std::copy(arguments.begin(), arguments.end(), call.args);
  return evaluate(seccomp_filter(profile), call);
}

std::uint32_t command(long number, std::array<std::uint64_t, 6> arguments) {
  return ask(SeccompProfile::command, static_cast<std::uint32_t>(number), arguments);
}

// The exit status of `body` in a child under the profile, or 1000 + the signal it died of.
int in_child(SeccompProfile profile, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!install_seccomp(profile).ok()) ::_exit(99);
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

using Values = std::vector<std::uint64_t>;
constexpr std::uint64_t kHigh = std::uint64_t{1} << 32;

}  // namespace

TEST_CASE("every system call number gets the verdict of its list", "[sandbox]") {
  const auto [profile, expected] = GENERATE(std::pair(SeccompProfile::command, kCommand),
                                            std::pair(SeccompProfile::builtin, kBuiltin));
  std::map<std::uint32_t, std::uint32_t> table;
  mark(table, expected.allowed, kAllowed);
  mark(table, expected.refused, kEperm);
  mark(table, expected.killed, kKilled);
  mark(table, expected.by_argument, kByArgument);
  for (std::uint32_t number = 0; number <= 600; ++number) {
    const auto found = table.find(number);
    const std::uint32_t verdict = found == table.end() ? kEnosys : found->second;
    if (verdict == kByArgument) continue;
    INFO("number " << number);
    // No verdict of these may depend on an argument.
    CHECK(ask(profile, number) == verdict);
    CHECK(ask(profile, number, {~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL}) == verdict);
  }
  CHECK(ask(profile, 0xffff'ffff) == kEnosys);
  CHECK(ask(profile, 0x3fff'ffff) == kEnosys);
}

TEST_CASE("x32 numbers and other architectures kill", "[sandbox]") {
  const auto profile = GENERATE(SeccompProfile::command, SeccompProfile::builtin);
  for (const std::uint32_t number :
       {0x4000'0000U, 0x4000'0001U, 0x4000'0208U, 0x8000'0000U, 0xffff'fffeU}) {
    CHECK(ask(profile, number) == kKilled);
  }
  for (const std::uint32_t other :
       {std::uint32_t{AUDIT_ARCH_I386}, std::uint32_t{AUDIT_ARCH_AARCH64}, 0U}) {
    for (std::uint32_t number = 0; number <= 600; ++number) {
      CHECK(ask(profile, number, {}, other) == kKilled);
    }
  }
}

TEST_CASE("suid and sgid bits are refused wherever a mode is given", "[sandbox]") {
  for (const std::uint64_t bits :
       Values{04000ULL, 02000ULL, 06000ULL, 04755ULL, 02755ULL + kHigh}) {
    INFO("mode " << std::oct << bits);
    CHECK(command(SYS_chmod, {0, bits}) == kEperm);
    CHECK(command(SYS_fchmod, {0, bits}) == kEperm);
    CHECK(command(SYS_fchmodat, {0, 0, bits}) == kEperm);
    CHECK(command(SYS_creat, {0, bits}) == kEperm);
    CHECK(command(SYS_mkdir, {0, bits}) == kEperm);
    CHECK(command(SYS_mkdirat, {0, 0, bits}) == kEperm);
    CHECK(command(SYS_mknod, {0, S_IFREG | bits}) == kEperm);
    CHECK(command(SYS_mknodat, {0, 0, S_IFREG | bits}) == kEperm);
    for (const std::uint64_t flags : Values{std::uint64_t{O_CREAT}, std::uint64_t{O_TMPFILE},
                                            std::uint64_t{O_CREAT | O_WRONLY}, O_CREAT + kHigh}) {
      CHECK(command(SYS_open, {0, flags, bits}) == kEperm);
      CHECK(command(SYS_openat, {0, 0, flags, bits}) == kEperm);
    }
    CHECK(command(SYS_open, {0, O_RDONLY, bits}) == kAllowed);  // the kernel ignores the mode
    CHECK(command(SYS_openat, {0, 0, O_DIRECTORY, bits}) == kAllowed);
  }
  for (const std::uint64_t plain : Values{0ULL, 0644ULL, 0755ULL, 01777ULL, 0777ULL + kHigh}) {
    CHECK(command(SYS_chmod, {0, plain}) == kAllowed);
    CHECK(command(SYS_fchmod, {0, plain}) == kAllowed);
    CHECK(command(SYS_fchmodat, {0, 0, plain}) == kAllowed);
    CHECK(command(SYS_creat, {0, plain}) == kAllowed);
    CHECK(command(SYS_mkdir, {0, plain}) == kAllowed);
    CHECK(command(SYS_mkdirat, {0, 0, plain}) == kAllowed);
    CHECK(command(SYS_open, {0, O_CREAT, plain}) == kAllowed);
    CHECK(command(SYS_openat, {0, 0, O_TMPFILE, plain}) == kAllowed);
    CHECK(command(SYS_mknod, {0, S_IFIFO | plain}) == kAllowed);
  }
  CHECK(command(SYS_mknod, {0, S_IFCHR | 0600}) == kEperm);
  CHECK(command(SYS_mknod, {0, S_IFBLK | 0600}) == kEperm);
  CHECK(command(SYS_mknodat, {0, 0, (S_IFCHR | 0600) + kHigh}) == kEperm);
}

TEST_CASE("no lease, watch, owner of signals or pipe's size is set by fcntl", "[sandbox][R53]") {
  const auto profile = GENERATE(SeccompProfile::command, SeccompProfile::builtin);
  for (const int refused :
       {F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ, F_SETOWN, F_SETSIG, F_SETOWN_EX, 1040}) {
    const auto number = static_cast<std::uint64_t>(refused);
    CHECK(ask(profile, SYS_fcntl, {0, number}) == kEperm);
    CHECK(ask(profile, SYS_fcntl, {0, number + kHigh}) == kEperm);
  }
  for (const int allowed : {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETLK,
                            F_SETLKW, F_GETLK, F_OFD_SETLK, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS})
    CHECK(ask(profile, SYS_fcntl, {0, static_cast<std::uint64_t>(allowed)}) == kAllowed);
}

TEST_CASE("argument rules compare what the kernel reads", "[sandbox]") {
  SECTION("terminal input injection, with high bits set too") {
    for (const std::uint64_t request : Values{0x5412ULL, 0x541cULL, 0x5412 + kHigh, 0x541c + kHigh,
                                              0x5412 + (kHigh << 31), 0x5423ULL, 0x6685ULL}) {
      CHECK(command(SYS_ioctl, {0, request}) == kEperm);
    }
    for (const std::uint64_t request :
         Values{0x5401ULL, 0x5413ULL, 0x541bULL, 0x5421ULL, 0x802c542aULL}) {
      CHECK(command(SYS_ioctl, {0, request}) == kAllowed);
    }
  }
  SECTION("new namespaces") {
    for (const std::uint64_t flag : Values{0x20000ULL, 0x2000000ULL, 0x4000000ULL, 0x8000000ULL,
                                           0x10000000ULL, 0x20000000ULL, 0x40000000ULL}) {
      CHECK(command(SYS_clone, {flag | 17}) == kEperm);
      CHECK(command(SYS_clone, {flag + kHigh}) == kEperm);
      CHECK(command(SYS_unshare, {flag}) == kEperm);
    }
    CHECK(command(SYS_unshare, {0x80}) == kEperm);
    CHECK(command(SYS_clone, {0x3d0f00}) == kAllowed);   // a thread
    CHECK(command(SYS_clone, {0x1200011}) == kAllowed);  // fork
    CHECK(command(SYS_unshare, {0x400}) == kAllowed);    // CLONE_FILES
  }
  SECTION("memory files, options, operations") {
    CHECK(command(SYS_memfd_create, {0, 0}) == kEperm);
    CHECK(command(SYS_memfd_create, {0, 0x10}) == kEperm);
    CHECK(command(SYS_memfd_create, {0, 8 * kHigh}) == kEperm);
    CHECK(command(SYS_memfd_create, {0, 8 | 1 | 2}) == kAllowed);
    CHECK(command(SYS_personality, {0xffffffff}) == kAllowed);
    CHECK(command(SYS_personality, {0xffffffff + kHigh}) == kAllowed);
    CHECK(command(SYS_personality, {0}) == kEperm);
    CHECK(command(SYS_personality, {0x0400000}) == kEperm);
    CHECK(command(SYS_socketpair, {1, 1}) == kAllowed);
    for (const std::uint64_t family : Values{0, 2, 10, 16, 17, 38, 40, 44}) {
      CHECK(command(SYS_socketpair, {family, 1}) == kEperm);
    }
    CHECK(command(SYS_prlimit64, {0}) == kAllowed);
    CHECK(command(SYS_prlimit64, {1}) == kEperm);
    CHECK(command(SYS_seccomp, {1, 0}) == kAllowed);
    CHECK(command(SYS_seccomp, {1, 8}) == kEperm);
    CHECK(command(SYS_seccomp, {1, 9 + kHigh}) == kEperm);
    CHECK(command(SYS_seccomp, {0, 0}) == kAllowed);
    CHECK(command(SYS_seccomp, {2, 0}) == kAllowed);
    CHECK(command(SYS_seccomp, {3, 0}) == kEperm);
  }
  SECTION("process options") {
    for (const std::uint64_t option : Values{15, 16, 38, 39, 22, 1, 4}) {
      CHECK(command(SYS_prctl, {option}) == kAllowed);
    }
    for (const std::uint64_t option :
         Values{35ULL, 0x59616d61ULL, 47ULL, 28ULL, 24ULL, 26ULL, 35 + kHigh}) {
      CHECK(command(SYS_prctl, {option}) == kEperm);
    }
  }
  SECTION("the builtins' memory is never executable") {
    for (const long call : {SYS_mmap, SYS_mprotect}) {
      const auto number = static_cast<std::uint32_t>(call);
      CHECK(ask(SeccompProfile::builtin, number, {0, 0, PROT_READ | PROT_WRITE}) == kAllowed);
      CHECK(ask(SeccompProfile::builtin, number, {0, 0, PROT_EXEC}) == kEperm);
      CHECK(ask(SeccompProfile::builtin, number, {0, 0, PROT_EXEC + kHigh}) == kEperm);
    }
  }
}

TEST_CASE("the filter stays small", "[sandbox]") {
  CHECK(seccomp_filter(SeccompProfile::command).size() < 500);
  CHECK(seccomp_filter(SeccompProfile::builtin).size() < 300);
}

TEST_CASE("the kernel takes the filters and obeys them", "[sandbox]") {
  CHECK(in_child(SeccompProfile::command, [] { return 7; }) == 7);
  CHECK(in_child(SeccompProfile::builtin, [] { return 7; }) == 7);
  CHECK(in_child(SeccompProfile::command, [] {
          return ::syscall(SYS_socket, 2, 1, 0) == -1 && errno == EPERM ? 0 : 1;
        }) == 0);
  CHECK(in_child(SeccompProfile::command,
                 [] { return ::syscall(600) == -1 && errno == ENOSYS ? 0 : 1; }) == 0);
  CHECK(in_child(SeccompProfile::command, [] {
          return static_cast<int>(::syscall(SYS_ptrace, 0, 0, 0, 0));
        }) == 1000 + SIGSYS);
  CHECK(in_child(SeccompProfile::builtin, [] {
          return static_cast<int>(::syscall(SYS_execve, "/bin/true", nullptr, nullptr));
        }) == 1000 + SIGSYS);
}
#endif
