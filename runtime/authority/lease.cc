#include "runtime/authority/lease.h"

#include <algorithm>

#include "runtime/authority/time_report.h"
#include "runtime/base/text.h"

namespace taper::authority {

using capsules::Capsule;

std::string_view question_name(Question question) {
  switch (question) {
    case Question::task_live: return "task live";
    case Question::time: return "time";
    case Question::revocation: return "revocation";
    case Question::node_policy: return "node policy";
    case Question::handle: return "handle";
    case Question::grant: return "grant";
    case Question::tool_digest: return "tool digest";
    case Question::arguments: return "arguments";
    case Question::labels: return "labels";
    case Question::after: return "after";
    case Question::budgets: return "budgets";
    case Question::log_quota: return "log quota";
    case Question::none: break;
  }
  return "";
}

namespace {

Lapse told(Question question, const Status& refused, EndReason ends_task) {
  const ErrorDetail& detail = refused.error().detail();
  return {question, refused.code(), ends_task, detail.expected, detail.got};
}

Aging aging(const LiveTask& task, const Now& now) {
  return {task.root(), task.record, task.active_ms(now), task.idle_ms(now)};
}

}  // namespace

Lapse lapse(const Aging& task, const Terms& limits, const Surroundings& around, const Now& now) {
  const Capsule& root = task.root;
  const Estimate time = estimate(around.time, root.issued_at_s, now);
  const EndReason clock = root.end_on.clock_step ? EndReason::clock : EndReason::none;
  if (const Status s = check_assurance(root, time, now); !s)
    return told(Question::time, s, s.code() == Code::time_behind ? clock : EndReason::none);
  if (const Now& seen = task.record.seen; clock != EndReason::none && set_back(seen, now)) {
    const std::int64_t due_s = saturating_subtract(now.wall_s, step_s(seen, now));
    return told(Question::time,
                time_denial(Code::time_behind, "time",
                            format_utc_s(due_s) + ", as the clocks went on from the last look",
                            due_s, now.wall_s, TimeSource::wall, now),
                clock);
  }
  if (const Status s = check_not_after(limits, time, now); !s)
    return told(Question::time, s, EndReason::window);
  const Caps caps = caps_now(root, limits, time);
  if (task.active_ms >= caps.ttl_ms)
    return {Question::time, Code::lease_over, EndReason::ttl, "", ""};
  if (task.idle_ms >= caps.idle_ms)
    return {Question::time, Code::lease_over, EndReason::idle, "", ""};
  if (const Status s = check_news(root, around.news_s, time, now); !s)
    return told(Question::revocation, s, EndReason::stale);
  if (root.end_on.policy_drift && task.record.policy != around.node.policy.hash)
    return {Question::node_policy, Code::node_policy, EndReason::drift,
            "the policy that the task began under", "another node.toml"};
  return {};
}

Status check_assurance(const Capsule& root, const Estimate& time, const Now& now) {
  if (time.standing >= root.time_assurance) return success();
  const bool behind = time.standing == TimeAssurance::behind;
  return time_denial(behind ? Code::time_behind : Code::time_assurance, "time",
                     std::string(time_standing_name(root.time_assurance)) +
                         ", which is not before " + told_time(time.least_s, time.least_source) +
                         "; it is " + std::string(time_standing_name(time.standing)),
                     time.least_s, now.wall_s, TimeSource::wall, now);
}

Status check_not_after(const Terms& limits, const Estimate& time, const Now& now) {
  if (time.s < limits.not_after_s) return success();
  return time_denial(Code::window_closed, "window", "before " + format_utc_s(limits.not_after_s),
                     limits.not_after_s, time.s, time.source, now);
}

// The boot time since the news was imported is inside the estimate: its lower bound began at
// `news_s` and has been carried forward since.
Status check_news(const Capsule& root, std::int64_t news_s, const Estimate& time, const Now& now) {
  const std::int64_t until_s = saturating_add(news_s, root.max_revocation_age_s);
  if (time.s <= until_s) return success();
  return time_denial(Code::revocation_stale, "revocation",
                     "until " + format_utc_s(until_s) + " by a root of " + format_utc_s(news_s),
                     until_s, time.s, time.source, now);
}

Caps caps_now(const Capsule& root, const Terms& limits, const Estimate& time) {
  Caps caps{limits.ttl_ms, limits.idle_ms};
  if (!root.offline || time.standing == TimeAssurance::anchored) return caps;
  return {std::min(caps.ttl_ms, root.offline->max_ttl_ms),
          std::min(caps.idle_ms, root.offline->max_idle_ms)};
}

Lapse lapse(const LiveTask& task, const Surroundings& around, const Now& now) {
  return lapse(aging(task, now), task.limits, around, now);
}

Lapse lapse(const LiveTask& task, const Branch& branch, const Surroundings& around,
            const Now& now) {
  Lapse over = lapse(task, around, now);
  if (over.question != Question::none) return over;
  over = lapse(aging(task, now), branch.limits, around, now);
  over.ends_task = EndReason::none;
  const auto known = task.chains.find(branch.capsule.chain());
  const bool ended = known != task.chains.end() && known->second.ended;
  return ended ? Lapse{Question::time, Code::lease_over, EndReason::none} : over;
}

Left time_left(const LiveTask& task, const Terms& limits, const Surroundings& around,
               const Now& now, Idle idle) {
  const Capsule& root = task.root();
  const Estimate time = estimate(around.time, root.issued_at_s, now);
  const auto seconds_left = [&time](std::int64_t until_s) {
    const std::int64_t left = saturating_subtract(until_s, time.s);
    return std::min(left, limits::kLeaseTtlMaxMs) * 1000;  // beyond any lease, and no overflow
  };
  Left left{saturating_subtract(limits.ttl_ms, task.active_ms(now)), EndReason::ttl};
  const auto earlier = [&left](std::int64_t ms, EndReason reason) {
    if (ms < left.ms) left = {ms, reason};
  };
  if (idle == Idle::counts && !task.busy(now))
    earlier(saturating_subtract(limits.idle_ms, task.idle_ms(now)), EndReason::idle);
  // Stricter caps begin to hold when the anchor's time is over, and are over then at the soonest.
  Estimate later = time;
  later.standing = TimeAssurance::bounded;
  const Caps caps = caps_now(root, limits, later);
  const auto capped = [&](std::int64_t cap_ms, std::int64_t used_ms) {
    return std::max(saturating_subtract(cap_ms, used_ms), time.anchored_ms);
  };
  if (caps.ttl_ms < limits.ttl_ms)
    earlier(capped(caps.ttl_ms, task.active_ms(now)), EndReason::ttl);
  if (caps.idle_ms < limits.idle_ms && idle == Idle::counts && !task.busy(now))
    earlier(capped(caps.idle_ms, task.idle_ms(now)), EndReason::idle);
  earlier(seconds_left(limits.not_after_s), EndReason::window);
  const std::int64_t stale_s = saturating_add(around.news_s, root.max_revocation_age_s);
  earlier(seconds_left(saturating_add(stale_s, 1)), EndReason::stale);
  left.ms = std::max<std::int64_t>(0, left.ms);
  return left;
}

std::string tier_name(capsules::Tier tier) { return "T" + std::to_string(static_cast<int>(tier)); }

}  // namespace taper::authority
