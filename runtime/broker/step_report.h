// What is told of a plan's steps as they end, to whoever watches.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/limits.h"
#include "runtime/base/result.h"

namespace taper::broker {

// One step's progress, for people watching.
struct StepReport {
  std::string id;  // of the step, or "step[3]" for one of its items
  std::string tool;
  DecisionId decision;
  // "allow", "deny", "skipped" (a need failed, or the task ended first); empty where nothing was
  // asked: a reference led nowhere, there were too many items or none.
  std::string verdict;
  Code code = Code::ok;   // of the denial, or of the outcome
  std::string outcome;    // "done", "failed", "killed", "interrupted", "" where it never ran
  Error error{Code::ok};  // detail for the operator
  std::string result;     // JSON; empty where none
  std::string err;        // what a command that failed said on stderr: cut and escaped
};

// A run's steps. Thousands of items each have a result: what is kept of all together is bounded.
class StepReports {
 public:
  void keep(StepReport report);
  std::vector<StepReport> take() { return std::move(steps_); }

 private:
  std::vector<StepReport> steps_;
  std::size_t left_ = limits::kRunResultsShownBytes;  // for results and stderr
};

}  // namespace taper::broker
