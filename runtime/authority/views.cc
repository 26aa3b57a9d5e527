#include <algorithm>

#include "runtime/authority/live_task.h"
#include "runtime/authority/records.h"

namespace taper::authority {
namespace {

std::optional<std::int64_t> left_of(const std::optional<std::int64_t>& limit, std::uint64_t spent) {
  if (!limit) return std::nullopt;
  const auto used = static_cast<std::int64_t>(std::min<std::uint64_t>(spent, INT64_MAX));
  return std::max<std::int64_t>(0, saturating_subtract(*limit, used));
}

// The grants as the capsule's file states them. It was verified when the task was made; what is
// shown gives nobody anything.
Result<std::vector<TaskView::GrantView>> grant_views(const store::ReadTxn& txn,
                                                     const TaskRecord& record) {
  std::vector<TaskView::GrantView> views;
  const Bytes key = capsule_key(record.capsule, record.chain);
  TAPER_TRY(const auto file, txn.get(store::Table::capsules, key));
  if (!file) return views;
  TAPER_TRY(const auto envelope, capsules::read_envelope(*file));
  TAPER_TRY(const auto capsule, capsules::decode_capsule(envelope.payload));
  for (const capsules::Grant& grant : capsule.grants) {
    Spent spent;
    TAPER_TRY(const auto found,
              txn.get(store::Table::budgets, budget_key(record.capsule, Hash{}, grant.id)));
    if (found) {
      TAPER_TRY(spent, decode_spent(*found));
    }
    views.push_back({grant.id, grant.tool, left_of(grant.budget.calls, spent.calls),
                     left_of(grant.budget.bytes, spent.bytes)});
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
  TAPER_TRY(view.grants, grant_views(txn, record));
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
