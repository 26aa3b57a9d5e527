#include "runtime/authority/explain.h"

#include "capsules/constraints.h"

namespace taper::authority {
namespace {

template <class Names>
std::string listed(const Names& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

Answer labels_told(Answer answer, const LiveTask& task, const Ruling& ruling) {
  std::set<std::string> refused;
  for (std::size_t level = 0; level < ruling.depth; ++level) {
    const LiveGrant& grant = grant_at(ruling, level);
    refused.insert(grant.refuse_after.begin(), grant.refuse_after.end());
  }
  if (!refused.empty()) answer.expected = "none of " + listed(refused);
  answer.got = listed(task.labels);
  return answer;
}

// "read-logs: 3 calls, 1000 bytes left", for each level's grant that bounds anything.
std::string left_told(const Ruling& ruling, const Now& now) {
  std::vector<std::string> lines;
  for (std::size_t level = 0; level < ruling.depth; ++level) {
    const LiveGrant& grant = grant_at(ruling, level);
    const BudgetLeft left = budget_left(grant.budget, *grant.spent, now);
    std::vector<std::string> parts;
    const auto part = [&parts](const std::optional<std::int64_t>& count, const char* unit) {
      if (count) parts.push_back(std::to_string(*count) + unit);
    };
    part(left.calls, " calls");
    part(left.rate, " calls at once");
    part(left.bytes, " bytes");
    part(left.cpu_ms, " ms of processor time");
    part(left.sum, " of the sum");
    if (!parts.empty()) lines.push_back(grant.id + ": " + listed(parts));
  }
  return lines.empty() ? "no budget" : listed(lines) + " left before";
}

// What a question that was answered well wanted, and what it found.
Answer passed(Question question, const LiveTask& task, const Surroundings& around,
              const CallRequest& request, const Ruling& ruling, const Now& now) {
  Answer answer{std::string(question_name(question)), true, "", ""};
  const LiveGrant* grant = ruling.depth > 0 ? &grant_at(ruling, 0) : nullptr;
  switch (question) {
    case Question::task_live: answer.expected = answer.got = "active"; break;
    case Question::time: {
      const Left left = time_left(task, ruling.branch->limits, around, now, Idle::runs_a_call);
      answer.expected = "time left";
      answer.got = format_duration_ms(left.ms);
      break;
    }
    case Question::revocation:
      answer.expected =
          "news at most " + std::to_string(task.root().max_revocation_age_s) + " s old";
      answer.got = "news of " + format_utc_s(around.news_s);
      break;
    case Question::handle: answer.expected = answer.got = "one of the chain's"; break;
    case Question::grant:
      answer.expected = "a grant for " + printable(request.tool);
      answer.got = grant->id;
      break;
    case Question::tool_digest:
      answer.expected = "the tool that was granted";
      answer.got = ruling.tool->digest.hex();
      break;
    case Question::arguments:
      answer.expected = capsules::write_canonical(matched_constraints(ruling));
      answer.got = "all hold";
      break;
    case Question::labels: answer = labels_told(std::move(answer), task, ruling); break;
    case Question::after: answer.expected = listed(task.root().grants[ruling.line[0]].after); break;
    case Question::budgets:
      answer.expected = "enough left on every level";
      answer.got = left_told(ruling, now);
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
    if (is_asked(ruling.about, q)) path.push_back(passed(q, task, around, request, ruling, now));
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

capsules::Object matched_constraints(const Ruling& ruling) {
  capsules::Object matched;
  if (ruling.depth == 0) return matched;
  for (const capsules::ArgRule& rule : grant_at(ruling, ruling.depth - 1).args) {
    capsules::Array held;
    for (const capsules::Constraint& constraint : rule.all) {
      held.emplace_back(capsules::describe_constraint(constraint));
    }
    matched.emplace_back(rule.name, std::move(held));
  }
  return matched;
}

}  // namespace taper::authority
