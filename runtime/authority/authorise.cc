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
  std::size_t grant = 0;            // of the chain's last block
  std::vector<std::string> labels;  // new ones
  std::vector<Hash> idled;          // chains whose own idle time was over before it
  LiveTask::Running running;
  std::vector<Spent> spent_before;
  std::optional<CallState> once_before;
};

// Before the others, of which the time is the last.
void add_input(const CallRequest& request, std::vector<InputValue>& inputs) {
  if (request.input != Input::none)
    inputs.insert(inputs.begin(), {"input", static_cast<std::int64_t>(request.input)});
  if (!request.goes_on) return;
  inputs.insert(inputs.begin(), {"responses", request.goes_on->responses});
  if (request.goes_on->state) inputs.insert(inputs.begin(), {"state", *request.goes_on->state});
}

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
  facts.digest = c.ruling.tool->digest;
  facts.kind = c.ruling.tool->kind;
  if (facts.kind == ToolKind::builtin) facts.inputs = builtin_inputs(*c.arguments);
  facts.argv = std::move(c.ruling.argv);
  facts.env = c.ruling.tool->env;
  facts.program = c.ruling.tool->program;
  facts.entry = c.ruling.tool->entry;
  facts.writes = c.ruling.tool->effect != capsules::Effect::read;
  facts.trees = *branch.trees[kept];
  facts.caps = c.ruling.caps;
  const std::int64_t left = time_left(task, branch.limits, around, c.now, Idle::runs_a_call).ms;
  const std::optional<std::int64_t> wall =
      cell_limits(task, task.root().grants[index].cell).wall_ms;
  const auto most = [left](std::int64_t ms) {
    return std::min(left, std::max<std::int64_t>(0, ms));
  };
  // A server lives on for the next call, so only the call is held to the grant's time.
  const bool upstream = facts.kind == ToolKind::upstream;
  if (upstream) {
    facts.inputs = upstream_inputs(*c.ruling.tool, *c.arguments,
                                   most(wall.value_or(limits::kUpstreamCallMs)), c.request.meta);
    add_input(c.request, facts.inputs);
  }
  facts.deadline_boot_ms =
      saturating_add(c.now.boot_ms, upstream ? left : most(wall.value_or(left)));
  return facts;
}

// Not idle time, which the task counts while its agent thinks. The process that speaks with the
// program is not one of the agent's own.
PermitFacts agent_facts(const LiveTask& task, const Surroundings& around, Case& c) {
  const Tool& tool = *c.ruling.tool;
  PermitFacts facts;
  facts.task = task.id;
  facts.call = crypto::random_id<CallId>();
  facts.decision = c.decision;
  facts.tool = tool.name;
  facts.digest = tool.digest;
  facts.kind = tool.kind;
  for (const ArgvWord& word : tool.argv) facts.argv.push_back(word.literal);
  facts.program = tool.program;
  facts.entry = tool.entry;
  facts.trees = std::move(c.ruling.trees);
  facts.caps = c.ruling.caps;
  ++facts.caps.processes;
  const Terms& limits = c.ruling.branch->limits;
  const std::int64_t left = time_left(task, limits, around, c.now, Idle::runs_a_call).ms;
  const auto wall = cell_limits(task, task.root().agent_entry.cell).wall_ms;
  facts.deadline_boot_ms = saturating_add(c.now.boot_ms, std::min(left, wall.value_or(left)));
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
  Lapse over;                             // what brings that end, where it is more than a count
  std::optional<StagedCall> call;         // where one was allowed
  std::size_t number = 0, grant = 0;      // of a handle's call; by which it is shown
  std::optional<CallRecord> call_before;  // where it is cancelled, or goes on
  std::vector<DiscoveredGrant> found;
  std::optional<PermitFacts> agent;  // where its program may start
  std::optional<Permit> permit;      // and once that is durable
  TaskRecord record_before;
  EndReason stopping_before = EndReason::none;

  void write_down(const Object& told, std::vector<Answer> answers) {
    body = capsules::write_canonical(told);
    view = encode_decision({body, std::move(answers)});
  }
  Denial denial() const { return {decision, *denied, ends_task}; }
  void apply();
  void undo();
  void undo_call();
  Status write(store::WriteTxn& txn, const Now& now) const;
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
  task->stopping = stopping_before;
  if (call) undo_call();
  if (call_before) task->keep_call(number, *call_before);
}

void Authority::State::Staged::undo_call() {
  for (std::size_t i = 0; i < call->spent_before.size(); ++i) {
    *call->running.line[i]->spent = call->spent_before[i];
  }
  for (const std::string& label : call->labels) task->labels.erase(label);
  task->once.erase(call->record.once);
  for (const Hash& chain : call->idled) task->chains.at(chain).ended = false;
  if (call->once_before) task->once.emplace(call->record.once, *call->once_before);
  task->running.erase(call->record.id);
  if (call_before) return;
  task->drop_handle(call->number);
  task->calls.resize(call->number);
}

Status Authority::State::Staged::write(store::WriteTxn& txn, const Now& now) const {
  using store::Table;
  TAPER_CHECK(txn.append(store::LeafType::decision, body));
  TAPER_CHECK(txn.put_new(Table::decisions, decision.span(), view));
  if (call_before && !call) {
    const CallRecord& cancelled = task->calls[number];
    if (call_before->state == CallState::waiting)
      return write_outcome(txn, task->id, &task->root(), number, cancelled, now, task->chains,
                           task->record);
    return txn.put(Table::calls, call_key(task->id, number), encode_call(cancelled));
  }
  // One commit: no crash leaves the refusal that ends a task without its end.
  if (ends_task != EndReason::none)
    return write_ending(txn, task->id, ends_task, now, task->record, over);
  if (!call) return success();
  const Bytes key = call_key(task->id, call->number);
  const Bytes record = encode_call(call->record);
  TAPER_CHECK(call_before ? txn.put(Table::calls, key, record)
                          : txn.put_new(Table::calls, key, record));
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
                                                               const CallId& handle,
                                                               const Hash& input, const Now& now) {
  const Result<Object> arguments = capsules::parse_arguments(request.arguments);
  std::optional<TaskRecord> record;
  Chains chains;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(record, read_task(txn, request.task));
    TAPER_TRY(chains, read_chains(txn, request.task));
    return success();
  }));
  if (!record) return Error(Code::unknown_task, {"task", "", request.task.hex(), ""});
  Case c{request, arguments, now, {}, crypto::random_id<DecisionId>(), handle};
  c.input = input;
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
  task.bring(next, c.now);
  EndReason ends = c.ruling.ends_task;
  if (c.ruling.failed != Question::task_live) {
    ++next.denials;
    const auto most = static_cast<std::uint64_t>(next.end_on.denials);
    if (ends == EndReason::none && next.denials >= most) ends = EndReason::denials;
  }
  Object body = decision_body(task.id, next, task.chains, &task, c);
  body.emplace_back("denials", count_value(next.denials));
  if (ends != EndReason::none) body.emplace_back("ends_task", end_reason_name(ends));
  staged.ends_task = ends;
  const ErrorDetail& why = c.ruling.error->detail();
  staged.over = {.ends_task = c.ruling.ends_task, .expected = why.expected, .got = why.got};
  staged.write_down(body, explain(task, around(), c.request, c.ruling, c.now));
  if (ends != EndReason::none) task.stopping = ends;
}

CallRecord Authority::State::call_record(const LiveTask& task, const Case& c) const {
  CallRecord record{crypto::random_id<CallId>(),
                    c.request.chain,
                    c.decision,
                    c.ruling.line[0],
                    c.ruling.tool->effect == capsules::Effect::read,
                    c.request.step,
                    CallState::authorised,
                    Code::ok,
                    c.ruling.once};
  if (c.request.handle_ttl_ms)
    record.handle = make_handle(task, *c.ruling.branch, around(), c.ruling.line[c.ruling.depth - 1],
                                *c.request.handle_ttl_ms, c.now);
  if (!c.request.goes_on) return record;
  // Its name and its maker stay, and so does the time of its handle.
  const CallRecord& before = task.calls[c.ruling.number];
  record.id = before.id;
  record.chain = before.chain;
  record.step = before.step;
  record.handle = before.handle;
  record.handle->updated = c.now;
  record.handle->arguments = {};
  return record;
}

Status Authority::State::stage_permit(LiveTask& task, Case& c, Staged& staged) {
  TAPER_TRY(auto secrets, release(task.root(), task.root().grants[c.ruling.line[0]]));
  StagedCall& call = staged.call.emplace();
  call.secrets = std::move(secrets);
  TaskRecord& next = task.record;
  call.record = call_record(task, c);
  if (c.request.goes_on) staged.call_before = task.calls[staged.number = c.ruling.number];
  auto answers = explain(task, around(), c.request, c.ruling, c.now);
  call.facts = permit_facts(task, around(), call.record.id, c);
  // The call makes the task busy again, and a chain whose idle time was over stays over.
  for (auto& [chain, known] : task.chains) {
    if (known.ended || task.idle_ms(c.now) < known.idle_ms) continue;
    known.ended = true;
    call.idled.push_back(chain);
  }
  task.bring(next, c.now);
  next.idle_used_ms = 0;
  call.number = c.request.goes_on ? staged.number : next.calls++;
  call.grant = c.ruling.line[c.ruling.depth - 1];
  Object body = decision_body(task.id, next, task.chains, &task, c);
  if (!c.request.goes_on) body.emplace_back("call", call.record.id.hex());
  if (c.request.handle_ttl_ms) body.emplace_back("handle_ttl_ms", call.record.handle->ttl_ms);
  staged.write_down(body, std::move(answers));
  call.running = {static_cast<std::size_t>(call.number),
                  {},
                  {},
                  call.grant,
                  arguments_hash(*c.arguments, *c.ruling.tool)};
  for (std::size_t level = 0; level < c.ruling.depth; ++level) {
    const LiveGrant& grant = grant_at(c.ruling, level);
    Charge charge = c.ruling.charge;
    charge.sum = c.ruling.sums[level];
    call.running.line.push_back(&grant);
    call.running.charges.push_back(charge);
    call.spent_before.push_back(*grant.spent);
    *grant.spent = charged(grant.budget, *grant.spent, charge, c.now);
  }
  return success();
}

Result<Authority::State::Staged> Authority::State::stage(const CallRequest& request,
                                                         const Tools& tools, const Now& now) {
  TAPER_ASSERT((!request.handle_ttl_ms && !request.goes_on) ||
               request.verb == capsules::Verb::call);
  LiveTask* task = find(request.task);
  const GoesOn none{};
  const GoesOn& goes_on = request.goes_on ? *request.goes_on : none;
  if (task == nullptr) return stage_ended(request, goes_on.call, goes_on.digest, now);
  const Result<Object> arguments = capsules::parse_arguments(request.arguments);
  Case c{request,
         arguments,
         now,
         decide(*task, around(), request, arguments, tools, now),
         crypto::random_id<DecisionId>(),
         goes_on.call,
         {},
         goes_on.digest};
  return stage_case(*task, c);
}

Result<Authority::State::Staged> Authority::State::stage_case(LiveTask& task, Case& c) {
  Staged staged;
  staged.task = &task;
  staged.decision = c.decision;
  staged.record_before = task.record;
  staged.stopping_before = task.stopping;
  if (c.ruling.error) {
    stage_denial(task, c, staged);
  } else if (is_asked(c.ruling.about, Question::budgets)) {
    TAPER_CHECK(stage_permit(task, c, staged));
  } else {
    stage_told(task, c, staged);
  }
  task.record.log_bytes += staged.body.size();
  staged.apply();
  return staged;
}

// What is told of changes nothing, but that a cancel marks a call that has no outcome yet, and ends
// one that waits.
void Authority::State::stage_told(LiveTask& task, Case& c, Staged& staged) {
  auto answers = explain(task, around(), c.request, c.ruling, c.now);
  task.bring(task.record, c.now);
  staged.write_down(decision_body(task.id, task.record, task.chains, &task, c), std::move(answers));
  staged.found = std::move(c.found);
  if (c.ruling.about == About::agent) staged.agent = agent_facts(task, around(), c);
  if (c.ruling.about != About::handle) return;
  staged.number = c.ruling.number;
  staged.grant = c.ruling.line[c.ruling.depth - 1];
  CallRecord call = task.calls[staged.number];
  const bool waits = call.state == CallState::waiting;
  const bool open = (call.state == CallState::authorised || waits) && !call.cancelled();
  if (c.request.verb != capsules::Verb::cancel || !open) return;
  staged.call_before = call;
  call.handle->cancelled = true;
  call.handle->updated = c.now;
  if (waits) end_waiting(call, Code::call_cancelled);
  task.keep_call(staged.number, call);
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
      if (staged) TAPER_CHECK(staged->write(txn, now));
    }
    for (const LiveGrant* grant : grants) {
      TAPER_CHECK(txn.put(store::Table::budgets, grant->budget_key, encode_spent(*grant->spent)));
    }
    for (const auto& [id, task] : tasks) TAPER_CHECK(put_task(txn, id, task->record));
    return success();
  });
}

Result<Authority::State::Staged> Authority::State::tell(const AccessRequest& request,
                                                        const Tools& tools, const Now& now) {
  CallRequest asked{request.task, request.chain, request.verb, "", to_bytes(as_bytes("{}")), ""};
  LiveTask* task = find(request.task);
  std::vector<Result<Staged>> one;
  if (task == nullptr) {
    one.push_back(stage_ended(asked, request.call, request.input, now));
  } else {
    const Result<Object> arguments = Object{};
    const bool starts = request.verb == capsules::Verb::unset;
    if (starts) asked.tool = task->root().agent_entry.program;
    Case c{asked,
           arguments,
           now,
           starts ? decide_agent(*task, around(), asked, tools, now)
                  : decide_access(*task, around(), request, now),
           crypto::random_id<DecisionId>(),
           request.call,
           {},
           request.input};
    if (c.ruling.depth > 0) asked.tool = task->root().grants[c.ruling.line[0]].tool;
    if (c.ruling.about == About::grants && !c.ruling.error)
      c.found = discoverable(*task, *c.ruling.branch, tools, now);
    std::erase_if(c.found, [this](const DiscoveredGrant& grant) {
      return !check_policy(node.policy, *grant.tool).ok();
    });
    one.push_back(stage_case(*task, c));
  }
  if (!one.front()) return std::move(one.front());
  const Result<store::Committed> committed = commit_staged(one, now);
  if (committed && one.front()->agent)
    one.front()->permit.emplace(PermitMaker::make(std::move(*one.front()->agent), {}, *committed));
  if (committed) return std::move(one.front());
  one.front()->undo();
  return committed.error();
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
      out.emplace_back(Decision(staged->denial()));
    } else {
      StagedCall& call = *staged->call;
      out.emplace_back(Decision(
          Allowed{PermitMaker::make(std::move(call.facts), std::move(call.secrets), *committed),
                  staged->decision, call.record.id, call.grant}));
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

Result<Access> Authority::access(const AccessRequest& request, const Now& now) {
  TAPER_ASSERT(request.verb >= capsules::Verb::poll && request.verb <= capsules::Verb::cancel);
  TAPER_TRY(const State::Staged staged, state_->tell(request, {}, now));
  if (staged.denied) return Access(staged.denial());
  return Access(view_of(*staged.task, staged.number, staged.grant));
}

Result<Discovery> Authority::discover(const TaskId& task, const Hash& chain, const Tools& tools,
                                      const Now& now) {
  const AccessRequest request{task, chain, capsules::Verb::discover, {}};
  TAPER_TRY(State::Staged staged, state_->tell(request, tools, now));
  if (staged.denied) return Discovery(staged.denial());
  return Discovery(std::move(staged.found));
}

Result<AgentDecision> Authority::start_agent(const TaskId& task, const Hash& chain,
                                             const Tools& tools, const Now& now) {
  const AccessRequest request{task, chain, capsules::Verb::unset, {}};
  TAPER_TRY(State::Staged staged, state_->tell(request, tools, now));
  if (staged.denied) return AgentDecision(staged.denial());
  return AgentDecision(AgentStart{std::move(*staged.permit), staged.decision});
}

}  // namespace taper::authority
