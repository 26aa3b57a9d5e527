#include "runtime/sandbox/landlock.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "runtime/base/file.h"

namespace taper::sandbox {
namespace {

// The kernel's interface, stated here because the build host's headers may be older than the kernel
// this runs on. Source: include/uapi/linux/landlock.h.
struct RulesetAttribute {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scopes = 0;
};
struct [[gnu::packed]] PathRule {
  std::uint64_t allowed = 0;
  std::int32_t fd = -1;
};
constexpr unsigned kGetVersion = 1;
constexpr int kRulePathBeneath = 1;
constexpr int kAbiMin = 4;  // the first that governs network

constexpr std::uint64_t kExecute = 1U << 0;
constexpr std::uint64_t kWriteFile = 1U << 1;
constexpr std::uint64_t kReadFile = 1U << 2;
constexpr std::uint64_t kReadDirectory = 1U << 3;
constexpr std::uint64_t kRemoveDirectory = 1U << 4;
constexpr std::uint64_t kRemoveFile = 1U << 5;
constexpr std::uint64_t kMakeDirectory = 1U << 7;
constexpr std::uint64_t kMakeRegular = 1U << 8;
constexpr std::uint64_t kMakeSymlink = 1U << 12;
constexpr std::uint64_t kRefer = 1U << 13;  // rename and link across directories
constexpr std::uint64_t kTruncate = 1U << 14;

constexpr std::uint64_t kReadTree = kReadFile | kReadDirectory;
constexpr std::uint64_t kWrite = kReadFile | kWriteFile | kTruncate;

std::uint64_t rights(LandlockAccess access) {
  switch (access) {
    case LandlockAccess::read_tree: return kReadTree;
    case LandlockAccess::program_tree: return kReadTree | kExecute;
    case LandlockAccess::write_tree:
      return kReadTree | kWrite | kRemoveDirectory | kRemoveFile | kMakeDirectory | kMakeRegular |
             kMakeSymlink | kRefer;
    case LandlockAccess::read_file: return kReadFile;
    case LandlockAccess::write_file: return kWrite;
    case LandlockAccess::execute_file: return kReadFile | kExecute;
    case LandlockAccess::device: return kWrite;
  }
  return 0;
}

int create_ruleset(const RulesetAttribute& attribute) {
  return static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attribute, sizeof attribute, 0U));
}

// Every right that the kernel accepts, found by asking for each alone: no table of versions can
// know the rights of a newer kernel.
RulesetAttribute known_rights() {
  RulesetAttribute known;
  for (std::uint64_t RulesetAttribute::* part :
       {&RulesetAttribute::files, &RulesetAttribute::network, &RulesetAttribute::scopes}) {
    for (unsigned bit = 0; bit < 64; ++bit) {
      RulesetAttribute one;
      one.*part = std::uint64_t{1} << bit;
      const Fd accepted(create_ruleset(one));
      if (!accepted) break;
      known.*part |= one.*part;
    }
  }
  return known;
}

struct Kernel {
  int abi = landlock_abi();
  RulesetAttribute rights = known_rights();
};
const Kernel& kernel() {
  static const Kernel known;
  return known;
}

Error setup_error(const char* step) {
  return Error(Code::sandbox_setup, {.field = std::string("landlock: ") + step,
                                     .expected = "",
                                     .got = os_error(step, errno).detail().got,
                                     .fix = ""});
}

}  // namespace

int landlock_abi() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kGetVersion);
  return version > 0 ? static_cast<int>(version) : 0;
}

void learn_landlock() { static_cast<void>(kernel()); }

Status restrict_landlock(std::span<const LandlockRule> rules) {
  const int abi = kernel().abi;
  if (abi < kAbiMin) {
    return Error(Code::sandbox_layer, {.field = "landlock",
                                       .expected = "ABI " + std::to_string(kAbiMin) + " or later",
                                       .got = "ABI " + std::to_string(abi),
                                       .fix = ""});
  }
  const Fd ruleset(create_ruleset(kernel().rights));
  if (!ruleset) return setup_error("create ruleset");
  for (const LandlockRule& rule : rules) {
    const PathRule path{rights(rule.access), rule.fd};
    if (::syscall(SYS_landlock_add_rule, ruleset.get(), kRulePathBeneath, &path, 0U) != 0) {
      return setup_error("add rule");
    }
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return setup_error("no_new_privs");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0U) != 0) {
    return setup_error("restrict self");
  }
  return success();
}

}  // namespace taper::sandbox
