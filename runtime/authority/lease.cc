#include "runtime/authority/lease.h"

#include <algorithm>

namespace taper::authority {

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

Lapse lapse_under(const LiveTask& task, const Terms& limits, const Surroundings& around,
                  const Now& now) {
  const capsules::Capsule& root = task.root();
  const Estimate time = estimate(around.anchor, root.issued_at_s, now);
  const EndReason clock = root.end_on.clock_step ? EndReason::clock : EndReason::none;
  if (time.behind && root.time_assurance != capsules::TimeAssurance::behind)
    return {Question::time, Code::time_behind, clock};
  if (root.end_on.clock_step && set_back(task.record.seen, now))
    return {Question::time, Code::time_behind, clock};
  if (time.s >= limits.not_after_s) return {Question::time, Code::window_closed, EndReason::window};
  if (task.active_ms(now) >= limits.ttl_ms)
    return {Question::time, Code::lease_over, EndReason::ttl};
  if (task.idle_ms(now) >= limits.idle_ms)
    return {Question::time, Code::lease_over, EndReason::idle};
  if (saturating_subtract(time.s, around.news_s) > root.max_revocation_age_s)
    return {Question::revocation, Code::revocation_stale, EndReason::stale};
  return {};
}

}  // namespace

Lapse lapse(const LiveTask& task, const Surroundings& around, const Now& now) {
  return lapse_under(task, task.limits, around, now);
}

Lapse lapse(const LiveTask& task, const Branch& branch, const Surroundings& around,
            const Now& now) {
  Lapse over = lapse(task, around, now);
  if (over.question != Question::none) return over;
  over = lapse_under(task, branch.limits, around, now);
  over.ends_task = EndReason::none;
  const auto known = task.chains.find(branch.capsule.chain());
  const bool ended = known != task.chains.end() && known->second.ended;
  return ended ? Lapse{Question::time, Code::lease_over, EndReason::none} : over;
}

Left time_left(const LiveTask& task, const Terms& limits, const Surroundings& around,
               const Now& now, Idle idle) {
  const capsules::Capsule& root = task.root();
  const Estimate time = estimate(around.anchor, root.issued_at_s, now);
  const auto seconds_left = [&time](std::int64_t until_s) {
    const std::int64_t left = saturating_subtract(until_s, time.s);
    return std::min(left, limits::kLeaseTtlMaxMs) * 1000;  // beyond any lease, and no overflow
  };
  Left left{saturating_subtract(limits.ttl_ms, task.active_ms(now)), EndReason::ttl};
  const auto earlier = [&left](std::int64_t ms, EndReason reason) {
    if (ms < left.ms) left = {ms, reason};
  };
  if (idle == Idle::counts && task.running.empty())
    earlier(saturating_subtract(limits.idle_ms, task.idle_ms(now)), EndReason::idle);
  earlier(seconds_left(limits.not_after_s), EndReason::window);
  const std::int64_t stale_s = saturating_add(around.news_s, root.max_revocation_age_s);
  earlier(seconds_left(saturating_add(stale_s, 1)), EndReason::stale);
  left.ms = std::max<std::int64_t>(0, left.ms);
  return left;
}

std::string tier_name(capsules::Tier tier) { return "T" + std::to_string(static_cast<int>(tier)); }

}  // namespace taper::authority
