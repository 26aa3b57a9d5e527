#include "runtime/sandbox/seccomp/filter.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <vector>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"

namespace taper::sandbox {
namespace {

using Program = std::vector<sock_filter>;

enum class Verdict : std::uint8_t {
  allow,
  refuse,
  kill,
  absent,
  // Argument rules.
  mode_second,  // no suid, no sgid in the mode
  mode_third,
  mknod_second,  // neither those nor a device
  mknod_third,
  open_mode,  // as mode, where the flags say that a file is made
  openat_mode,
  no_exec_third,  // protection without PROT_EXEC
  fcntl_command,
  ioctl_request,
  clone_flags,  // no new namespace
  unshare_flags,
  memfd_flags,  // sealed against execution
  prctl_option,
  personality_query,
  own_process,  // pid 0
  seccomp_operation,
  unix_family,
};

struct Entry {
  std::uint32_t number;
  Verdict builtin, command;
};
constexpr Entry kEntries[] = {
#define TAPER_SYSCALL(name, builtin, command) {__NR_##name, Verdict::builtin, Verdict::command},
#include "runtime/sandbox/seccomp/syscalls.def"
#undef TAPER_SYSCALL
};

// Values of the kernel's interface that the build host's headers may be too old to have.
constexpr std::uint32_t kX32Bit = 0x4000'0000;
constexpr std::uint32_t kTmpfileBit = 020'000'000;  // of O_TMPFILE, without its O_DIRECTORY
constexpr std::uint32_t kMemfdNoexecSeal = 0x8;
constexpr std::uint32_t kNewNamespaces = 0x7e02'0000;  // every CLONE_NEW* but time's
constexpr std::uint32_t kNewTime = 0x80;  // in clone this bit is part of the exit signal
constexpr std::uint32_t kSetuidBits = S_ISUID | S_ISGID;
constexpr std::uint32_t kProtExec = 0x4;
constexpr std::uint32_t kUnixFamily = 1;
constexpr std::uint32_t kNewListener = 1U << 3;

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "no table of system calls for this architecture"
#endif

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t kAbsent = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::uint32_t kKill = SECCOMP_RET_KILL_PROCESS;

sock_filter statement(unsigned code, std::uint32_t k) {
  return {static_cast<std::uint16_t>(code), 0, 0, k};
}
sock_filter jump(unsigned code, std::uint32_t k, std::size_t if_true, std::size_t if_false) {
  TAPER_ASSERT(if_true <= 255 && if_false <= 255);
  return {static_cast<std::uint16_t>(BPF_JMP | code | BPF_K), static_cast<std::uint8_t>(if_true),
          static_cast<std::uint8_t>(if_false), k};
}
sock_filter answer(std::uint32_t value) { return statement(BPF_RET | BPF_K, value); }
// The low 32 bits of an argument; both architectures are little-endian.
sock_filter load_argument(unsigned index) {
  return statement(BPF_LD | BPF_W | BPF_ABS,
                   static_cast<std::uint32_t>(offsetof(seccomp_data, args) + index * 8));
}

Program refuse_any_bit(unsigned argument, std::uint32_t bits) {
  return {load_argument(argument), jump(BPF_JSET, bits, 0, 1), answer(kRefuse), answer(kAllow)};
}

Program allow_only(unsigned argument, std::initializer_list<std::uint32_t> values) {
  Program out{load_argument(argument)};
  std::size_t left = values.size();
  for (const std::uint32_t value : values) out.push_back(jump(BPF_JEQ, value, left--, 0));
  out.push_back(answer(kRefuse));
  out.push_back(answer(kAllow));
  return out;
}

Program mknod_rule(unsigned argument) {
  return {load_argument(argument),
          jump(BPF_JSET, kSetuidBits, 4, 0),
          statement(BPF_ALU | BPF_AND | BPF_K, S_IFMT),
          jump(BPF_JEQ, S_IFCHR, 2, 0),
          jump(BPF_JEQ, S_IFBLK, 1, 0),
          answer(kAllow),
          answer(kRefuse)};
}

Program open_rule(unsigned flags) {
  Program out{load_argument(flags), jump(BPF_JSET, O_CREAT | kTmpfileBit, 1, 0), answer(kAllow)};
  const Program mode = refuse_any_bit(flags + 1, kSetuidBits);
  out.insert(out.end(), mode.begin(), mode.end());
  return out;
}

Program seccomp_rule() {
  return {load_argument(0),
          jump(BPF_JEQ, SECCOMP_SET_MODE_STRICT, 5, 0),
          jump(BPF_JEQ, SECCOMP_GET_ACTION_AVAIL, 4, 0),
          jump(BPF_JEQ, SECCOMP_SET_MODE_FILTER, 0, 2),
          load_argument(1),
          jump(BPF_JSET, kNewListener, 0, 1),
          answer(kRefuse),
          answer(kAllow)};
}

// Copies of descriptors, their flags, locks, owners and sizes that are asked for, seals. Not:
// F_SETLEASE and F_NOTIFY, by which who only reads holds up or watches others; F_SETPIPE_SZ, which
// takes of what the host's user has.
Program fcntl_rule() {
  return allow_only(
      1, {0, 1, 2, 3, 4, 5, 6, 7, 9, 36, 37, 38, 1025, 1027, 1028, 1030, 1032, 1033, 1034});
}

// Terminals, pipes, close-on-exec, reflinks, reading file flags. What is not here, above all
// TIOCSTI and TIOCLINUX, is refused.
Program ioctl_rule() {
  return allow_only(
      1, {0x5401, 0x5402, 0x5403, 0x5404, 0x540b, 0x540f, 0x5410, 0x5413, 0x541b, 0x5421, 0x5450,
          0x5451, 0x5452, 0x5460, 0x4004'9409, 0x4020'940d, 0x8008'6601, 0xc020'660b, 0x802c'542a});
}

// Names, timer slack, dumpable, parent-death signal, subreaper, reading of capabilities and
// secure bits, no_new_privs, seccomp, huge pages, memory-deny-write-execute, naming of memory.
// Not: PR_SET_MM, PR_SET_PTRACER, PR_CAP_AMBIENT, PR_SET_SECUREBITS, PR_CAPBSET_DROP.
Program prctl_rule() {
  return allow_only(0, {1,  2,  3,  4,  7,  15, 16, 21, 22, 23, 27,
                        29, 30, 36, 37, 38, 39, 41, 42, 65, 66, 0x5356'4d41});
}

Program body(Verdict verdict) {
  switch (verdict) {
    case Verdict::allow: return {answer(kAllow)};
    case Verdict::refuse: return {answer(kRefuse)};
    case Verdict::kill: return {answer(kKill)};
    case Verdict::absent: return {answer(kAbsent)};
    case Verdict::mode_second: return refuse_any_bit(1, kSetuidBits);
    case Verdict::mode_third: return refuse_any_bit(2, kSetuidBits);
    case Verdict::mknod_second: return mknod_rule(1);
    case Verdict::mknod_third: return mknod_rule(2);
    case Verdict::open_mode: return open_rule(1);
    case Verdict::openat_mode: return open_rule(2);
    case Verdict::no_exec_third: return refuse_any_bit(2, kProtExec);
    case Verdict::fcntl_command: return fcntl_rule();
    case Verdict::ioctl_request: return ioctl_rule();
    case Verdict::memfd_flags:
      return {load_argument(1), jump(BPF_JSET, kMemfdNoexecSeal, 1, 0), answer(kRefuse),
              answer(kAllow)};
    case Verdict::clone_flags: return refuse_any_bit(0, kNewNamespaces);
    case Verdict::unshare_flags: return refuse_any_bit(0, kNewNamespaces | kNewTime);
    case Verdict::prctl_option: return prctl_rule();
    case Verdict::personality_query: return allow_only(0, {0xffff'ffff});
    case Verdict::own_process: return allow_only(0, {0});
    case Verdict::seccomp_operation: return seccomp_rule();
    case Verdict::unix_family: return allow_only(0, {kUnixFamily});
  }
  return {answer(kKill)};
}

struct Range {
  std::uint32_t first;  // up to the next range's first
  Verdict verdict;
};

// Ranges that cover all numbers, neighbours of one verdict joined.
std::vector<Range> ranges_of(SeccompProfile profile) {
  std::vector<Entry> entries(std::begin(kEntries), std::end(kEntries));
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.number < b.number; });
  std::vector<Range> ranges;
  const auto add = [&ranges](std::uint32_t first, Verdict verdict) {
    if (ranges.empty() || ranges.back().verdict != verdict) ranges.push_back({first, verdict});
  };
  std::uint32_t next = 0;
  for (const Entry& entry : entries) {
    TAPER_ASSERT(entry.number >= next);  // no number twice
    if (entry.number > next) add(next, Verdict::absent);
    add(entry.number, profile == SeccompProfile::builtin ? entry.builtin : entry.command);
    next = entry.number + 1;
  }
  add(next, Verdict::absent);
  return ranges;
}

Program search(std::span<const Range> ranges) {
  if (ranges.size() == 1) return body(ranges.front().verdict);
  const std::size_t middle = ranges.size() / 2;
  const Program left = search(ranges.first(middle));
  const Program right = search(ranges.subspan(middle));
  Program out;
  if (left.size() <= 255) {
    out.push_back(jump(BPF_JGE, ranges[middle].first, left.size(), 0));
  } else {
    out.push_back(jump(BPF_JGE, ranges[middle].first, 0, 1));
    out.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(left.size())));
  }
  out.insert(out.end(), left.begin(), left.end());
  out.insert(out.end(), right.begin(), right.end());
  return out;
}

Program compile(SeccompProfile profile) {
  Program out{statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
              jump(BPF_JEQ, kArchitecture, 1, 0), answer(kKill),
              statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
#if defined(__x86_64__)
  // x32 numbers carry this bit. -1, which a tracer leaves behind, is no number at all.
  out.push_back(jump(BPF_JGE, kX32Bit, 0, 3));
  out.push_back(jump(BPF_JEQ, 0xffff'ffff, 1, 0));
  out.push_back(answer(kKill));
  out.push_back(answer(kAbsent));
#endif
  const std::vector<Range> ranges = ranges_of(profile);
  const Program rest = search(ranges);
  out.insert(out.end(), rest.begin(), rest.end());
  TAPER_ASSERT(out.size() <= BPF_MAXINSNS);
  return out;
}

Program& compiled(SeccompProfile profile) {
  static Program builtin = compile(SeccompProfile::builtin);
  static Program command = compile(SeccompProfile::command);
  return profile == SeccompProfile::builtin ? builtin : command;
}

}  // namespace

std::span<const sock_filter> seccomp_filter(SeccompProfile profile) { return compiled(profile); }

Status install_seccomp(SeccompProfile profile) {
  Program& filter = compiled(profile);
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &program) != 0) {
    return Error(Code::sandbox_layer, {.field = "seccomp",
                                       .expected = "a filter",
                                       .got = os_error("seccomp", errno).detail().got,
                                       .fix = ""});
  }
  return success();
}

}  // namespace taper::sandbox
