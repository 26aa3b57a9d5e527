// The sources, tools and files of the demo.
#pragma once

#include <string>
#include <string_view>

#include "capsules/value.h"

namespace taper::tools::demo {

extern const std::string_view kPumpLog;
extern const std::string_view kReport;  // what the triage must write

std::string grep_tool(const std::string& program);
// A tool of bash, whose processes carry `marker` among their arguments.
std::string hostile_tool(const std::string& program, const std::string& marker);
std::string triage_source(const std::string& directory, const std::string& grep_digest);
std::string hostile_source(const std::string& hostile_digest);

// The digest of a tool in what `taper tools list --json` printed; empty when it is not there.
std::string digest_of(const capsules::Value& tools, std::string_view name);

// One step of what `taper run --json` printed, for people.
struct StepWords {
  std::string line, decision, reason;
  bool allowed_and_done = false;
  bool denied = false;
};
StepWords step_words(const capsules::Value& step);

}  // namespace taper::tools::demo
