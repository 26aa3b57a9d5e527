#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tools/taper/command.h"
#include "tools/taper/demo_host.h"
#include "tools/taper/demo_texts.h"

namespace taper::tools {
namespace {

constexpr unsigned kFileMode = 0644;
constexpr unsigned kProgramMode = 0755;
constexpr int kLookMs = 25;
constexpr int kHostileProcessesLeast = 20;
constexpr int kGoneMs = 2000;

struct Options {
  bool keep = false;
  bool entered = false;  // the network namespace was made
  std::string uncut;     // why it was not
};

struct Proof {
  std::string what;
  bool held = false;
};

class Demo {
 public:
  Demo(const Options& options, Output& out) : options_(options), out_(out) {}
  Status play();

 private:
  Status prepare();
  Status sign_and_run();
  Status refuse();
  Status outlive();
  Status check_log();
  Status close();

  void title(const std::string& text) const { out_.line("\n" + text); }
  void proved(const std::string& what, bool held) { proofs_.push_back({what, held}); }
  // Runs `taper` with these words, shows them, and returns how it ended.
  Result<ChildEnd> taper(std::vector<std::string> words);
  // The same, which must exit with 0.
  Status taper_ok(std::vector<std::string> words);
  Status write(const std::string& path, const std::string& text) const {
    return create_file(path, as_bytes(text), kFileMode);
  }
  Status sign(const std::string& name);
  // The path under which a program of the system can be a tool here.
  Result<std::string> program(const std::string& path) const;

  const Options& options_;
  Output& out_;
  std::string directory_, marker_, denied_decision_, denied_line_;
  std::vector<Proof> proofs_;
};

std::string quoted(const std::string& word) {
  const bool plain = word.find_first_of(" '\"{}$") == std::string::npos;
  return plain ? word : "'" + word + "'";
}

// The last line that is not empty.
std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

Result<ChildEnd> Demo::taper(std::vector<std::string> words) {
  std::string shown = "$ taper";
  for (const std::string& word : words) shown += " " + quoted(word);
  out_.line(shown);
  return run_self(words);
}

Status Demo::taper_ok(std::vector<std::string> words) {
  TAPER_TRY(const ChildEnd end, taper(std::move(words)));
  if (end.exit_code == 0) return success();
  return Error(Code::internal, {.field = "demo",
                                .expected = "exit 0",
                                .got = last_line(end.err),
                                .fix = "see 'taper doctor' for what this host lacks"});
}

Status Demo::sign(const std::string& name) {
  return taper_ok({"capsule", "sign", name + ".toml", "--key", "centre/issuer.key", "--root",
                   "centre/root.tpr", "--node", "edge/state/node.pub", "--holder",
                   "agent/agent.pub", "--tools", "centre/tools.json", "--out", name + ".capsule"});
}

// A tool's program must be root's or ours. In an ordinary user's own namespace root's files belong
// to nobody, so a copy stands in.
Result<std::string> Demo::program(const std::string& path) const {
  if (!options_.entered || ::geteuid() == 0) return path;
  TAPER_TRY(const Bytes bytes, read_file(path, limits::kProgramBytesMax));
  const std::string copy = directory_ + "/edge/" + path.substr(path.rfind('/') + 1);
  TAPER_CHECK(create_file(copy, bytes, kProgramMode));
  return copy;
}

// Throw-away keys, a node, a tool or two, a log of pumps.
Status Demo::prepare() {
  title("1. A centre, a node, an agent: throw-away keys in " + directory_);
  for (const char* name : {"centre", "agent", "edge", "logs", "reports"}) {
    std::error_code failed;
    if (!std::filesystem::create_directory(name, failed))
      return os_error(std::string("mkdir ") + name, failed.value());
  }
  for (const auto& [role, file] : {std::pair<const char*, const char*>{"root", "centre/root.key"},
                                   {"issuer", "centre/issuer.key"},
                                   {"holder", "agent/agent.key"}}) {
    TAPER_CHECK(taper_ok({"key", "new", "--role", role, "--out", file, "--no-passphrase"}));
  }
  TAPER_CHECK(taper_ok({"root", "init", "--key", "centre/root.key", "--issuer", "centre/issuer.pub",
                        "--out", "centre/root.tpr"}));
  TAPER_CHECK(taper_ok({"node", "init", "--state", "edge/state", "--name", "edge-7"}));
  TAPER_CHECK(taper_ok({"import", "--state", "edge/state", "centre/root.tpr"}));
  TAPER_TRY(const std::string grep, program("/usr/bin/grep"));
  TAPER_TRY(const std::string bash, program("/usr/bin/bash"));
  TAPER_CHECK(write("edge/state/tools.d/grep.toml", demo::grep_tool(grep)));
  TAPER_CHECK(write("edge/state/tools.d/hostile.toml", demo::hostile_tool(bash, marker_)));
  TAPER_CHECK(write("logs/pump-07.log", std::string(demo::kPumpLog)));
  TAPER_TRY(const ChildEnd tools, taper({"tools", "list", "--state", "edge/state", "--json"}));
  TAPER_CHECK(write("centre/tools.json", tools.out));
  TAPER_TRY(const capsules::Value list,
            capsules::parse_value(as_bytes(tools.out), limits::kArgumentBytesMax));
  TAPER_CHECK(write("triage.toml", demo::triage_source(directory_, demo::digest_of(list, "grep"))));
  return write("hostile.toml", demo::hostile_source(demo::digest_of(list, "hostile")));
}

Status Demo::sign_and_run() {
  title("2. The centre signs; the node verifies with local keys alone and runs the plan");
  TAPER_CHECK(sign("triage"));
  TAPER_TRY(const ChildEnd run, taper({"run", "triage.capsule", "--key", "agent/agent.key",
                                       "--state", "edge/state", "--json"}));
  TAPER_TRY(const capsules::Value report,
            capsules::parse_value(as_bytes(run.out), limits::kResultBytesMax));
  int allowed = 0;
  const capsules::Value* steps = report.find("steps");
  const bool told = steps != nullptr && steps->array() != nullptr;
  for (const capsules::Value& step : told ? *steps->array() : capsules::Array{}) {
    const demo::StepWords words = demo::step_words(step);
    out_.line(words.line);
    if (words.allowed_and_done) ++allowed;
    if (words.denied) denied_decision_ = words.decision, denied_line_ = words.reason;
  }
  if (steps == nullptr) out_.line(run.err);
  const Result<Bytes> written = read_file("reports/today.md", limits::kResultBytesMax);
  const bool report_right = written.ok() && as_text(*written) == std::string(demo::kReport);
  if (report_right) out_.line("reports/today.md:\n" + std::string(demo::kReport));
  proved("a signed capsule was verified with local keys and run", told && allowed >= 1);
  proved("ALLOW: a real grep ran in the sandbox, its findings stand in the report", report_right);
  const bool refused = denied_line_.starts_with("E504") && run.exit_code == 3;
  proved("DENY: reading outside the granted tree was refused, exit 3", refused);
  return success();
}

Status Demo::refuse() {
  title("3. Why was it refused? And what of a second use?");
  TAPER_TRY(const ChildEnd why, taper({"why", denied_decision_, "--state", "edge/state"}));
  out_.line(why.out);
  TAPER_TRY(const ChildEnd again,
            taper({"run", "triage.capsule", "--key", "agent/agent.key", "--state", "edge/state"}));
  out_.line(last_line(again.err));
  proved("the refusal explains itself, question by question",
         why.exit_code == 0 && why.out.find("arguments") != std::string::npos);
  proved("a second activation of the same capsule was refused",
         again.exit_code == 3 && again.err.find("E408") != std::string::npos);
  return success();
}

// A tool that forks daemons which fork again and ignore TERM, under a lease of a few seconds.
Status Demo::outlive() {
  title("4. A hostile tool: daemons that fork again, ignore TERM and mean to stay");
  TAPER_CHECK(sign("hostile"));
  out_.line("$ taper run hostile.capsule --key agent/agent.key --state edge/state --json");
  TAPER_TRY(const Child child, start_self({"run", "hostile.capsule", "--key", "agent/agent.key",
                                           "--state", "edge/state", "--json"}));
  int most = 0;
  while (still_runs(child)) {
    most = std::max(most, count_processes(marker_));
    sleep_ms(kLookMs);
  }
  TAPER_TRY(const ChildEnd end, finish_child(child));
  int left = count_processes(marker_);
  for (int waited = 0; left > 0 && waited < kGoneMs; waited += kLookMs) {
    sleep_ms(kLookMs);
    left = count_processes(marker_);
  }
  out_.line("at most " + std::to_string(most) + " of its processes lived; the lease of 3s ended; " +
            std::to_string(left) + " are left");
  out_.line(last_line(end.err));
  const bool lease = end.exit_code == 6 && end.err.find("E601") != std::string::npos;
  proved("the lease ended and the task with it, by itself", lease);
  proved("every process of the hostile tool is dead (" + std::to_string(most) + " lived)",
         most >= kHostileProcessesLeast && left == 0);
  return success();
}

Status Demo::check_log() {
  title("5. The log: carried to the centre and verified there");
  TAPER_CHECK(taper_ok({"audit", "export", "--state", "edge/state", "--out", "log.tpa"}));
  TAPER_TRY(const ChildEnd whole,
            taper({"audit", "verify", "log.tpa", "--node", "edge/state/node.pub"}));
  out_.line(whole.out);
  TAPER_TRY(Bytes log, read_file("log.tpa", limits::kResultBytesMax));
  log[log.size() / 2] ^= 1U;
  TAPER_CHECK(create_file("changed.tpa", log, kFileMode));
  TAPER_TRY(const ChildEnd changed,
            taper({"audit", "verify", "changed.tpa", "--node", "edge/state/node.pub"}));
  out_.line(last_line(changed.err));
  proved("the exported log verifies", whole.exit_code == 0);
  proved("one changed bit in the middle of it was caught, exit 4", changed.exit_code == 4);
  return success();
}

Status Demo::close() {
  title("What was shown");
  const std::string up = interfaces_up();
  if (options_.entered) {
    proved("all of it with no network interface up (a network namespace with nothing in it)",
           up.empty());
  } else {
    out_.line("note the network was not cut here (" + escape_text(options_.uncut) +
              "); nothing above used it");
  }
  capsules::Array list;
  std::string missed;
  for (const Proof& proof : proofs_) {
    out_.line((proof.held ? coloured("ok  ", kGreen) : coloured("fail", kRed)) + " " + proof.what);
    list.push_back(capsules::Object{{"what", text_value(proof.what)}, {"held", proof.held}});
    if (!proof.held && missed.empty()) missed = proof.what;
  }
  out_.set("proofs", std::move(list));
  out_.set("network_cut", options_.entered && up.empty());
  if (missed.empty()) return success();
  return Error(Code::internal, {.field = "demo",
                                .expected = missed,
                                .got = "it was not so",
                                .fix = "see 'taper doctor' for what this host lacks"});
}

Status Demo::play() {
  const char* base = ::getenv("TMPDIR");
  directory_ = std::string(base != nullptr ? base : "/tmp") + "/taper-demo-XXXXXX";
  if (::mkdtemp(directory_.data()) == nullptr) return os_error("mkdtemp " + directory_, errno);
  std::error_code failed;
  directory_ = std::filesystem::canonical(directory_, failed).string();
  if (failed || ::chdir(directory_.c_str()) != 0) return os_error("chdir " + directory_, errno);
  marker_ = "taper-demo-" + crypto::random_id<DecisionId>().hex();
  Status played = prepare();
  if (played.ok()) played = sign_and_run();
  if (played.ok()) played = refuse();
  if (played.ok()) played = outlive();
  if (played.ok()) played = check_log();
  if (played.ok()) played = close();
  if (options_.keep) {
    out_.line("kept: " + escape_text(directory_));
    out_.set("directory", text_value(directory_));
  } else if (::chdir("/") == 0) {
    std::filesystem::remove_all(directory_, failed);
  }
  return played;
}

Status demo_verb(Options& options, Output& out) {
  if (!options.entered) {
    std::vector<std::string> again{"demo", "--network-is-empty"};
    if (options.keep) again.emplace_back("--keep");
    if (out.json) again.emplace_back("--json");
    const Error failed = enter_empty_network(again);
    options.uncut = failed.detail().field + ": " + failed.detail().got;
  }
  return Demo(options, out).play();
}

}  // namespace

void add_demo_verb(Command& command) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = command.verb(
      &command.app, "demo",
      "Show everything in seconds: throw-away keys, one ALLOW, one DENY, a hostile tool, a "
      "changed log; no server, no network, no root",
      "taper demo --keep     # leaves its directory for looking around",
      [&command, options] { return demo_verb(*options, command.out); });
  verb->add_flag("--keep", options->keep, "Keep the directory with keys, capsules and log");
  verb->add_flag("--network-is-empty", options->entered)->group("");
}

}  // namespace taper::tools
