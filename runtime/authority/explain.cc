#include "runtime/authority/explain.h"

#include "capsules/constraints.h"

namespace taper::authority {
namespace {

// What a question that was answered well wanted, and what it found.
Answer passed(Question question, const LiveTask& task, const Surroundings& around,
              const CallRequest& request, const Ruling& ruling, const Now& now) {
  Answer answer{std::string(question_name(question)), true, "", ""};
  const LiveGrant* grant = ruling.depth > 0 ? &task.levels[0][ruling.line[0]] : nullptr;
  switch (question) {
    case Question::task_live: answer.expected = answer.got = "active"; break;
    case Question::time: {
      const Left left = time_left(task, around, now, Idle::runs_a_call);
      answer.expected = "time left";
      answer.got = format_duration_ms(left.ms);
      break;
    }
    case Question::revocation:
      answer.expected =
          "news at most " + std::to_string(task.root().max_revocation_age_s) + " s old";
      answer.got = "news of " + format_utc_s(around.news_s);
      break;
    case Question::grant:
      answer.expected = "a grant for " + printable(request.tool);
      answer.got = grant->id;
      break;
    case Question::tool_digest:
      answer.expected = "the tool that was granted";
      answer.got = ruling.tool->digest.hex();
      break;
    case Question::arguments:
      answer.expected = capsules::write_canonical(matched_constraints(task, ruling));
      answer.got = "all hold";
      break;
    case Question::budgets:
      if (grant->budget.calls)
        answer.expected = "at most " + std::to_string(*grant->budget.calls) + " calls";
      answer.got = std::to_string(grant->spent.calls) + " calls and " +
                   std::to_string(grant->spent.bytes) + " bytes spent before";
      break;
    case Question::node_policy:
    case Question::log_quota:
    case Question::none: break;
  }
  return answer;
}

}  // namespace

std::vector<Answer> explain(const LiveTask& task, const Surroundings& around,
                            const CallRequest& request, const Ruling& ruling, const Now& now) {
  std::vector<Answer> path;
  for (Question q = Question::task_live; q < ruling.failed;
       q = static_cast<Question>(static_cast<int>(q) + 1)) {
    path.push_back(passed(q, task, around, request, ruling, now));
  }
  if (ruling.error) {
    const ErrorDetail& detail = ruling.error->detail();
    const std::string wanted =
        detail.field.empty() ? detail.expected : detail.field + ": " + detail.expected;
    path.push_back({std::string(question_name(ruling.failed)), false, printable(wanted),
                    printable(detail.got)});
  }
  return path;
}

capsules::Object matched_constraints(const LiveTask& task, const Ruling& ruling) {
  capsules::Object matched;
  if (ruling.depth == 0) return matched;
  const std::size_t level = ruling.depth - 1;
  for (const capsules::ArgRule& rule : task.levels[level][ruling.line[level]].args) {
    capsules::Array held;
    for (const capsules::Constraint& constraint : rule.all) {
      held.emplace_back(capsules::describe_constraint(constraint));
    }
    matched.emplace_back(rule.name, std::move(held));
  }
  return matched;
}

}  // namespace taper::authority
