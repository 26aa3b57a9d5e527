#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <new>

#include "crypto/crypto.h"
#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "tools/taper/command.h"

namespace taper::tools {

CLI::App* Command::group(const std::string& name, const std::string& about) {
  CLI::App* sub = app.add_subcommand(name, about);
  sub->require_subcommand(1);
  return sub;
}

CLI::App* Command::verb(CLI::App* parent, const std::string& name, const std::string& about,
                        const std::string& example, std::function<Status()> run) {
  CLI::App* sub = parent->add_subcommand(name, about);
  sub->add_flag("--json", out.json, "Print one JSON document on stdout");
  sub->footer("Example:\n  " + example);
  sub->callback([this, sub, run = std::move(run)] {
    action = [this, sub, run]() -> Status {
      TAPER_CHECK(check_files(*sub));
      return run();
    };
  });
  return sub;
}

void Command::writes(CLI::App* verb, const std::string& option, std::function<FileKind()> kind) {
  written_.push_back({verb->get_option(option), std::move(kind)});
}

Status Command::check_files(const CLI::App& verb) const {
  std::vector<WrittenFile> files;
  std::vector<std::string> inputs;
  for (const CLI::Option* option : verb.get_options()) {
    const auto written = std::ranges::find(written_, option, &Written::option);
    for (const std::string& text : option->results()) {
      if (written != written_.end()) {
        files.push_back({option->get_name(), text, written->kind()});
      } else {
        inputs.push_back(text);
        inputs.push_back(text.substr(text.find('=') + 1));  // NAME=FILE
      }
    }
  }
  return files.empty() ? success() : check_written(files, inputs);
}

Result<std::int64_t> duration_option(const std::string& name, const std::string& text) {
  const std::optional<std::int64_t> ms = parse_duration_ms(text);
  if (ms) return *ms;
  return usage_error(name, "a whole number and a unit, such as 90s, 15m, 72h or 7d", text);
}

Error usage_error(const std::string& field, const std::string& expected, const std::string& got) {
  return Error(Code::usage, {.field = field, .expected = expected, .got = got, .fix = ""});
}

namespace {

// The deepest verb named on the command line, for the hint of a usage error.
std::string verb_path(const CLI::App& app) {
  std::string path = "taper";
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    path += " " + at->get_name();
  }
  return path;
}

// What could not be understood: a word that is no verb comes before the verb that is missing.
std::string complaint(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  const std::vector<std::string> rest = app.remaining(true);
  const bool verb_missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr &&
                            !at->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (!verb_missing || rest.empty()) return error.what();
  const bool option = rest.front().starts_with('-');
  return "'" + rest.front() + (option ? "', which is no option here" : "', which is no verb");
}

bool asks_for_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--") == 0) return false;
    if (std::strcmp(argv[i], "--json") == 0) return true;
  }
  return false;
}

int run(int argc, char** argv) {
  Command command;
  command.app.name("taper");
  command.app.require_subcommand(1);
  command.app.set_version_flag("--version", std::string("taper ") + TAPER_VERSION);
  command.app.footer(
      "Start with 'taper demo', then 'taper VERB --help'. Exit codes: 0 done or allowed, 1 "
      "internal,\n2 usage, 3 denied, stale or exhausted, 4 invalid, forged or corrupt, 5 this host "
      "cannot or\nthe state is locked, 6 the task ended before completing.");
  add_key_verbs(command);
  add_root_verbs(command);
  add_node_verbs(command);
  add_tools_verbs(command);
  add_capsule_verbs(command);
  add_run_verb(command);
  add_serve_verb(command);
  add_connect_verb(command);
  add_task_verbs(command);
  add_audit_verbs(command);
  add_who_can_verb(command);
  add_simulate_verb(command);
  add_posture_verb(command);
  add_time_verbs(command);
  add_doctor_verbs(command);
  add_demo_verb(command);
  add_zsp_verb(command);
  try {
    command.app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      command.app.exit(error);
      std::cout.flush();
      return command.out.finish(std::cout ? success() : Status(os_error("write stdout", errno)));
    }
    command.out.json = asks_for_json(argc, argv);
    return command.out.finish(
        Error(Code::usage, {.field = "",
                            .expected = "",
                            .got = complaint(command.app, error),
                            .fix = "see '" + verb_path(command.app) + " --help'"}));
  }
  // A file that may not grow is an error of its write, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  const Status ready = crypto::initialise();
  if (!ready.ok()) return command.out.finish(ready);
  try {
    return command.out.finish(command.action());
  } catch (const std::bad_alloc&) {
    return command.out.finish(
        Error(Code::os_failure, {.field = "memory",
                                 .expected = "more",
                                 .got = "none left",
                                 .fix = "free memory, or give less at once"}));
  }
}

}  // namespace
}  // namespace taper::tools

int main(int argc, char** argv) { return taper::tools::run(argc, argv); }
