// What the log keeps of one decision.
#pragma once

#include "runtime/authority/decide.h"
#include "runtime/authority/state.h"

namespace taper::authority {

// One call being decided: what was asked, what was ruled.
struct Case {
  const CallRequest& request;
  const Result<capsules::Object>& arguments;
  const Now& now;
  Ruling ruling;
  DecisionId decision;
  CallId handle = {};                       // what is asked about; zero: none
  std::vector<DiscoveredGrant> found = {};  // what is told
  Hash input = {};                          // of what is answered; zero: nothing
};

// `task` is null for one that is not live any more; its `record` then stands alone.
capsules::Object decision_body(const TaskId& id, const TaskRecord& record, const Chains& chains,
                               const LiveTask* task, const Case& c);

// A refusal as the log may keep it: without values that the capsule keeps out.
Error loggable(const Error& error, Question failed, const LiveTask& task);

}  // namespace taper::authority
