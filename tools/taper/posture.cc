// What protects a node now, and what does not: read from its state and this host, changed nowhere.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "capsules/builtins.h"
#include "crypto/key_file.h"
#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/sandbox/probe.h"
#include "tools/taper/answers/holdings.h"
#include "tools/taper/clear_secrets.h"
#include "tools/taper/command.h"
#include "tools/taper/task_show.h"
#include "tools/taper/time_text.h"

namespace taper::tools {
namespace {

using capsules::Array;
using capsules::Object;
using capsules::Value;

constexpr std::int64_t kMsPerS = 1000;
constexpr mode_t kOthersBits = 077;
constexpr mode_t kModeBits = 07777;

Value maybe_time(const std::optional<std::int64_t>& at_s) {
  return at_s ? Value(format_utc_s(*at_s)) : Value();
}

// A word in yellow behind what an operator should look at.
std::string marked(const std::string& words, bool good) {
  return good ? words : words + "  " + coloured("LOOK", kYellow);
}

std::string age_words(std::int64_t age_s) {
  return age_s < 0 ? "issued " + format_duration_ms(-age_s * kMsPerS) + " from now"
                   : format_duration_ms(age_s * kMsPerS) + " old";
}

void say_node(const broker::Posture& posture, Output& out) {
  const authority::NodeRecord& node = posture.node;
  const std::string key = crypto::public_key_text(node.sign);
  out.line("node        " + escape_text(node.name) + " " + key);
  out.line("incarnation " + node.incarnation.hex() +
           "; capsules for any other are refused, and 'taper node renew' makes the next");
  out.line("owner       " + std::string(posture.owned ? "a daemon or a run answers on control.sock"
                                                      : "nobody: nothing runs now"));
  out.set("node", Object{{"name", text_value(node.name)},
                         {"key", key},
                         {"incarnation", node.incarnation.hex()},
                         {"owned", posture.owned}});
}

void say_root(const broker::Posture& posture, std::int64_t known_s, Output& out) {
  if (posture.store) {
    out.line("root        unknown: the store does not open");
    out.set("root", Value());
    return;
  }
  if (!posture.root) {
    out.line(marked("root        none: this node obeys nobody", false));
    out.set("root", Value());
    return;
  }
  const capsules::TrustRootData& root = posture.root->data();
  const bool expired = root.expires_s && known_s >= *root.expires_s;
  out.line(marked("root        version " + std::to_string(root.version) + ", fleet " +
                      posture.root->fleet().hex() + ", " + std::to_string(root.issuers.size()) +
                      " issuers, " +
                      (root.expires_s ? "expires " + format_utc_s(*root.expires_s)
                                      : std::string("does not expire")),
                  !expired));
  out.set("root", Object{{"version", static_cast<std::int64_t>(root.version)},
                         {"fleet", posture.root->fleet().hex()},
                         {"issuers", static_cast<std::int64_t>(root.issuers.size())},
                         {"expires", maybe_time(root.expires_s)},
                         {"expired", expired}});
}

// The live task whose capsule bears old news the least; null: none is live.
const authority::TaskView* first_stale(const broker::Posture& posture) {
  const authority::TaskView* first = nullptr;
  for (const authority::TaskView& task : posture.tasks) {
    if (task.state != authority::TaskState::active || !task.said) continue;
    const std::int64_t limit = task.said->root.max_revocation_age_s;
    if (first == nullptr || limit < first->said->root.max_revocation_age_s) first = &task;
  }
  return first;
}

void say_freshness(const broker::Posture& posture, std::int64_t known_s, Output& out) {
  if (!posture.root) return;
  const std::int64_t issued_s = posture.root->data().issued_at_s;
  const std::int64_t age_s = known_s - issued_s;
  const authority::TaskView* first = first_stale(posture);
  std::optional<std::int64_t> limit_s;
  std::string ends = "; each capsule says how old it may be, and no task is live";
  if (first != nullptr) {
    limit_s = first->said->root.max_revocation_age_s;
    ends = "; when it is " + format_duration_ms(*limit_s * kMsPerS) + " old, task " +
           first->task.hex() + " ends";
  }
  out.line(marked("freshness   newest news on revocations: " + format_utc_s(issued_s) + ", " +
                      age_words(age_s) + ends,
                  !limit_s || age_s < *limit_s));
  out.set("freshness", Object{{"newest", format_utc_s(issued_s)},
                              {"age_s", age_s},
                              {"limit_s", limit_s ? Value(*limit_s) : Value()},
                              {"first", first != nullptr ? Value(first->task.hex()) : Value()}});
}

void say_time(const Result<authority::TimeReport>& report, Output& out) {
  const Status boot = check_boot_clock();
  if (!report.ok()) {
    out.line(marked("time        unknown: " + escape_text(to_line(report.error())), false));
  } else {
    const authority::Estimate& known = report->estimate;
    std::string state(authority::time_standing_name(known.standing));
    for (char& c : state) c = static_cast<char>(c - 'a' + 'A');
    out.line(marked("time        " + state + ": " + authority::told_time(known.s, known.source) +
                        "; at least " + told_bound(*report) + "; the wall clock shows " +
                        format_utc_s(report->wall_s),
                    state != "BEHIND"));
  }
  out.line(marked("boot clock  " + (boot.ok() ? std::string("this host's own: leases count by it")
                                              : escape_text(to_line(boot.error()))),
                  boot.ok()));
  out.set("time", Object{{"known", report.ok() ? time_value(*report) : Value()},
                         {"boot_clock", boot.ok() ? "own" : "shifted"}});
}

void say_store(const broker::Posture& posture, Output& out) {
  if (posture.store) {
    out.line(marked(
        "store       " + coloured("REFUSED", kRed) + " " + escape_text(to_line(*posture.store)),
        false));
    out.set("store", Object{{"opens", false}, {"error", error_value(*posture.store)}});
    return;
  }
  out.line("store       opens, no older than its marker; " + std::to_string(posture.log.size) +
           " log records, log key " + std::to_string(posture.log.epoch) + "; " +
           std::to_string(posture.tasks.size()) + " of " +
           std::to_string(limits::kKeptActivationsMax) + " activations kept");
  const std::string& twin = posture.twin;
  out.line(
      "restore     the database alone put back is refused (E804); the whole directory put "
      "back " +
      (twin.empty()
           ? "is seen only by a witness at the centre ('taper audit witness'): "
             "no twin of its marker here is as new as the state"
           : "too, until this host starts again: the twin of its marker is " + escape_text(twin) +
                 "; after that a witness at the centre sees it ('taper audit "
                 "witness')"));
  out.set("store",
          Object{{"opens", true},
                 {"records", static_cast<std::int64_t>(posture.log.size)},
                 {"log_key", static_cast<std::int64_t>(posture.log.epoch)},
                 {"activations", static_cast<std::int64_t>(posture.tasks.size())},
                 {"activations_max", std::int64_t{limits::kKeptActivationsMax}},
                 {"database_restore", "refused"},
                 {"directory_restore", twin.empty() ? "seen only by a witness outside this host"
                                                    : "refused within one boot"},
                 {"twin", twin.empty() ? Value() : text_value(twin)}});
}

void say_policy(const broker::OwnPolicy& own, Output& out) {
  if (own.waits)
    out.line(
        marked("policy      node.toml says something else than the policy in force, which is told "
               "here: SIGHUP makes the daemon read it",
               false));
  if (own.unread) {
    out.line(marked(
        "policy      cannot be read, so nothing is allowed: " + escape_text(to_line(*own.unread)),
        false));
    out.set("policy",
            Object{{"read", false}, {"waits", own.waits}, {"error", error_value(*own.unread)}});
    return;
  }
  const authority::NodePolicy& policy = own.policy;
  std::string words;
  Array denied;
  for (const std::string& tool : policy.denied_tools) {
    words += (words.empty() ? "" : ", ") + escape_text(tool);
    denied.push_back(text_value(tool));
  }
  out.line(
      "policy      " +
      (policy.hash.is_zero()
           ? std::string("none of this node's own (node.toml): capsules alone say what is allowed")
           : "node.toml denies " + (words.empty() ? "no tool by name" : words) +
                 "; effects up to " + std::string(capsules::word(policy.most_effect)) +
                 ", leases up to " + format_duration_ms(policy.most_ttl_ms)));
  out.set("policy", Object{{"read", true},
                           {"waits", own.waits},
                           {"own", !policy.hash.is_zero()},
                           {"denied_tools", std::move(denied)},
                           {"most_effect", capsules::word(policy.most_effect)},
                           {"most_ttl_ms", policy.most_ttl_ms}});
}

void say_authority(const broker::Posture& posture, const std::string& state, Output& out) {
  Array list;
  const std::vector<Holding> holdings =
      who_can(posture.tasks, own_rules(state, posture.own), std::nullopt);
  for (const Holding& holding : holdings) {
    const authority::TaskView& task = *holding.task;
    const bool refused = holding.standing == "refused";
    const bool stopped = holding.standing == "stopped";
    out.line("authority   " + escape_text(holding.tool) + "  " +
             (refused   ? "refused by the node's own policy: "
              : stopped ? "not now (" + stopped_words(task) + "): "
                        : "") +
             escape_text(task.agent) + " for " + escape_text(task.requester) + " until " +
             format_utc_s(holding.until_s) + ": " + escape_text(task.purpose));
    list.push_back(Object{{"tool", text_value(holding.tool)},
                          {"grant", text_value(holding.grant)},
                          {"task", task.task.hex()},
                          {"agent", text_value(task.agent)},
                          {"requester", text_value(task.requester)},
                          {"purpose", text_value(task.purpose)},
                          {"standing", holding.standing},
                          {"until", format_utc_s(holding.until_s)}});
  }
  if (holdings.empty() && !posture.store) out.line("authority   nobody: no live task");
  out.set("authority", std::move(list));
}

std::vector<std::string> secret_files(const std::string& state) {
  std::vector<std::string> paths{state, state + "/keys", state + "/log.seed"};
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir((state + "/keys").c_str()), ::closedir);
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (name.ends_with(".key")) paths.push_back(state + "/keys/" + name);
  }
  std::sort(paths.begin() + 3, paths.end());
  return paths;
}

void say_keys(const std::string& state, Output& out) {
  Array list;
  for (const std::string& path : secret_files(state)) {
    struct stat found{};
    const bool there = ::lstat(path.c_str(), &found) == 0;
    const bool safe = there && (found.st_mode & kOthersBits) == 0 &&
                      (S_ISDIR(found.st_mode) || found.st_nlink == 1);
    char mode[8];
    std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(found.st_mode & kModeBits));
    out.line(marked("key         " + escape_text(path) +
                        (there ? std::string("  ") + mode + ", uid " + std::to_string(found.st_uid)
                               : std::string("  missing")),
                    safe));
    list.push_back(Object{
        {"path", text_value(path)}, {"mode", there ? Value(mode) : Value()}, {"safe", safe}});
  }
  out.set("keys", std::move(list));
}

void say_secrets(const std::string& state, Output& out) {
  const Result<authority::Tools> tools = broker::tools_list(state);
  if (!tools.ok()) {
    out.line(marked("secrets     tools.d cannot be read: " + escape_text(to_line(tools.error())),
                    false));
    out.set("clear_secrets", Value());
    return;
  }
  Array list;
  for (const ClearSecret& found : clear_secrets(*tools)) {
    out.line(marked("secrets     tool " + escape_text(found.tool) + " has " +
                        escape_text(found.kind) + " in clear in its argv or env",
                    false));
    list.push_back(Object{{"tool", text_value(found.tool)}, {"kind", text_value(found.kind)}});
  }
  if (list.empty()) out.line("secrets     none found in clear in the files of the tools");
  out.set("clear_secrets", std::move(list));
}

void say_sandbox(Output& out) {
  const Result<std::string> spawnd = broker::sibling_program("taper-spawnd");
  const sandbox::ProbeReport report =
      spawnd.ok() ? sandbox::probe(*spawnd) : sandbox::ProbeReport{};
  out.line(marked(
      "sandbox     " +
          (report.tier == 0 ? "none: no tool runs" : "tier T" + std::to_string(report.tier)) +
          (report.next_blocker.empty() ? ""
                                       : "; the next needs: " + escape_text(report.next_blocker)),
      report.tier != 0));
  out.line(
      "offline     no rule needs a network, and no tool of this version has one; each capsule's "
      "own "
      "lease, idle time and news limit hold, and without an anchor of this boot the shorter ones "
      "that it names for 'offline'");
  out.set("sandbox", Object{{"tier", std::int64_t{report.tier}},
                            {"next_blocker", text_value(report.next_blocker)}});
}

constexpr std::string_view kNotCovered[] = {
    "the whole state directory put back from a copy after this host was started again, or where "
    "its marker has no twin: only a witness outside this host sees it",
    "root on this host, a kernel exploit, hardware side channels, physical access",
    "an issuer that signs too much, within its limits in the trust root",
    "a wall clock set forward: it may deny, and never lengthens a lease",
    "news that never came: a revocation counts from its import, and the news limit bounds how long "
    "that may take",
    "what a granted tool does within its grant, and data that an agent carries from one tool to "
    "another outside labels",
    "secrets that stand readable inside granted trees; clear secrets that do not look like one",
};

Status say_posture(const std::string& state, Output& out) {
  const Now now = SystemClock().now();
  TAPER_TRY(const broker::Posture posture, broker::posture(state, now));
  const Result<authority::TimeReport> report = broker::time_report(state);
  // Ends and ages go by the time that the node knows, as its decisions do.
  const std::int64_t known_s = report.ok() ? report->estimate.s : now.wall_s;
  say_node(posture, out);
  say_store(posture, out);
  say_root(posture, known_s, out);
  say_freshness(posture, known_s, out);
  say_time(report, out);
  say_policy(posture.own, out);
  say_authority(posture, state, out);
  say_keys(state, out);
  say_secrets(state, out);
  say_sandbox(out);
  Array uncovered;
  for (const std::string_view words : kNotCovered) {
    out.line("not covered " + std::string(words));
    uncovered.emplace_back(words);
  }
  out.set("not_covered", std::move(uncovered));
  return posture.store ? Status(*posture.store) : success();
}

}  // namespace

void add_posture_verb(Command& command) {
  auto state = std::make_shared<std::string>();
  CLI::App* verb = command.verb(&command.app, "posture",
                                "Say what protects this node now, and what is not covered",
                                "taper posture --state ./state",
                                [&command, state] { return say_posture(*state, command.out); });
  verb->add_option("--state", *state, "The node's state")->required();
}

}  // namespace taper::tools
