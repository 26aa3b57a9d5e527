// What ends a task by the time alone, and when: lease, idle, window, clock, news on revocations.
#pragma once

#include <string_view>

#include "runtime/authority/live_task.h"

namespace taper::authority {

enum class Question : std::uint8_t {
  task_live,
  time,
  revocation,
  node_policy,
  handle,
  grant,
  tool_digest,
  arguments,
  labels,
  after,
  budgets,
  log_quota,
  none,  // every question was answered well
};
std::string_view question_name(Question question);
std::string tier_name(capsules::Tier tier);  // "T2"

// What the node knows, the same for every task.
struct Surroundings {
  const NodeFacts& node;
  const TimeState& time;
  std::int64_t news_s = 0;  // when the newest news on revocations was issued
};

// A reason for which a task may not act any more by the time alone; Question::none: it may.
struct Lapse {
  Question question = Question::none;
  Code code = Code::ok;
  EndReason ends_task = EndReason::none;
  std::string expected = {}, got = {};  // the times that were compared, and where they come from
};
Lapse lapse(const LiveTask& task, const Surroundings& around, const Now& now);
// The same of a task that is only looked at, or of one chain of it, under its limits.
struct Aging {
  const capsules::Capsule& root;
  const TaskRecord& record;
  std::int64_t active_ms = 0, idle_ms = 0;  // now
};
Lapse lapse(const Aging& task, const Terms& limits, const Surroundings& around, const Now& now);
// The same for one chain: the task's lapse, else that of its own blocks, which ends no task.
Lapse lapse(const LiveTask& task, const Branch& branch, const Surroundings& around, const Now& now);

// Errors: time_behind or time_assurance; window_closed; revocation_stale. Each tells both times.
Status check_assurance(const capsules::Capsule& root, const Estimate& time, const Now& now);
Status check_not_after(const Terms& limits, const Estimate& time, const Now& now);
Status check_news(const capsules::Capsule& root, std::int64_t news_s, const Estimate& time,
                  const Now& now);
// Of the lease under `limits`: stricter ones where the capsule has some and no anchor stands.
struct Caps {
  std::int64_t ttl_ms = 0, idle_ms = 0;
};
Caps caps_now(const capsules::Capsule& root, const Terms& limits, const Estimate& time);

// Milliseconds that the task, or one chain of it, may still act from `now` under its `limits`, and
// what ends it then. Not negative.
struct Left {
  std::int64_t ms = 0;
  EndReason reason = EndReason::none;
};
enum class Idle : std::uint8_t { counts, runs_a_call };
Left time_left(const LiveTask& task, const Terms& limits, const Surroundings& around,
               const Now& now, Idle idle);

}  // namespace taper::authority
