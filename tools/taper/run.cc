#include <sys/mman.h>
#include <unistd.h>

#include <csignal>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/embedded.h"
#include "tools/taper/keys.h"
#include "tools/taper/progress.h"
#include "tools/taper/source.h"

namespace taper::tools {
namespace {

struct Run {
  std::string file, key, state;
  std::vector<std::string> inputs;
  bool results = false;
  bool last_words = false;  // of an agent's program, which has nothing else to show
  PassphraseOptions passphrase;
};

Result<std::map<std::string, std::string>> parse_inputs(const std::vector<std::string>& given) {
  std::map<std::string, std::string> inputs;
  for (const std::string& text : given) {
    const std::size_t sign = text.find('=');
    if (sign == std::string::npos || sign == 0) return usage_error("--input", "NAME=VALUE", text);
    const bool fresh = inputs.emplace(text.substr(0, sign), text.substr(sign + 1)).second;
    if (!fresh) return usage_error("--input", "each name once", text.substr(0, sign));
  }
  return inputs;
}

std::string error_name(Code code) {
  const CodeInfo& info = describe(code);
  return "E" + std::to_string(info.number) + " " + info.name;
}

std::string step_lines(const broker::StepReport& step, const Run& options) {
  std::string line;
  if (step.verdict == "allow") line = coloured("ALLOW", kGreen);
  if (step.verdict == "deny") line = coloured("DENY", kRed);
  if (step.verdict == "skipped") line = coloured("SKIPPED", kYellow);
  line += "  " + escape_text(step.id) + "  " + escape_text(step.tool);
  if (!step.outcome.empty()) line += "  " + step.outcome;
  line += '\n';
  if (step.error.code() != Code::ok) {
    line += "       " + to_line(step.error) + '\n';
  } else if (step.code != Code::ok) {
    line += "       " + error_name(step.code) + '\n';
  }
  if (step.verdict == "deny")
    line += "       whole path: taper why " + step.decision.hex() + " --state " +
            escape_text(options.state) + '\n';
  if (options.results && !step.result.empty()) line += "       " + escape_text(step.result) + '\n';
  if ((options.results || options.last_words) && !step.err.empty())
    line += "       stderr: " + step.err + '\n';
  return line;
}

capsules::Value step_value(const broker::StepReport& step, bool with_result, bool with_words) {
  capsules::Object value{
      {"id", text_value(step.id)},
      {"tool", text_value(step.tool)},
      {"decision", step.decision.is_zero() ? "" : step.decision.hex()},
      {"verdict", step.verdict},
      {"number",
       step.code == Code::ok ? std::int64_t{0} : std::int64_t{describe(step.code).number}},
      {"outcome", step.outcome}};
  if (step.error.code() != Code::ok) value.emplace_back("error", error_value(step.error));
  if (with_result && !step.result.empty()) {
    Result<capsules::Value> parsed =
        capsules::parse_value(as_bytes(step.result), limits::kResultBytesMax);
    if (parsed.ok()) value.emplace_back("result", std::move(*parsed));
  }
  if (with_words && !step.err.empty()) value.emplace_back("stderr", step.err);
  return value;
}

// The step that the end is about: the last that was refused or went wrong.
const broker::StepReport* culprit(const broker::RunReport& report) {
  const broker::StepReport* found = nullptr;
  for (const broker::StepReport& step : report.steps) {
    if (step.verdict != "skipped" && step.code != Code::ok) found = &step;
  }
  return found;
}

Status say_end(const broker::RunReport& report, const Run& options, Output& out) {
  const std::string state(authority::task_state_name(report.state));
  const std::string reason(authority::end_reason_name(report.reason));
  capsules::Array steps;
  for (const broker::StepReport& step : report.steps)
    steps.push_back(step_value(step, options.results, options.results || options.last_words));
  out.set("task", report.task.hex());
  out.set("state", state);
  out.set("reason", reason);
  out.set("resumed", report.resumed);
  out.set("joined", report.joined);
  out.set("steps", std::move(steps));
  out.line("task " + report.task.hex() + " " + state + " (" + reason + ")" +
           (report.joined    ? ", joined"
            : report.resumed ? ", resumed"
                             : ""));
  if (report.code == Code::ok) return success();
  ErrorDetail detail{.field = "task " + report.task.hex(),
                     .expected = "",
                     .got = state + " (" + reason + ")",
                     .fix = ""};
  if (const broker::StepReport* step = culprit(report); step != nullptr)
    detail.got = "step " + step->id + ": " + error_name(step->code);
  return Error(report.code, std::move(detail));
}

bool is_agents(const std::string& path) {
  const Result<Bytes> file = read_file(path, limits::kCapsuleBytesMax);
  const auto capsule = file.ok() ? capsules::read_untrusted(*file, {}) : Error(Code::unset);
  return capsule.ok() && capsule->root.entry == capsules::EntryKind::agent;
}

// The path of the capsule's bytes: the file itself, or a memory file when it is armoured.
Result<std::string> binary_path(const std::string& path, Fd& holder) {
  TAPER_TRY(const Bytes file, read_file(path, limits::kArmourBytesMax));
  if (!as_text(file).starts_with("-----BEGIN")) return path;
  TAPER_TRY(const Bytes bytes, capsules::unarmour(kCapsuleLabel, as_text(file)));
  holder.reset(::memfd_create("capsule", MFD_CLOEXEC));
  if (!holder) return os_error("memfd_create", errno);
  TAPER_CHECK(write_all(holder.get(), path, bytes));
  return "/proc/self/fd/" + std::to_string(holder.get());
}

Status run(Run options, Output& out) {
  broker::RunOptions run_options;
  TAPER_TRY(run_options.inputs, parse_inputs(options.inputs));
  Fd armoured;
  TAPER_TRY(run_options.capsule_path, binary_path(options.file, armoured));
  options.last_words = is_agents(run_options.capsule_path);
  TAPER_TRY(const crypto::SigningKey key,
            open_key(options.key, crypto::Role::holder, options.passphrase));
  run_options.state = options.state;
  run_options.holder_key_path = options.key;
  run_options.prove = [&key](ByteSpan statement) {
    return key.sign(crypto::statement::kActivation, statement);
  };
  Progress progress(STDOUT_FILENO);
  if (!out.json)
    run_options.on_step = [&](const broker::StepReport& step) {
      progress.put(step_lines(step, options));
    };
  Result<broker::RunReport> report = broker::run(run_options);
  // The state is no longer ours: from here on a reader may take his time.
  const Status told = progress.finish();
  if (!told.ok()) std::signal(SIGPIPE, SIG_IGN);  // the task's own end decides the exit code
  TAPER_TRY(const broker::RunReport ended, std::move(report));
  TAPER_CHECK(say_end(ended, options, out));
  return told.ok() ? success() : Status(told.error());
}

}  // namespace

void add_run_verb(Command& command) {
  auto options = std::make_shared<Run>();
  CLI::App* verb = command.verb(
      &command.app, "run", "Activate a capsule, run its plan or its agent, end the task",
      "taper run task.capsule --key agent.key --state ./state --input site=plant-7",
      [&command, options] { return run(*options, command.out); });
  verb->add_option("FILE", options->file, "The capsule, binary or armoured")->required();
  verb->add_option("--key", options->key, "The holder's key file")->required();
  verb->add_option("--state", options->state, "The node's state")->required();
  verb->add_option("--input", options->inputs, "NAME=VALUE for an input that the plan names")
      ->allow_extra_args(false);
  verb->add_flag("--results", options->results, "Also print what each step gave back");
  options->passphrase.add_to(verb);
}

}  // namespace taper::tools
