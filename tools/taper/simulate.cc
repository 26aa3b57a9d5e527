#include <map>
#include <memory>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/answers/simulation.h"
#include "tools/taper/log_source.h"
#include "tools/taper/mapped_file.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

using capsules::Value;

constexpr std::string_view kLogMagic = "TPA";
constexpr std::size_t kLineBytesMax = limits::kArgumentBytesMax + 64 * 1024;

struct Options {
  std::string capsule, against, root, tools, expect;
};

// One call as it is judged, and what to call it.
struct Asked {
  std::string where;     // "record 12", "line 3"
  std::string task;      // recorded; empty in a list of calls
  std::string recorded;  // the verdict then; empty in a list of calls
  std::string step;
  SimulatedCall call;
};

class Report {
 public:
  explicit Report(Output& out) : out_(out) {}

  void add(const Asked& asked, const Judgement& judgement) {
    ++(judgement.judged == Judged::allow  ? allowed_
       : judgement.judged == Judged::deny ? denied_
                                          : unknown_);
    const std::string judged(word(judgement.judged));
    // What is not known here may well be as it was.
    const bool differs =
        !asked.recorded.empty() && asked.recorded != judged && judgement.judged != Judged::unknown;
    differs_ += differs ? 1 : 0;
    out_.line(shown(judgement.judged) + "  " + asked.where + "  " +
              (asked.step.empty() ? "" : escape_text(asked.step) + "  ") +
              escape_text(asked.call.tool) + why(judgement) +
              (differs ? "  (was: " + escape_text(asked.recorded) + ")" : ""));
    if (!out_.json) return;
    const int number = judgement.code == Code::ok ? 0 : describe(judgement.code).number;
    calls_.push_back(
        capsules::Object{{"where", asked.where},
                         {"task", text_value(asked.task)},
                         {"step", text_value(asked.step)},
                         {"tool", text_value(asked.call.tool)},
                         {"verdict", judged},
                         {"recorded", asked.recorded.empty() ? Value() : Value(asked.recorded)},
                         {"grant", text_value(judgement.grant)},
                         {"question", text_value(judgement.question)},
                         {"why", text_value(judgement.why)},
                         {"number", std::int64_t{number}}});
  }

  void finish() {
    out_.line(std::to_string(allowed_) + " allowed, " + std::to_string(denied_) + " denied, " +
              std::to_string(unknown_) + " unknown" +
              (differs_ == 0 ? "" : "; " + std::to_string(differs_) + " not as recorded"));
    out_.line(
        "supposed: a fresh task in its window, its holder's proof, fresh news, these tools, no "
        "policy of the node's own, no idle time, no operator, calls one after the other");
    out_.set("calls", std::move(calls_));
    out_.set("summary", capsules::Object{{"allow", allowed_},
                                         {"deny", denied_},
                                         {"unknown", unknown_},
                                         {"not_as_recorded", differs_}});
  }

  // A log without calls is no proof.
  bool all_allowed() const { return denied_ + unknown_ == 0 && allowed_ > 0; }
  std::string counts() const {
    return std::to_string(allowed_) + " allowed, " + std::to_string(denied_) + " denied, " +
           std::to_string(unknown_) + " unknown";
  }

 private:
  static std::string shown(Judged judged) {
    switch (judged) {
      case Judged::allow: return coloured("ALLOW", kGreen) + "  ";
      case Judged::deny: return coloured("DENY", kRed) + "   ";
      case Judged::unknown: break;
    }
    return coloured("UNKNOWN", kYellow);
  }
  static std::string why(const Judgement& judgement) {
    if (judgement.judged == Judged::allow) return "  by grant " + escape_text(judgement.grant);
    std::string out = "  " + escape_text(judgement.question);
    if (judgement.code != Code::ok) {
      const CodeInfo& info = describe(judgement.code);
      out = "  E" + std::to_string(info.number) + " " + info.name;
    }
    return out + ": " + escape_text(judgement.why);
  }

  Output& out_;
  capsules::Array calls_;
  std::int64_t allowed_ = 0, denied_ = 0, unknown_ = 0, differs_ = 0;
};

std::optional<std::int64_t> whole(const Value& body, std::string_view name) {
  const Value* found = body.find(name);
  if (found == nullptr || found->integer() == nullptr) return std::nullopt;
  return *found->integer();
}

std::optional<std::uint64_t> counted(const Value& body, std::string_view name) {
  const std::optional<std::int64_t> number = whole(body, name);
  if (!number || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

std::optional<Now> boot_clock(const Value& body) {
  const std::optional<BootId> boot = BootId::from_hex(member(body, "boot"));
  const std::optional<std::int64_t> boot_ms = whole(body, "boot_ms");
  if (!boot || !boot_ms) return std::nullopt;
  return Now{.boot_ms = *boot_ms, .wall_s = 0, .boot_id = *boot};
}

// Only what is whole and what was hashed then is believed to be what was asked for.
std::optional<std::string> recorded_arguments(const Value& body) {
  const Value* arguments = body.find("arguments");
  if (arguments == nullptr || body.find("arguments_except") != nullptr) return std::nullopt;
  std::string text = capsules::write_canonical(*arguments);
  if (crypto::hash(as_bytes(text)).hex() != member(body, "arguments_digest")) return std::nullopt;
  return text;
}

std::optional<capsules::Verb> verb_of(std::string_view name) {
  if (name == "call" || name == "create") return capsules::Verb::call;
  if (name == "retry") return capsules::Verb::retry;
  return std::nullopt;
}

// The recorded tasks, each simulated as one of the capsule.
class LogRun {
 public:
  LogRun(const capsules::UntrustedCapsule& capsule, const capsules::KnownTools& tools,
         Report& report)
      : capsule_(capsule), tools_(tools), report_(report) {}

  void take(const store::LogRecord& record) {
    const Value body = body_of(record);
    const std::string task(member(body, "task"));
    if (task.empty()) return;
    if (record.type_name == "activation") {
      const std::optional<Now> at = boot_clock(body);
      if (at && member(body, "verb") == "activate") run_of(task).simulation.begin(*at);
    } else if (record.type_name == "decision") {
      decide(record.number, task, body);
    } else if (record.type_name == "outcome") {
      settle(task, body);
    } else if (record.type_name == "terminal") {
      runs_.erase(task);
    }
  }

 private:
  struct Run {
    Simulation simulation;
    std::size_t judged = 0;
    std::map<std::string, std::size_t, std::less<>> calls = {};  // by decision
  };

  Run& run_of(const std::string& task) {
    return runs_.try_emplace(task, Run{Simulation(capsule_, tools_)}).first->second;
  }

  void decide(std::uint64_t number, const std::string& task, const Value& body) {
    const std::optional<capsules::Verb> verb = verb_of(member(body, "verb"));
    if (!verb) return;
    Asked asked{.where = "record " + std::to_string(number),
                .task = task,
                .recorded = std::string(member(body, "verdict")),
                .step = std::string(member(body, "step")),
                .call = {.tool = std::string(member(body, "tool")),
                         .verb = *verb,
                         .arguments = recorded_arguments(body),
                         .at = boot_clock(body)}};
    // What was answered is not in the log, so the second half of a call is not known.
    if (body.find("input_digest") != nullptr) asked.call.arguments.reset();
    Run& run = run_of(task);
    report_.add(asked, run.simulation.judge(asked.call));
    run.calls.insert_or_assign(std::string(member(body, "decision")), run.judged++);
  }

  void settle(const std::string& task, const Value& body) {
    const auto run = runs_.find(task);
    if (run == runs_.end()) return;
    const auto call = run->second.calls.find(member(body, "decision"));
    if (call == run->second.calls.end()) return;
    const std::int64_t number = whole(body, "number").value_or(0);
    const bool never_ran =
        member(body, "outcome") == authority::call_state_name(authority::CallState::failed) &&
        authority::never_ran(authority::CallState::failed, static_cast<Code>(number));
    run->second.simulation.settle(call->second, {.done = member(body, "outcome") == "done",
                                                 .never_ran = never_ran,
                                                 .result_bytes = counted(body, "result_bytes"),
                                                 .cpu_ms = counted(body, "cpu_ms")});
    run->second.calls.erase(call);
  }

  const capsules::UntrustedCapsule& capsule_;
  const capsules::KnownTools& tools_;
  Report& report_;
  std::map<std::string, Run> runs_;
};

Error line_wrong(std::size_t line, std::string expected) {
  return Error(Code::calls_malformed,
               {"line " + std::to_string(line), std::move(expected), "", ""});
}

struct Line {
  SimulatedCall call;
  std::optional<CallOutcome> outcome;
};

// {"tool", "args", and of its end where it is told: "outcome", "result_bytes", "cpu_ms"}
Result<Line> line_of(std::size_t number, std::string_view text) {
  const Result<Value> parsed = capsules::parse_value(as_bytes(text), kLineBytesMax);
  if (!parsed.ok()) return line_wrong(number, "one JSON value: " + to_line(parsed.error()));
  if (parsed->object() == nullptr) return line_wrong(number, "a JSON object");
  Line line;
  for (const auto& [name, value] : *parsed->object()) {
    const bool count = name == "result_bytes" || name == "cpu_ms";
    const bool known = name == "tool" || name == "args" || name == "outcome" || count;
    if (!known) return line_wrong(number, "tool, args, outcome, result_bytes and cpu_ms alone");
    if (count && !counted(*parsed, name)) return line_wrong(number, name + " of 0 or more");
  }
  line.call.tool = member(*parsed, "tool");
  if (line.call.tool.empty()) return line_wrong(number, "the tool's name as \"tool\"");
  const Value* args = parsed->find("args");
  if (args != nullptr && args->object() == nullptr) return line_wrong(number, "args as an object");
  line.call.arguments = args == nullptr ? "{}" : capsules::write_canonical(*args);
  const std::string_view outcome = member(*parsed, "outcome");
  if (parsed->find("outcome") == nullptr) return line;
  if (outcome != "done" && outcome != "failed")
    return line_wrong(number, "outcome as \"done\" or \"failed\"");
  line.outcome = CallOutcome{.done = outcome == "done",
                             .result_bytes = counted(*parsed, "result_bytes"),
                             .cpu_ms = counted(*parsed, "cpu_ms")};
  return line;
}

Status run_calls(std::string_view text, Simulation simulation, Report& report) {
  std::size_t judged = 0;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    TAPER_TRY(const Line read, line_of(number, line));
    const Asked asked{.where = "line " + std::to_string(number),
                      .task = {},
                      .recorded = {},
                      .step = {},
                      .call = read.call};
    report.add(asked, simulation.judge(read.call));
    if (read.outcome) simulation.settle(judged, *read.outcome);
    ++judged;
  }
  return success();
}

Status simulate(const Options& options, Output& out) {
  if (!options.expect.empty() && options.expect != "allow")
    return usage_error("--expect", "allow", options.expect);
  TAPER_TRY(const capsules::KnownTools tools, known_tools(options.tools));
  TAPER_TRY(const Bytes file, read_capsule(options.capsule));
  TAPER_TRY(const capsules::UntrustedCapsule capsule, read_chain(file, options.root));
  TAPER_TRY(const MappedFile against, MappedFile::open(options.against, limits::kLogFileBytesMax));
  out.line(options.root.empty()
               ? "UNTRUSTED: no trust root was given, so nobody vouches for the capsule"
               : "VERIFIED against the trust root");
  out.set("trusted", !options.root.empty());
  Report report(out);
  const std::string_view text = as_text(against.bytes());
  if (text.starts_with(kLogMagic)) {
    LogRun run(capsule, tools, report);
    TAPER_CHECK(store::read_log(against.bytes(),
                                [&run](const store::LogRecord& record) { run.take(record); }));
  } else {
    TAPER_CHECK(run_calls(text, Simulation(capsule, tools), report));
  }
  report.finish();
  if (options.expect.empty() || report.all_allowed()) return success();
  return Error(Code::not_all_allowed,
               {.field = "", .expected = "every call allowed", .got = report.counts(), .fix = ""});
}

}  // namespace

void add_simulate_verb(Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = command.verb(
      &command.app, "simulate",
      "Say which calls of a log or a list a capsule would allow; what is not known is no allow",
      "taper simulate task.capsule --root root.tpr --against log.tpa --tools tools.json",
      [&command, options] { return simulate(*options, command.out); });
  verb->add_option("FILE", options->capsule, "The capsule, binary or armoured")->required();
  verb->add_option("--against", options->against,
                   "An exported log, or calls: a JSON object {\"tool\", \"args\"} a line")
      ->required();
  verb->add_option("--root", options->root, "Verify the capsule against this trust root first");
  verb->add_option("--tools", options->tools,
                   "The node's tools, as 'taper tools list --json' printed them");
  verb->add_option("--expect", options->expect,
                   "allow: fail with exit code 3 unless every call would be allowed");
}

}  // namespace taper::tools
