// How the verbs are put together: each group registers its verbs, each verb leaves an action that
// main runs after the whole command line was understood.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/taper/output.h"
#include "tools/taper/written_file.h"

namespace taper::tools {

struct Command {
  CLI::App app{"Runs agent tasks from signed capsules that only narrow and always burn out."};
  Output out;
  std::function<Status()> action;

  // A group of verbs ("key"); one of them must follow.
  CLI::App* group(const std::string& name, const std::string& about);
  // `option` of the verb names a file that it replaces, of the kind that `kind` says once the
  // command line is understood. Every other option may name a file that it reads. Checked before
  // the verb.
  void writes(CLI::App* verb, const std::string& option, std::function<FileKind()> kind);
  // A verb with --json, whose help ends in `example`. `run` is called after parsing.
  CLI::App* verb(CLI::App* parent, const std::string& name, const std::string& about,
                 const std::string& example, std::function<Status()> run);

 private:
  struct Written {
    const CLI::Option* option;
    std::function<FileKind()> kind;
  };
  Status check_files(const CLI::App& verb) const;
  std::vector<Written> written_;
};

// Parts of the capsule group.
void add_sign_verb(Command& command, CLI::App* capsule);
void add_assemble_verb(Command& command, CLI::App* capsule);
void add_narrow_verb(Command& command, CLI::App* capsule);
void add_diff_verb(Command& command, CLI::App* capsule);
// Parts of the audit group: what is read from a log without verifying it.
void add_log_verbs(Command& command, CLI::App* audit);

// One function for each file of verbs.
void add_key_verbs(Command& command);
void add_root_verbs(Command& command);
void add_node_verbs(Command& command);
void add_tools_verbs(Command& command);
void add_capsule_verbs(Command& command);
void add_run_verb(Command& command);
void add_serve_verb(Command& command);
void add_connect_verb(Command& command);
void add_task_verbs(Command& command);
void add_audit_verbs(Command& command);
void add_doctor_verbs(Command& command);
void add_posture_verb(Command& command);
void add_who_can_verb(Command& command);
void add_simulate_verb(Command& command);
void add_time_verbs(Command& command);
void add_demo_verb(Command& command);
void add_zsp_verb(Command& command);

// Options read as these are refused with a usage error that names the option.
Result<std::int64_t> duration_option(const std::string& name, const std::string& text);

Error usage_error(const std::string& field, const std::string& expected, const std::string& got);

}  // namespace taper::tools
