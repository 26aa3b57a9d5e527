#include <algorithm>
#include <map>
#include <span>

#include "runtime/authority/lease.h"
#include "runtime/authority/live_task.h"
#include "runtime/authority/records.h"

namespace taper::authority {
namespace {

bool is_spent(const BudgetLeft& left) {
  const auto none = [](const std::optional<std::int64_t>& count) { return count && *count == 0; };
  return none(left.calls) || none(left.bytes) || none(left.cpu_ms) || none(left.sum);
}

std::vector<std::string> waits_for(const capsules::Capsule& capsule, const capsules::Grant& grant,
                                   const std::vector<CallRecord>& calls) {
  std::vector<std::string> waits = grant.after;
  for (const CallRecord& call : calls) {
    if (call.state == CallState::done && call.grant < capsule.grants.size())
      std::erase(waits, capsule.grants[call.grant].id);
  }
  return waits;
}

// What does not open is not shown, and hides nothing else.
Result<std::optional<capsules::UntrustedCapsule>> read_said(const store::ReadTxn& txn,
                                                            const Hash& capsule,
                                                            const Hash& chain) {
  std::optional<capsules::UntrustedCapsule> said;
  const Bytes key = capsule_key(capsule, chain);
  TAPER_TRY(const auto file, txn.get(store::Table::capsules, key));
  if (!file) return said;
  if (auto read = capsules::read_untrusted(*file, {})) said = std::move(read).value();
  return said;
}

// Empty: this node knows no root, or none that opens.
Result<std::optional<std::int64_t>> read_news(const store::ReadTxn& txn) {
  std::optional<std::int64_t> news_s;
  TAPER_CHECK(txn.scan_back(store::Table::roots, {}, [&news_s](ByteSpan, ByteSpan file) {
    const Result<capsules::TrustRoot> root = capsules::open_root(file);
    if (root) news_s = root->data().issued_at_s;
    return false;
  }));
  return news_s;
}

// The grants of every stage as the capsule's file states them. It was verified when the task was
// made; what is shown gives nobody anything.
Result<std::vector<TaskView::GrantView>> grant_views(const store::ReadTxn& txn,
                                                     const capsules::UntrustedCapsule& capsule,
                                                     const std::set<std::string>& labels,
                                                     const std::vector<CallRecord>& calls,
                                                     const Now& now) {
  std::vector<TaskView::GrantView> views;
  const auto levels = make_levels(capsule.id, capsule.root, capsule.blocks);
  std::size_t above = 0;  // where the level before begins
  for (std::size_t level = 0; level < levels.size(); ++level) {
    const std::size_t begin = views.size();
    for (std::size_t i = 0; i < levels[level].size(); ++i) {
      const LiveGrant& grant = levels[level][i];
      Spent spent;
      TAPER_TRY(const auto found, txn.get(store::Table::budgets, grant.budget_key));
      if (found) {
        TAPER_TRY(spent, decode_spent(*found));
      }
      const capsules::Grant& root = capsule.root.grants[root_of(levels, level, i)];
      const BudgetLeft left = budget_left(grant.budget, spent, now);
      const bool none_left = is_spent(left) || (level > 0 && views[above + grant.parent].spent);
      const std::string parent = level == 0 ? "" : levels[level - 1][grant.parent].id;
      views.push_back({level, capsule.chain, grant.id, root.tool, grant.verbs, grant.args, parent,
                       root.effect, left, none_left, shut_by(levels, level, i, labels),
                       waits_for(capsule.root, root, calls)});
    }
    above = begin;
  }
  return views;
}

// Refusals are kept under their decisions alone, so all of these are looked through, and only where
// a task has any. What cannot be read is not shown, and hides nothing else.
std::optional<std::pair<TaskId, TaskView::RefusedCall>> refused_call(ByteSpan key, ByteSpan value) {
  if (as_text(value).find("\"verdict\":\"deny\"") == std::string_view::npos) return {};
  const Result<DecisionView> view = decode_decision(value);
  if (!view) return {};
  const auto record = capsules::parse_value(as_bytes(view->record), view->record.size());
  if (!record) return {};
  const auto text = [&record](std::string_view name) {
    const capsules::Value* found = record->find(name);
    return found != nullptr && found->text() != nullptr ? *found->text() : std::string();
  };
  const auto number = [&record](std::string_view name) {
    const capsules::Value* found = record->find(name);
    return found != nullptr && found->integer() != nullptr ? *found->integer() : 0;
  };
  const auto task = TaskId::from_hex(text("task"));
  const auto decision = DecisionId::from_hex(to_hex(key));
  const bool counted = text("question") != question_name(Question::task_live);
  if (!task || !decision || !counted || text("verdict") != "deny") return {};
  return std::pair{
      *task, TaskView::RefusedCall{text("step"), text("tool"), *decision, number("number"),
                                   text("name"), text("wall"), number("denials"), text("verb")}};
}

Status add_refused(const store::ReadTxn& txn, std::span<TaskView> views) {
  std::map<TaskId, TaskView*> wanted;
  for (TaskView& view : views) {
    if (view.denials > 0) wanted.emplace(view.task, &view);
  }
  if (wanted.empty()) return success();
  TAPER_CHECK(txn.scan(store::Table::decisions, {}, [&wanted](ByteSpan key, ByteSpan value) {
    auto call = refused_call(key, value);
    const auto found = call ? wanted.find(call->first) : wanted.end();
    if (found != wanted.end()) found->second->refused.push_back(std::move(call->second));
    return true;
  }));
  for (auto& [id, view] : wanted)
    std::ranges::sort(view->refused, {}, &TaskView::RefusedCall::denial);
  return success();
}

// What every view of one store goes by.
struct Looking {
  Now now;
  TimeState time;
  std::optional<std::int64_t> news_s;
  const NodePolicy* own = nullptr;
};

Result<Looking> look(const store::ReadTxn& txn, const Now& now, const NodePolicy* own) {
  Looking at{now, {}, {}, own};
  TAPER_TRY(at.news_s, read_news(txn));
  TAPER_TRY(const TimeState kept, read_time(txn));
  at.time = raise(kept, at.news_s.value_or(0), now);
  return at;
}

// What a task's own clocks come to, and who asks them.
struct Judge {
  Aging task;
  NodeFacts node;
  const Looking& at;

  Judge(const capsules::Capsule& root, const TaskRecord& record, const TaskView& view,
        const Looking& looking)
      : task{root, record, view.active_ms, view.call_runs ? 0 : view.idle_used_ms}, at(looking) {
    node.policy.hash = at.own != nullptr ? at.own->hash : record.policy;
  }
  Estimate known() const { return estimate(at.time, task.root.issued_at_s, at.now); }
  Caps caps(const Terms& limits) const { return caps_now(task.root, limits, known()); }
  Lapse over(const Terms& limits) const {
    return lapse(task, limits, {node, at.time, at.news_s.value_or(0)}, at.now);
  }
};

void judge_task(const Judge& judge, TaskView& view) {
  const Terms limits = terms(judge.task.root, {});
  const Lapse over = judge.over(limits);
  view.stopped = over.code;
  view.due = over.ends_task;
  if (!over.expected.empty()) view.stopped_why = "expected " + over.expected + "; got " + over.got;
  view.known_s = judge.known().s;
  const Caps caps = judge.caps(limits);
  view.ttl_cap_ms = caps.ttl_ms;
  view.idle_cap_ms = caps.idle_ms;
}

TaskView::ChainView chain_view(const Hash& chain, const ChainRecord& known,
                               const capsules::UntrustedCapsule* said, const TaskRecord& record,
                               const TaskView& task, const Looking& at) {
  TaskView::ChainView view{chain, known.holder, known.ended};
  if (said == nullptr || said->blocks.empty()) return view;
  const Judge judge(said->root, record, task, at);
  const Terms limits = terms(said->root, said->blocks);
  const Caps caps = judge.caps(limits);
  view.blocks = said->blocks.size();
  view.ttl_ms = caps.ttl_ms;
  view.idle_ms = caps.idle_ms;
  view.not_after_s = limits.not_after_s;
  // What stops the task is told of the task.
  const bool over = task.stopped == Code::ok && judge.over(limits).code != Code::ok;
  view.ended = known.ended || over;
  return view;
}

Result<TaskView> view_of(const store::ReadTxn& txn, const TaskId& id, const TaskRecord& record,
                         const Looking& at) {
  const Now& now = at.now;
  TaskView view;
  view.task = id;
  view.capsule = record.capsule;
  view.state = record.state;
  view.reason = record.reason;
  view.purpose = record.purpose;
  view.requester = record.requester;
  view.agent = record.agent;
  view.tenant = record.tenant;
  view.holder = record.holder;
  view.issuer = record.issuer;
  view.serial = record.serial;
  view.root_version = record.root_version;
  view.activated_s = record.activated_s;
  view.not_after_s = record.not_after_s;
  view.ttl_ms = record.ttl_ms;
  view.idle_ms = record.idle_ms;
  view.long_lease = record.long_lease;
  view.seen = record.seen;
  view.end_on = record.end_on;
  view.log_bytes = record.log_bytes;
  view.denials = record.denials;
  TAPER_TRY(view.activations_spent, read_activations(txn, record.capsule));
  TAPER_TRY(view.said, read_said(txn, record.capsule, record.chain));
  TAPER_TRY(const auto labels, read_labels(txn, record.capsule));
  view.labels.assign(labels.begin(), labels.end());
  TAPER_TRY(const auto calls, read_calls(txn, id));
  TAPER_TRY(const Chains chains, read_chains(txn, id));
  view.calls = past_calls_of(calls, chains);
  for (const CallRecord& call : calls) {
    const bool waits = call.state == CallState::waiting;
    if (call.state == CallState::authorised || waits) view.call_runs = true;
  }
  TaskRecord until = record;
  if (!is_terminal(record.state)) advance(until, view.call_runs, now);
  view.active_ms = until.active_ms;
  view.idle_used_ms = until.idle_used_ms;
  view.ttl_cap_ms = view.ttl_ms;
  view.idle_cap_ms = view.idle_ms;
  view.news_s = at.news_s;
  view.known_s = estimate(at.time, 0, now).s;
  if (view.said && !is_terminal(record.state))
    judge_task(Judge(view.said->root, record, view, at), view);
  if (view.said) {
    TAPER_TRY(view.grants, grant_views(txn, *view.said, labels, calls, now));
  }
  for (const auto& [chain, known] : chains) {
    TAPER_TRY(const auto said, read_said(txn, record.capsule, chain));
    view.chains.push_back(chain_view(chain, known, said ? &*said : nullptr, record, view, at));
    if (chain == record.chain || !said) continue;
    TAPER_TRY(auto grants, grant_views(txn, *said, labels, calls, now));
    std::erase_if(grants, [](const auto& grant) { return grant.block == 0; });  // told already
    view.grants.insert(view.grants.end(), grants.begin(), grants.end());
  }
  return view;
}

}  // namespace

Result<std::vector<TaskView>> list_tasks(const store::Store& store, const Now& now,
                                         const NodePolicy* own) {
  std::vector<TaskView> views;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(const Looking at, look(txn, now, own));
    TAPER_CHECK(visit_tasks(txn, [&](const TaskId& id, const TaskRecord& record) -> Status {
      TAPER_TRY(views.emplace_back(), view_of(txn, id, record, at));
      return success();
    }));
    return add_refused(txn, views);
  }));
  std::sort(views.begin(), views.end(),
            [](const TaskView& a, const TaskView& b) { return a.activated_s < b.activated_s; });
  return views;
}

Result<TaskView> show_task(const store::Store& store, const TaskId& task, const Now& now,
                           const NodePolicy* own) {
  Result<TaskView> view;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(const auto record, read_task(txn, task));
    if (!record) return Error(Code::unknown_task, {"task", "", task.hex(), ""});
    TAPER_TRY(const Looking at, look(txn, now, own));
    view = view_of(txn, task, *record, at);
    return view ? add_refused(txn, std::span(&*view, 1)) : success();
  }));
  return view;
}

bool body_says(ByteSpan body, std::string_view name, std::string_view text) {
  if (as_text(body).find(text) == std::string_view::npos) return false;
  const auto parsed = capsules::parse_value(body, limits::kAuditRecordBytesMax);
  const capsules::Value* found = parsed.ok() ? parsed->find(name) : nullptr;
  return found != nullptr && found->text() != nullptr && *found->text() == text;
}

Result<DecisionView> explain_decision(const store::Store& store, const DecisionId& decision) {
  Result<DecisionView> view;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(const auto found, txn.get(store::Table::decisions, decision.span()));
    if (!found) return Error(Code::unknown_decision, {"decision", "", decision.hex(), ""});
    view = decode_decision(*found);
    return success();
  }));
  return view;
}

}  // namespace taper::authority
