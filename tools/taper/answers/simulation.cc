#include "tools/taper/answers/simulation.h"

#include <algorithm>
#include <limits>

#include "capsules/constraints.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"

namespace taper::tools {
namespace {

using authority::BudgetLeft;
using authority::Spent;
using capsules::Grant;
using capsules::KnownTool;
using capsules::Object;
using capsules::Value;
using capsules::Verb;

constexpr std::int64_t kCpuLeastMs = 1000;  // what a cell's cap of time is counted in

// What every call of a live task is asked and no list of calls answers; Simulation's contract says
// what is supposed.
constexpr std::string_view kSupposed[] = {"session and proof", "task live",  "time", "lease",
                                          "revocation",        "node policy"};
// Answered here, from the calls before.
constexpr std::string_view kHistory[] = {"call id", "labels", "after", "budgets"};

Judgement unknown(std::string question, std::string why) {
  return {.judged = Judged::unknown,
          .question = std::move(question),
          .why = std::move(why),
          .grant = {}};
}

Judgement allowed() { return {.judged = Judged::allow, .question = {}, .why = {}, .grant = {}}; }

Judgement denied(Code code, std::string why) {
  return {.judged = Judged::deny,
          .question = describe(code).question,
          .why = std::move(why),
          .code = code,
          .grant = {}};
}

std::string expected_got(const std::string& expected, const std::string& got) {
  std::string out;
  if (!expected.empty()) out = "expected " + expected;
  if (!got.empty()) out += (out.empty() ? "got " : ", got ") + got;
  return out;
}

bool is_of_history(std::string_view question) {
  if (std::ranges::find(kHistory, question) != std::end(kHistory)) return true;
  // "block 1 labels", "block 1 budgets"
  return question.starts_with("block ") &&
         (question.ends_with(" labels") || question.ends_with(" budgets"));
}

const Value* argument(const Object& arguments, std::string_view name) {
  for (const auto& [known, value] : arguments)
    if (known == name) return &value;
  return nullptr;
}

// Whether a text of them could be taken for an option where a tool's words do not guard it. Values
// are as deep as the parser allows.
// NOLINTNEXTLINE(misc-no-recursion)
bool looks_like_option(const Value& value) {
  if (const std::string* text = value.text()) return text->starts_with('-');
  if (const capsules::Array* array = value.array())
    return std::ranges::any_of(*array, looks_like_option);
  if (const Object* object = value.object())
    return std::ranges::any_of(
        // NOLINTNEXTLINE(misc-no-recursion)
        *object, [](const auto& member) { return looks_like_option(member.second); });
  return false;
}

std::size_t root_of(const capsules::Lineage& lineage, std::size_t level, std::size_t index) {
  for (; level > 0; --level) index = lineage[level][index].parent;
  return index;
}

// As the authority asks: the first bound that has nothing left; `ok` where all have.
Code spent_bound(const BudgetLeft& left) {
  if (left.calls == 0) return Code::budget_calls;
  if (left.rate == 0) return Code::budget_rate;
  if (left.bytes == 0) return Code::budget_bytes;
  if (left.cpu_ms && *left.cpu_ms < kCpuLeastMs) return Code::budget_cpu;
  return Code::ok;
}

}  // namespace

std::string_view word(Judged judged) {
  switch (judged) {
    case Judged::allow: return "allow";
    case Judged::deny: return "deny";
    case Judged::unknown: break;
  }
  return "unknown";
}

Simulation::Simulation(const capsules::UntrustedCapsule& capsule, const capsules::KnownTools& tools)
    : capsule_(capsule),
      tools_(tools),
      lineage_(capsules::lineage_of(capsule.root, capsule.blocks)) {}

Judgement Simulation::judge(const SimulatedCall& call) {
  made_.emplace_back();
  const Judgement live = judge_live(call);
  // What would be refused in any case is refused; what would be allowed hangs on the rest.
  Judgement out = live.judged == Judged::deny ? live : judge_call(call);
  if (out.judged == Judged::allow && live.judged != Judged::allow) out = live;
  if (out.judged == Judged::unknown) charge_perhaps(call.tool);
  const capsules::EndOn& end_on = capsule_.root.end_on;
  if (out.judged == Judged::unknown) ++perhaps_denials_;
  if (out.judged == Judged::deny && ended_.empty()) {
    ++denials_;
    const std::string by = " of call " + std::to_string(made_.size());
    if (denials_ >= end_on.denials) ended_ = "ended by the denial" + by;
    if (out.code == Code::tool_digest && end_on.tool_drift) ended_ = "ended by the drift" + by;
  }
  return out;
}

// Whether the task lives still, and its lease.
Judgement Simulation::judge_live(const SimulatedCall& call) const {
  if (!ended_.empty()) return denied(Code::task_not_live, "the task was " + ended_);
  if (denials_ + perhaps_denials_ >= capsule_.root.end_on.denials)
    return unknown("task live", "calls before it that are unknown may have ended the task");
  if (!begun_ || !call.at) return allowed();
  const std::int64_t ttl_ms =
      capsules::with_shortened_times(capsule_.root, capsule_.blocks).lease_ttl_ms;
  if (begun_->boot_id != call.at->boot_id)
    return unknown("time", "the host was started anew since, so the lease's time is not known");
  const std::int64_t used_ms = call.at->boot_ms - begun_->boot_ms;
  if (used_ms < ttl_ms) return allowed();
  return denied(Code::lease_over, expected_got("within " + format_duration_ms(ttl_ms),
                                               format_duration_ms(used_ms) + " after its start"));
}

Judgement Simulation::judge_call(const SimulatedCall& call) {
  capsules::Explanation path;
  if (call.arguments) {
    path = capsules::explain(capsule_.root, call.tool, as_bytes(*call.arguments), tools_, {},
                             capsule_.blocks);
    for (const capsules::ExplainAnswer& answer : path.answers) {
      if (answer.verdict != capsules::ExplainAnswer::Verdict::failed) continue;
      Judgement out = denied(answer.code, expected_got(answer.expected, answer.got));
      out.question = answer.question;
      out.grant = path.grant;
      return out;
    }
  }
  if (!may_be_granted(call))
    return denied(Code::tool_not_granted, "the last block has no such grant with this verb");
  const auto tool = tools_.find(call.tool);
  if (!call.arguments) return unknown("arguments", "only their digest was recorded");
  if (tool == tools_.end() || tool->second.agent)
    return unknown("tool digest", "the tool is not known here: give --tools");
  const Result<Object> arguments = capsules::parse_arguments(as_bytes(*call.arguments));
  if (!arguments.ok()) return unknown("arguments", "they cannot be read");
  return judge_route(call, tool->second, *arguments, path);
}

// A grant of the tool with the verb, down to the last block.
bool Simulation::may_be_granted(const SimulatedCall& call) const {
  const std::size_t last = lineage_.size() - 1;
  for (std::size_t i = 0; i < lineage_[last].size(); ++i) {
    const Grant& root = capsule_.root.grants[root_of(lineage_, last, i)];
    const std::vector<Verb>& verbs = lineage_[last][i].verbs;
    if (root.tool == call.tool && std::ranges::find(verbs, call.verb) != verbs.end()) return true;
  }
  return false;
}

// The questions that `explain` leaves to a node: those that the calls before answer, and none else.
Judgement Simulation::judge_route(const SimulatedCall& call, const KnownTool& tool,
                                  const Arguments& arguments, const capsules::Explanation& path) {
  const capsules::Route route =
      capsules::find_route(capsule_.root, lineage_,
                           {call.verb, call.tool, arguments, capsules::kAnyMoment}, tool.inputs);
  if (!route.status.ok()) {
    const ErrorDetail& detail = route.status.error().detail();
    return denied(route.status.code(),
                  expected_got(detail.field + ": " + detail.expected, detail.got));
  }
  if (route.line.size() != lineage_.size()) return unknown("grant", "no whole line of grants");
  const Grant& root = capsule_.root.grants[route.line[0]];
  const bool any_tool = root.digest_kind == capsules::DigestKind::unpinned;
  Judgement out = allowed();
  for (const capsules::ExplainAnswer& answer : path.answers) {
    if (answer.verdict == capsules::ExplainAnswer::Verdict::passed) continue;
    const bool settled = std::ranges::find(kSupposed, answer.question) != std::end(kSupposed) ||
                         is_of_history(answer.question) ||
                         (any_tool && answer.question == "tool digest");
    if (!settled && out.judged == Judged::allow) out = unknown(answer.question, answer.expected);
  }
  if (tool.effect > root.effect || tool.effect == capsules::Effect::unset)
    out = denied(Code::effect_exceeds, expected_got(std::string(capsules::word(root.effect)),
                                                    std::string(capsules::word(tool.effect))));
  const bool option = !tool.builtin && std::ranges::any_of(arguments, [](const auto& one) {
    return looks_like_option(one.second);
  });
  if (out.judged == Judged::allow && option)
    out = unknown("arguments", "a value begins with '-', and only the node knows the tool's words");
  if (out.judged == Judged::allow) out = judge_history(route.line, arguments, call.at);
  out.grant = root.id;
  if (out.judged == Judged::allow) charge(route.line, arguments, call.at);
  return out;
}

Judgement Simulation::judge_history(const std::vector<std::size_t>& line,
                                    const Arguments& arguments, const std::optional<Now>& at) {
  const Grant& root = capsule_.root.grants[line[0]];
  Judgement out = judge_id(root, arguments);
  if (out.judged == Judged::allow) out = judge_labels(line);
  if (out.judged == Judged::allow) out = judge_after(root);
  // A bound that is spent for certain weighs more than one of which that is not known.
  Judgement doubt = allowed();
  for (std::size_t level = 0; level < line.size() && out.judged == Judged::allow; ++level) {
    Judgement budget = judge_budget(level, line[level], arguments, at);
    if (budget.judged == Judged::deny)
      out = std::move(budget);
    else if (budget.judged == Judged::unknown && doubt.judged == Judged::allow)
      doubt = std::move(budget);
  }
  return out.judged == Judged::allow ? doubt : out;
}

Judgement Simulation::judge_id(const Grant& grant, const Arguments& arguments) const {
  if (grant.idempotency.empty()) return allowed();
  const Value* id = argument(arguments, grant.idempotency);
  if (id == nullptr) return unknown("call id", "it bears none");
  const auto earlier = ids_.find(grant.id + '\n' + capsules::write_canonical(*id));
  const std::size_t index = static_cast<std::size_t>(&grant - capsule_.root.grants.data());
  if (earlier == ids_.end())
    return perhaps_ids_.contains(index)
               ? unknown("call id", "a call before it that is unknown may bear it")
               : allowed();
  // Only one that was interrupted may come again, and that is the node's to know.
  return made_[earlier->second].settled && done_.contains(index)
             ? denied(Code::idempotency_reused,
                      "call " + std::to_string(earlier->second + 1) + " bears it")
             : unknown("call id", "call " + std::to_string(earlier->second + 1) +
                                      " bears it, and how that went is not known");
}

Judgement Simulation::judge_labels(const std::vector<std::size_t>& line) const {
  Judgement out = allowed();
  for (std::size_t level = 0; level < line.size(); ++level) {
    for (const std::string& label : lineage_[level][line[level]].refuse_after) {
      if (labels_.contains(label))
        return denied(Code::label_refused, "the task bears the label " + label);
      if (perhaps_labels_.contains(label))
        out = unknown("labels", "a call before it that is unknown may have added " + label);
    }
  }
  return out;
}

Judgement Simulation::judge_after(const Grant& grant) const {
  Judgement out = allowed();
  for (const std::string& id : grant.after) {
    const auto named = std::ranges::find(capsule_.root.grants, id, &Grant::id);
    const auto index = static_cast<std::size_t>(named - capsule_.root.grants.begin());
    if (done_.contains(index)) continue;
    if (!perhaps_done_.contains(index))
      return denied(Code::after_unmet, "a call of the grant " + id + " done; none was made");
    out = unknown("after", "whether a call of the grant " + id + " was done is not told");
  }
  return out;
}

Judgement Simulation::judge_budget(std::size_t level, std::size_t grant, const Arguments& arguments,
                                   const std::optional<Now>& at) {
  const capsules::LineGrant& kept = lineage_[level][grant];
  const Counter& counter = counters_[{level, grant}];
  const Now now = at.value_or(Now{});
  const BudgetLeft best = authority::budget_left(kept.budget, counter.least, now);
  const BudgetLeft worst = authority::budget_left(kept.budget, counter.most, now);
  const std::string whose = " of the grant " + kept.id;
  if (const Code code = spent_bound(best); code != Code::ok)
    return denied(code, std::string(describe(code).text) + whose);
  if (best.sum) {
    const Value* amount = argument(arguments, kept.budget.sum->argument);
    const std::int64_t* whole = amount == nullptr ? nullptr : amount->integer();
    if (whole == nullptr || *whole < 0 || *whole > *best.sum)
      return denied(Code::budget_sum, "a whole number " + kept.budget.sum->argument + ", at most " +
                                          std::to_string(*best.sum) + " more");
    if (*whole > *worst.sum)
      return unknown("budgets", "calls before it that are unknown may have spent the sum" + whose);
  }
  if (spent_bound(worst) != Code::ok)
    return unknown("budgets", "what is left" + whose +
                                  " depends on what is not known of calls "
                                  "before it");
  return allowed();
}

void Simulation::charge(const std::vector<std::size_t>& line, const Arguments& arguments,
                        const std::optional<Now>& at) {
  Made& made = made_.back();
  made.line = line;
  // A call may use so much; less is known once it is settled.
  made.charge = {.bytes = limits::kResultBytesMax,
                 .cpu_ms = static_cast<std::uint64_t>(limits::kLeaseTtlMaxMs)};
  const Now now = at.value_or(Now{});
  for (std::size_t level = 0; level < line.size(); ++level) {
    const capsules::LineGrant& kept = lineage_[level][line[level]];
    Counter& counter = counters_[{level, line[level]}];
    authority::Charge charge = made.charge;
    const Value* amount =
        kept.budget.sum ? argument(arguments, kept.budget.sum->argument) : nullptr;
    if (amount != nullptr && amount->integer() != nullptr)
      charge.sum = static_cast<std::uint64_t>(*amount->integer());
    made.sums.push_back(charge);
    counter.most = authority::charged(kept.budget, counter.most, charge, now);
    // At the least it used nothing, and without times a rate's bucket is full again.
    capsules::Budget budget = kept.budget;
    if (!at) budget.rate.reset();
    counter.least = authority::charged(budget, counter.least, {.sum = charge.sum}, now);
    labels_.insert(kept.labels.begin(), kept.labels.end());
  }
  const Grant& root = capsule_.root.grants[line[0]];
  perhaps_done_.insert(line[0]);
  if (const Value* id = argument(arguments, root.idempotency))
    ids_.emplace(root.id + '\n' + capsules::write_canonical(*id), made_.size() - 1);
}

// A call of which nothing is known may have been one of any of the tool's grants.
void Simulation::charge_perhaps(const std::string& tool) {
  constexpr std::uint64_t kAll = std::numeric_limits<std::int64_t>::max();
  for (std::size_t level = 0; level < lineage_.size(); ++level) {
    for (std::size_t i = 0; i < lineage_[level].size(); ++i) {
      const std::size_t root = root_of(lineage_, level, i);
      if (capsule_.root.grants[root].tool != tool) continue;
      const capsules::LineGrant& kept = lineage_[level][i];
      Counter& counter = counters_[{level, i}];
      counter.most = authority::charged(kept.budget, counter.most,
                                        {.bytes = kAll, .cpu_ms = kAll, .sum = kAll}, Now{});
      perhaps_labels_.insert(kept.labels.begin(), kept.labels.end());
      perhaps_done_.insert(root);
      perhaps_ids_.insert(root);
    }
  }
}

void Simulation::settle(std::size_t number, const CallOutcome& outcome) {
  Made& made = made_.at(number);
  if (made.line.empty() || made.settled) return;
  made.settled = true;
  for (std::size_t level = 0; level < made.line.size(); ++level) {
    Counter& counter = counters_[{level, made.line[level]}];
    if (outcome.never_ran) {
      counter.least = authority::given_back(counter.least, made.sums[level]);
      counter.most = authority::given_back(counter.most, made.sums[level]);
    }
    counter.most =
        authority::settled(counter.most, made.charge, outcome.result_bytes, outcome.cpu_ms);
    counter.least.bytes += outcome.result_bytes.value_or(0);
    counter.least.cpu_ms += outcome.cpu_ms.value_or(0);
  }
  if (outcome.done) done_.insert(made.line[0]);
}

}  // namespace taper::tools
