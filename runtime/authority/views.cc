#include <algorithm>

#include "runtime/authority/live_task.h"
#include "runtime/authority/records.h"

namespace taper::authority {
namespace {

std::string shut_by(const std::vector<Level>& levels, std::size_t level, std::size_t index,
                    const std::set<std::string>& labels) {
  for (;; --level) {
    const LiveGrant& grant = levels[level][index];
    for (const std::string& label : grant.refuse_after) {
      if (labels.contains(label)) return label;
    }
    if (level == 0) return "";
    index = grant.parent;
  }
}

// The grants of every stage as the capsule's file states them. It was verified when the task was
// made; what is shown gives nobody anything.
Result<std::vector<TaskView::GrantView>> grant_views(const store::ReadTxn& txn,
                                                     const TaskRecord& record,
                                                     const std::set<std::string>& labels,
                                                     const Now& now) {
  std::vector<TaskView::GrantView> views;
  const Bytes key = capsule_key(record.capsule, record.chain);
  TAPER_TRY(const auto file, txn.get(store::Table::capsules, key));
  if (!file) return views;
  TAPER_TRY(const auto capsule, capsules::read_untrusted(*file, {}));
  const auto levels = make_levels(record.capsule, capsule.root, capsule.blocks);
  for (std::size_t level = 0; level < levels.size(); ++level) {
    for (std::size_t i = 0; i < levels[level].size(); ++i) {
      const LiveGrant& grant = levels[level][i];
      Spent spent;
      TAPER_TRY(const auto found, txn.get(store::Table::budgets, grant.budget_key));
      if (found) {
        TAPER_TRY(spent, decode_spent(*found));
      }
      views.push_back({level, grant.id, capsule.root.grants[root_of(levels, level, i)].tool,
                       budget_left(grant.budget, spent, now), shut_by(levels, level, i, labels)});
    }
  }
  return views;
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
  view.activated_s = record.activated_s;
  view.not_after_s = record.not_after_s;
  view.ttl_ms = record.ttl_ms;
  view.idle_ms = record.idle_ms;
  view.active_ms = record.active_ms;
  if (!is_terminal(record.state))
    view.active_ms = saturating_add(record.active_ms, elapsed_ms(record.seen, now));
  view.denials = record.denials;
  TAPER_TRY(const auto labels, read_labels(txn, record.capsule));
  view.labels.assign(labels.begin(), labels.end());
  TAPER_TRY(view.grants, grant_views(txn, record, labels, now));
  TAPER_TRY(const auto calls, read_calls(txn, id));
  view.calls = past_calls_of(calls);
  return view;
}

}  // namespace

Result<std::vector<TaskView>> list_tasks(const store::Store& store, const Now& now) {
  std::vector<TaskView> views;
  TAPER_CHECK(store.read([&](const store::ReadTxn& txn) {
    return visit_tasks(txn, [&](const TaskId& id, const TaskRecord& record) -> Status {
      TAPER_TRY(views.emplace_back(), view_of(txn, id, record, now));
      return success();
    });
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
    return success();
  }));
  return view;
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
