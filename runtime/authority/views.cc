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

// As `lapse` decides by its blocks, by the clocks of whoever looks.
TaskView::ChainView chain_view(const Hash& chain, const ChainRecord& known,
                               const capsules::UntrustedCapsule* said, const TaskView& task,
                               const Now& now) {
  TaskView::ChainView view{chain, known.holder, known.ended};
  if (said == nullptr || said->blocks.empty()) return view;
  const Terms limits = terms(said->root, said->blocks);
  view.blocks = said->blocks.size();
  view.ttl_ms = limits.ttl_ms;
  view.idle_ms = limits.idle_ms;
  view.not_after_s = limits.not_after_s;
  view.ended = known.ended || task.active_ms >= limits.ttl_ms ||
               task.idle_used_ms >= limits.idle_ms || now.wall_s >= limits.not_after_s;
  return view;
}

Result<TaskView> view_of(const store::ReadTxn& txn, const TaskId& id, const TaskRecord& record,
                         const Now& now) {
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
  if (view.said) {
    TAPER_TRY(view.grants, grant_views(txn, *view.said, labels, calls, now));
  }
  for (const auto& [chain, known] : chains) {
    TAPER_TRY(const auto said, read_said(txn, record.capsule, chain));
    view.chains.push_back(chain_view(chain, known, said ? &*said : nullptr, view, now));
    if (chain == record.chain || !said) continue;
    TAPER_TRY(auto grants, grant_views(txn, *said, labels, calls, now));
    std::erase_if(grants, [](const auto& grant) { return grant.block == 0; });  // told already
    view.grants.insert(view.grants.end(), grants.begin(), grants.end());
  }
  return view;
}

}  // namespace

Result<std::vector<TaskView>> list_tasks(const store::Store& store, const Now& now) {
  std::vector<TaskView> views;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(const auto news_s, read_news(txn));
    TAPER_CHECK(visit_tasks(txn, [&](const TaskId& id, const TaskRecord& record) -> Status {
      TAPER_TRY(views.emplace_back(), view_of(txn, id, record, now));
      views.back().news_s = news_s;
      return success();
    }));
    return add_refused(txn, views);
  }));
  std::sort(views.begin(), views.end(),
            [](const TaskView& a, const TaskView& b) { return a.activated_s < b.activated_s; });
  return views;
}

Result<TaskView> show_task(const store::Store& store, const TaskId& task, const Now& now) {
  Result<TaskView> view;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) -> Status {
    TAPER_TRY(const auto record, read_task(txn, task));
    if (!record) return Error(Code::unknown_task, {"task", "", task.hex(), ""});
    view = view_of(txn, task, *record, now);
    if (!view) return success();
    TAPER_TRY(view->news_s, read_news(txn));
    return add_refused(txn, std::span(&*view, 1));
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
