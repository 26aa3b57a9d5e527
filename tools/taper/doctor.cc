#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "crypto/key_file.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "runtime/sandbox/probe.h"
#include "tools/taper/clear_secrets.h"
#include "tools/taper/command.h"

namespace taper::tools {
namespace {

using sandbox::Check;
using sandbox::Health;

constexpr mode_t kOthersBits = 077;
constexpr mode_t kModeBits = 07777;

std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  if (!open) return names;
  while (const dirent* entry = ::readdir(open.get())) {
    if (entry->d_name[0] != '.') names.push_back(directory + "/" + entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof(text), "%04o", static_cast<unsigned>(mode & kModeBits));
  return text;
}

// A path that only its owner may look at.
Check private_check(const std::string& name, const std::string& path, const std::string& mode) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0)
    return {.name = name,
            .health = Health::fail,
            .detail = path + " is missing",
            .fix = "make a new node with 'taper node init'"};
  if ((found.st_mode & kOthersBits) == 0)
    return {.name = name,
            .health = Health::ok,
            .detail = path + " is " + octal(found.st_mode),
            .fix = ""};
  return {.name = name,
          .health = Health::fail,
          .detail = path + " is " + octal(found.st_mode),
          .fix = "chmod " + mode + " " + path};
}

// Who holds an issuer's key and a node's state on one host can both grant and obey.
Check issuer_check(const std::string& state) {
  std::vector<std::string> near = files_in(state);
  for (const std::string& path : files_in(state + "/keys")) near.push_back(path);
  for (const std::string& path : files_in(state + "/..")) near.push_back(path);
  for (const std::string& path : near) {
    if (!path.ends_with(".key")) continue;
    const Result<crypto::KeyFileInfo> info = crypto::inspect_key_file(path);
    if (!info.ok() || info->role != crypto::Role::issuer) continue;
    return {.name = "issuer keys",
            .health = Health::warn,
            .detail = path + " is an issuer's key beside a node's state",
            .fix = "keep issuer keys at the centre; a node needs none"};
  }
  return {
      .name = "issuer keys", .health = Health::ok, .detail = "none beside the state", .fix = ""};
}

Check clear_secrets_check(const authority::Tools& tools) {
  const std::vector<ClearSecret> found = clear_secrets(tools);
  if (!found.empty())
    return {.name = "secrets in tools.d",
            .health = Health::fail,
            .detail = "the argv or env of '" + found.front().tool + "' has " + found.front().kind +
                      " in clear",
            .fix =
                "seal it in the capsule ([[secret]]), let the tool read /run/secrets/NAME, and "
                "replace the secret"};
  return {.name = "secrets in tools.d", .health = Health::ok, .detail = "none in clear", .fix = ""};
}

// Opens the store beside whoever owns it and reads every task.
Check store_check(const std::string& state) {
  const Result<std::vector<authority::TaskView>> tasks = broker::task_list(state);
  if (!tasks.ok())
    return {.name = "store",
            .health = Health::fail,
            .detail = to_line(tasks.error()),
            .fix = describe(tasks.code()).fix};
  const auto live = std::count_if(tasks->begin(), tasks->end(), [](const auto& task) {
    return !authority::is_terminal(task.state);
  });
  return {.name = "store",
          .health = Health::ok,
          .detail = "opens; " + std::to_string(tasks->size()) + " tasks, " + std::to_string(live) +
                    " of them live",
          .fix = ""};
}

Result<std::vector<Check>> state_checks(const std::string& state) {
  TAPER_TRY(const authority::NodeRecord record, broker::node_record(state));
  std::vector<Check> checks;
  checks.push_back({.name = "node record",
                    .health = Health::ok,
                    .detail = record.name + " " + crypto::public_key_text(record.sign),
                    .fix = ""});
  checks.push_back(private_check("state", state, "0700"));
  checks.push_back(private_check("keys", state + "/keys", "0700"));
  for (const std::string& path : files_in(state + "/keys")) {
    if (path.ends_with(".key")) checks.push_back(private_check("key file", path, "0600"));
  }
  checks.push_back(issuer_check(state));
  checks.push_back(store_check(state));
  const Result<authority::Tools> tools = broker::tools_list(state);
  checks.push_back(tools.ok() ? Check{.name = "tools.d",
                                      .health = Health::ok,
                                      .detail = std::to_string(tools->size()) + " tools",
                                      .fix = ""}
                              : Check{.name = "tools.d",
                                      .health = Health::fail,
                                      .detail = to_line(tools.error()),
                                      .fix = "mend the file named"});
  if (tools.ok()) checks.push_back(clear_secrets_check(*tools));
  return checks;
}

// Secrets and opened keys are locked where they lie; where that is forbidden they may be swapped.
Check locked_memory_check() {
  const std::size_t size = limits::kCellSecretBytes;
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const bool locked = at != MAP_FAILED && ::mlock(at, size) == 0;
  if (at != MAP_FAILED) ::munmap(at, size);
  if (locked)
    return {.name = "locked memory",
            .health = Health::ok,
            .detail = std::to_string(size / 1024) + " KiB for secrets and keys",
            .fix = ""};
  return {.name = "locked memory",
          .health = Health::warn,
          .detail = "the system lets this user lock too little: secrets and keys may be swapped",
          .fix =
              "raise 'ulimit -l' (LimitMEMLOCK= of a service) to 8192, or have no swap but an "
              "encrypted one"};
}

Check boot_clock_check() {
  const Status own = check_boot_clock();
  if (own.ok())
    return {.name = "boot clock",
            .health = Health::ok,
            .detail = "no time namespace shifts it",
            .fix = ""};
  return {.name = "boot clock",
          .health = Health::fail,
          .detail = to_line(own.error()),
          .fix = describe(own.code()).fix};
}

std::string health_word(Health health) {
  switch (health) {
    case Health::ok: return "OK";
    case Health::warn: return "WARN";
    case Health::fail: return "FAIL";
  }
  return "FAIL";
}

std::string health_shown(Health health) {
  switch (health) {
    case Health::ok: return coloured("OK", kGreen) + "   ";
    case Health::warn: return coloured("WARN", kYellow) + " ";
    case Health::fail: break;
  }
  return coloured("FAIL", kRed) + " ";
}

capsules::Array check_values(const std::vector<Check>& checks) {
  capsules::Array values;
  for (const Check& check : checks)
    values.push_back(capsules::Object{{"name", text_value(check.name)},
                                      {"health", health_word(check.health)},
                                      {"detail", text_value(check.detail)},
                                      {"fix", text_value(check.fix)}});
  return values;
}

void say_speed(const sandbox::ProbeReport& report, Output& out) {
  char milliseconds[32];
  std::snprintf(milliseconds, sizeof(milliseconds), "%.2f", report.spawn_ms);
  out.line(
      "tier " + (report.tier == 0 ? "none" : "T" + std::to_string(report.tier)) +
      (report.next_blocker.empty() ? "" : "; the next needs: " + escape_text(report.next_blocker)));
  out.line("one sandboxed /bin/true: " + std::string(milliseconds) + " ms");
  out.set("tier", std::int64_t{report.tier});
  out.set("next_blocker", text_value(report.next_blocker));
  out.set("spawn_ms", capsules::Number{milliseconds});
}

Status doctor(const std::string& state, Output& out) {
  sandbox::ProbeReport report;
  const Result<std::string> spawnd = broker::sibling_program("taper-spawnd");
  if (spawnd.ok()) {
    report = sandbox::probe(*spawnd);
  } else {
    report.checks.push_back({.name = "taper-spawnd",
                             .health = Health::fail,
                             .detail = to_line(spawnd.error()),
                             .fix = ""});
  }
  const auto sandbox_checks = static_cast<std::ptrdiff_t>(report.checks.size());
  report.checks.push_back(boot_clock_check());
  report.checks.push_back(locked_memory_check());
  if (!state.empty()) {
    TAPER_TRY(std::vector<Check> more, state_checks(state));
    report.checks.insert(report.checks.end(), more.begin(), more.end());
  }
  const Check* failed = nullptr;
  for (const Check& check : report.checks) {
    out.line(health_shown(check.health) + escape_text(check.name) + ": " +
             escape_text(check.detail));
    if (check.health != Health::ok && !check.fix.empty())
      out.line("     fix: " + escape_text(check.fix));
    if (check.health == Health::fail && failed == nullptr) failed = &check;
  }
  say_speed(report, out);
  out.set("checks", check_values(report.checks));
  if (failed == nullptr) return success();
  // The first checks are the sandbox's own; what fails after them is this host or this state.
  const bool layer = failed - report.checks.data() < sandbox_checks;
  return Error(
      layer ? Code::sandbox_layer : Code::host_unfit,
      {.field = failed->name, .expected = "OK", .got = failed->detail, .fix = failed->fix});
}

Status errors(Output& out) {
  capsules::Array list;
  for (const CodeInfo& info : all_codes()) {
    const auto code = static_cast<Code>(info.number);
    if (code == Code::unset || code == Code::ok) continue;
    std::string line = "E" + std::to_string(info.number) + "  exit " +
                       std::to_string(exit_code(code)) + "  " + info.name + ": " + info.text;
    if (*info.fix != '\0') line += std::string("; fix: ") + info.fix;
    out.line(line);
    list.push_back(capsules::Object{{"number", std::int64_t{info.number}},
                                    {"name", info.name},
                                    {"exit", std::int64_t{exit_code(code)}},
                                    {"question", info.question},
                                    {"text", info.text},
                                    {"fix", info.fix}});
  }
  out.set("errors", std::move(list));
  return success();
}

}  // namespace

void add_doctor_verbs(Command& command) {
  auto state = std::make_shared<std::string>();
  CLI::App* verb = command.verb(
      &command.app, "doctor", "Find out by doing whether this host can run tools safely",
      "taper doctor --state ./state", [&command, state] { return doctor(*state, command.out); });
  verb->add_option("--state", *state, "Also check this node's state, keys and tools");
  command.verb(&command.app, "errors", "List every error number, its exit code and its fix",
               "taper errors", [&command] { return errors(command.out); });
}

}  // namespace taper::tools
