// The kernel's surface, and what a cell promises about itself. Calls that would do harm outside get
// arguments that the kernel refuses after it has let the caller in.
#include <asm/ldt.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <fstream>
#include <set>
#include <string>

#include "tests/hostile/escapes/escape.h"

extern char** environ;

namespace escape {
namespace {

constexpr long kX32Getpid = 0x40000000 | 39;

Verdict writable(const char* path) { return opened(::open(path, O_WRONLY)); }

}  // namespace

Verdict io_uring(const Place&) { return reached(::syscall(SYS_io_uring_setup, 0, nullptr)); }
Verdict user_fault(const Place&) { return opened(::syscall(SYS_userfaultfd, O_CLOEXEC)); }
Verdict bpf_program(const Place&) { return reached(::syscall(SYS_bpf, 0, nullptr, 0)); }
Verdict performance_events(const Place&) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_CPU_CLOCK;
  return reached(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}
Verdict file_notification(const Place&) {
  return opened(::syscall(SYS_fanotify_init, 4, O_RDONLY));
}
Verdict kexec(const Place&) { return reached(::syscall(SYS_kexec_load, 0, 0xffff, nullptr, ~0UL)); }
Verdict load_module(const Place&) { return reached(::syscall(SYS_init_module, nullptr, 0, "")); }
Verdict load_module_file(const Place&) { return reached(::syscall(SYS_finit_module, -1, "", 0)); }
Verdict unload_module(const Place&) {
  return reached(::syscall(SYS_delete_module, "taper_no_such_module", O_NONBLOCK));
}
Verdict reboot_host(const Place&) { return reached(::syscall(SYS_reboot, 0, 0, 0, nullptr)); }
Verdict swap_on(const Place&) { return reached(::syscall(SYS_swapon, "/nowhere", 0)); }
Verdict accounting(const Place&) { return reached(::syscall(SYS_acct, "/nowhere")); }
Verdict quotas(const Place&) {
  return reached(::syscall(SYS_quotactl, 0x800007 << 8, "/nowhere", 0, nullptr));
}
Verdict set_time_of_day(const Place&) {
  return reached(::syscall(SYS_settimeofday, nullptr, nullptr));
}
Verdict set_clock(const Place&) {
  const timespec wrong{0, -1};
  return reached(::syscall(SYS_clock_settime, CLOCK_REALTIME, &wrong));
}
Verdict adjust_clock(const Place&) {
  timex only_read{};
  return opened(::syscall(SYS_adjtimex, &only_read));
}
Verdict kernel_log(const Place&) {
  char line[256];
  return opened(::syscall(SYS_syslog, 3, line, sizeof line));
}
Verdict kernel_symbols(const Place&) { return opened(::open("/proc/kallsyms", O_RDONLY)); }
Verdict set_personality(const Place&) { return opened(::personality(ADDR_NO_RANDOMIZE)); }

#if defined(__x86_64__)
Verdict local_descriptor_table(const Place&) {
  user_desc entry{};
  return reached(::syscall(SYS_modify_ldt, 0, &entry, sizeof entry));
}
Verdict port_level(const Place&) { return opened(::syscall(SYS_iopl, 0)); }
Verdict port_permission(const Place&) { return opened(::syscall(SYS_ioperm, 0x80, 1, 0)); }
Verdict i386_call(const Place&) {
  long result = 20;  // getpid by the i386 table
  asm volatile("int $0x80" : "+a"(result) : : "memory");
  if (result == -ENOSYS) return cannot("this kernel has no i386 calls");
  return result > 0 ? open("it answered") : shut(errno_name(static_cast<int>(-result)));
}
Verdict x32_call(const Place&) { return opened(::syscall(kX32Getpid)); }
#endif

Verdict filter_listener(const Place&) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return reached(::syscall(SYS_seccomp, 1, 8, nullptr));
}
Verdict unknown_call(const Place&) { return opened(::syscall(600)); }
Verdict call_minus_one(const Place&) { return opened(::syscall(-1)); }
Verdict secret_memory(const Place&) { return opened(::syscall(SYS_memfd_secret, 0)); }
Verdict advise_other_process(const Place&) {
  return reached(::syscall(SYS_process_madvise, -1, nullptr, 0, 0, 0));
}
Verdict compare_processes(const Place&) {
  return reached(::syscall(SYS_kcmp, ::getpid(), ::getpid(), 1, 0, 0));
}
Verdict kernel_setting(const Place&) { return writable("/proc/sys/kernel/printk"); }
Verdict system_request(const Place&) { return writable("/proc/sysrq-trigger"); }
Verdict device_tree(const Place&) { return opened(::open("/sys", O_RDONLY | O_DIRECTORY)); }

Verdict environment(const Place&) {
  const std::set<std::string> listed = {"PATH", "HOME", "LANG", "TZ"};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string word = *entry;
    if (listed.count(word.substr(0, word.find('='))) == 0) return open(word);
  }
  return shut("listed");
}

Verdict capabilities(const Place&) {
  std::ifstream status("/proc/self/status");
  int seen = 0;
  for (std::string key, value; status >> key; std::getline(status, value)) {
    const bool set = key == "CapInh:" || key == "CapPrm:" || key == "CapEff:" || key == "CapBnd:" ||
                     key == "CapAmb:";
    if (!set && key != "NoNewPrivs:" && key != "Seccomp:") continue;
    status >> value;
    const std::string good = set ? "0000000000000000" : key == "Seccomp:" ? "2" : "1";
    if (value != good) return open(key + value);
    ++seen;
  }
  return seen == 7 ? shut("none") : cannot("status has no such lines");
}

Verdict outer_root(const Place&) {
  std::ifstream map("/proc/self/uid_map");
  long inner = 0, outer = 0, count = 0;
  if (!(map >> inner >> outer >> count)) return cannot("no map");
  const bool covers_root = outer == 0;
  return covers_root ? open("an id stands for the host's root") : shut("none");
}

}  // namespace escape
