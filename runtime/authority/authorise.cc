#include <algorithm>
#include <set>

#include "crypto/crypto.h"
#include "runtime/authority/command.h"
#include "runtime/authority/decision_record.h"
#include "runtime/authority/explain.h"
#include "runtime/authority/permit_maker.h"
#include "runtime/authority/profile.h"

namespace taper::authority {
namespace {

using capsules::Object;

struct StagedCall {
  PermitFacts facts;
  std::vector<CallSecret> secrets;
  CallRecord record;
  std::uint64_t number = 0;
  std::vector<std::string> labels;  // new ones
  std::vector<Hash> idled;          // chains whose own idle time was over before it
  LiveTask::Running running;
  std::vector<Spent> spent_before;
  std::optional<CallState> once_before;
};

PermitFacts permit_facts(const LiveTask& task, const Surroundings& around, const CallId& call,
                         Case& c) {
  const Branch& branch = *c.ruling.branch;
  const std::size_t index = c.ruling.line[0];
  const std::size_t kept = c.ruling.line[c.ruling.depth - 1];
  PermitFacts facts;
  facts.task = task.id;
  facts.call = call;
  facts.decision = c.decision;
  facts.grant = branch.first_cell + static_cast<std::uint32_t>(kept);
  facts.tool = c.ruling.tool->name;
  facts.kind = c.ruling.tool->kind;
  if (facts.kind == ToolKind::builtin) facts.inputs = builtin_inputs(*c.arguments);
  facts.argv = std::move(c.ruling.argv);
  facts.program = c.ruling.tool->program;
  facts.writes = c.ruling.tool->effect != capsules::Effect::read;
  facts.trees = *branch.trees[kept];
  facts.caps = c.ruling.caps;
  const std::int64_t left = time_left(task, branch.limits, around, c.now, Idle::runs_a_call).ms;
  const std::int64_t wall = cell_limits(task, index).wall_ms.value_or(left);
  facts.deadline_boot_ms =
      saturating_add(c.now.boot_ms, std::min(left, std::max<std::int64_t>(0, wall)));
  return facts;
}

}  // namespace

// One decision of a batch: memory has it already, the store not yet. What memory held before stands
// beside it, for a commit that fails.
struct Authority::State::Staged {
  LiveTask* task = nullptr;  // null: not live any more
  DecisionId decision;
  std::string body;
  Bytes view;
  std::optional<Error> denied;
  EndReason ends_task = EndReason::none;
  std::optional<StagedCall> call;  // where it was allowed
  TaskRecord record_before;
  bool stopped_before = false;

  void write_down(const Object& told, std::vector<Answer> answers) {
    body = capsules::write_canonical(told);
    view = encode_decision({body, std::move(answers)});
  }
  void apply();
  void undo();
  Status write(store::WriteTxn& txn) const;
};

void Authority::State::Staged::apply() {
  if (!call) return;
  for (std::size_t level = 0; level < call->running.line.size(); ++level) {
    for (const std::string& label : call->running.line[level]->labels) {
      if (task->labels.insert(label).second) call->labels.push_back(label);
    }
  }
  const auto earlier = task->once.find(call->record.once);
  if (earlier != task->once.end()) call->once_before = earlier->second;
  task->keep_call(call->number, call->record);
  task->running.emplace(call->record.id, call->running);
}

void Authority::State::Staged::undo() {
  if (task == nullptr) return;
  task->record = record_before;
  task->stopped = stopped_before;
  if (!call) return;
  for (std::size_t i = 0; i < call->spent_before.size(); ++i) {
    *call->running.line[i]->spent = call->spent_before[i];
  }
  for (const std::string& label : call->labels) task->labels.erase(label);
  task->once.erase(call->record.once);
  for (const Hash& chain : call->idled) task->chains.at(chain).ended = false;
  if (call->once_before) task->once.emplace(call->record.once, *call->once_before);
  task->calls.resize(call->number);
  task->running.erase(call->record.id);
}

Status Authority::State::Staged::write(store::WriteTxn& txn) const {
  using store::Table;
  TAPER_CHECK(txn.append(store::LeafType::decision, body));
  TAPER_CHECK(txn.put_new(Table::decisions, decision.span(), view));
  if (!call) return success();
  const Bytes key = call_key(task->id, call->number);
  TAPER_CHECK(txn.put_new(Table::calls, key, encode_call(call->record)));
  const Hash& capsule = task->record.capsule;
  for (const std::string& label : call->labels) {
    TAPER_CHECK(txn.put(Table::replay, label_key(capsule, label), {}));
  }
  for (const Hash& chain : call->idled) {
    TAPER_CHECK(put_chain(txn, task->id, chain, task->chains.at(chain)));
  }
  if (call->record.once.is_zero()) return success();
  return txn.put(Table::replay, once_key(capsule, call->record.once), key);
}

Result<Authority::State::Staged> Authority::State::stage_ended(const CallRequest& request,
                                                               const Now& now) {
  const Result<Object> arguments = capsules::parse_arguments(request.arguments);
  std::optional<TaskRecord> record;
  Chains chains;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(record, read_task(txn, request.task));
    TAPER_TRY(chains, read_chains(txn, request.task));
    return success();
  }));
  if (!record) return Error(Code::unknown_task, {"task", "", request.task.hex(), ""});
  Case c{request, arguments, now, {}, crypto::random_id<DecisionId>()};
  c.ruling.failed = Question::task_live;
  const std::string got(task_state_name(record->state));
  c.ruling.error = Error(Code::task_not_live, {"task", "active", got, ""});
  Staged staged;
  staged.decision = c.decision;
  staged.denied = c.ruling.error;
  staged.write_down(decision_body(request.task, *record, chains, nullptr, c),
                    {{std::string(question_name(Question::task_live)), false, "active", got}});
  return staged;
}

void Authority::State::stage_denial(LiveTask& task, Case& c, Staged& staged) {
  staged.denied = c.ruling.error;
  c.ruling.error = loggable(*staged.denied, c.ruling.failed, task);
  TaskRecord& next = task.record;
  advance(next, !task.running.empty(), c.now);
  EndReason ends = c.ruling.ends_task;
  if (c.ruling.failed != Question::task_live) {
    ++next.denials;
    const auto most = static_cast<std::uint64_t>(next.end_on.denials);
    if (ends == EndReason::none && next.denials >= most) ends = EndReason::denials;
  }
  Object body = decision_body(task.id, next, task.chains, &task, c);
  if (ends != EndReason::none) body.emplace_back("ends_task", end_reason_name(ends));
  staged.ends_task = ends;
  staged.write_down(body, explain(task, around(), c.request, c.ruling, c.now));
  if (ends != EndReason::none) task.stopped = true;
}

Status Authority::State::stage_permit(LiveTask& task, Case& c, Staged& staged) {
  TAPER_TRY(auto secrets, release(task.root(), task.root().grants[c.ruling.line[0]]));
  StagedCall& call = staged.call.emplace();
  call.secrets = std::move(secrets);
  TaskRecord& next = task.record;
  call.record = {crypto::random_id<CallId>(),
                 c.request.chain,
                 c.decision,
                 c.ruling.line[0],
                 c.ruling.tool->effect == capsules::Effect::read,
                 c.request.step,
                 CallState::authorised,
                 Code::ok,
                 c.ruling.once};
  auto answers = explain(task, around(), c.request, c.ruling, c.now);
  call.facts = permit_facts(task, around(), call.record.id, c);
  // The call makes the task busy again, and a chain whose idle time was over stays over.
  for (auto& [chain, known] : task.chains) {
    if (known.ended || task.idle_ms(c.now) < known.idle_ms) continue;
    known.ended = true;
    call.idled.push_back(chain);
  }
  advance(next, !task.running.empty(), c.now);
  next.idle_used_ms = 0;
  call.number = next.calls++;
  Object body = decision_body(task.id, next, task.chains, &task, c);
  body.emplace_back("call", call.record.id.hex());
  staged.write_down(body, std::move(answers));
  call.running = {static_cast<std::size_t>(call.number), {}, c.ruling.charge};
  for (std::size_t level = 0; level < c.ruling.depth; ++level) {
    const LiveGrant& grant = grant_at(c.ruling, level);
    Charge charge = c.ruling.charge;
    charge.sum = c.ruling.sums[level];
    call.running.line.push_back(&grant);
    call.spent_before.push_back(*grant.spent);
    *grant.spent = charged(grant.budget, *grant.spent, charge, c.now);
  }
  return success();
}

Result<Authority::State::Staged> Authority::State::stage(const CallRequest& request,
                                                         const Tools& tools, const Now& now) {
  LiveTask* task = find(request.task);
  if (task == nullptr) return stage_ended(request, now);
  const Result<Object> arguments = capsules::parse_arguments(request.arguments);
  Case c{request, arguments, now, decide(*task, around(), request, arguments, tools, now),
         crypto::random_id<DecisionId>()};
  Staged staged;
  staged.task = task;
  staged.decision = c.decision;
  staged.record_before = task->record;
  staged.stopped_before = task->stopped;
  if (c.ruling.error) {
    stage_denial(*task, c, staged);
  } else {
    TAPER_CHECK(stage_permit(*task, c, staged));
  }
  task->record.log_bytes += staged.body.size();
  staged.apply();
  return staged;
}

// Tasks and budgets are written once, as the whole batch leaves them.
Result<store::Committed> Authority::State::commit_staged(const std::vector<Result<Staged>>& batch,
                                                         const Now& now) {
  std::map<TaskId, const LiveTask*> tasks;
  std::set<const LiveGrant*> grants;
  for (const Result<Staged>& staged : batch) {
    if (!staged || staged->task == nullptr) continue;
    tasks.emplace(staged->task->id, staged->task);
    if (staged->call) {
      grants.insert(staged->call->running.line.begin(), staged->call->running.line.end());
    }
  }
  return commit(now, [&](store::WriteTxn& txn) -> Status {
    for (const Result<Staged>& staged : batch) {
      if (staged) TAPER_CHECK(staged->write(txn));
    }
    for (const LiveGrant* grant : grants) {
      TAPER_CHECK(txn.put(store::Table::budgets, grant->budget_key, encode_spent(*grant->spent)));
    }
    for (const auto& [id, task] : tasks) TAPER_CHECK(put_task(txn, id, task->record));
    return success();
  });
}

void Authority::State::decide_together(std::span<const CallRequest> requests, const Tools& tools,
                                       const Now& now, std::vector<Result<Decision>>& out) {
  std::vector<Result<Staged>> batch;
  batch.reserve(requests.size());
  for (const CallRequest& request : requests) batch.push_back(stage(request, tools, now));
  const bool any =
      std::any_of(batch.begin(), batch.end(), [](const auto& one) { return one.ok(); });
  Result<store::Committed> committed = Error(Code::unset);
  if (any) committed = commit_staged(batch, now);
  if (any && !committed) {
    for (auto staged = batch.rbegin(); staged != batch.rend(); ++staged) {
      if (*staged) (*staged)->undo();
    }
  }
  for (Result<Staged>& staged : batch) {
    if (!staged || !committed) {
      out.emplace_back(staged ? committed.error() : staged.error());
    } else if (staged->denied) {
      out.emplace_back(Decision(Denial{staged->decision, *staged->denied, staged->ends_task}));
    } else {
      StagedCall& call = *staged->call;
      out.emplace_back(Decision(
          Allowed{PermitMaker::make(std::move(call.facts), std::move(call.secrets), *committed),
                  staged->decision, call.record.id}));
    }
  }
}

std::vector<Result<Decision>> Authority::authorise_batch(std::span<const CallRequest> requests,
                                                         const Tools& tools, const Now& now) {
  std::vector<Result<Decision>> out;
  out.reserve(requests.size());
  while (!requests.empty()) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    do {
      bytes += requests[count++].arguments.size();
    } while (count < std::min(requests.size(), limits::kBatchCallsMax) &&
             bytes < limits::kBatchBytesMax);
    state_->decide_together(requests.first(count), tools, now, out);
    requests = requests.subspan(count);
  }
  return out;
}

Result<Decision> Authority::authorise(const CallRequest& request, const Tools& tools,
                                      const Now& now) {
  return std::move(authorise_batch({&request, 1}, tools, now).front());
}

}  // namespace taper::authority
