#include "runtime/authority/live_task.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "runtime/authority/profile.h"

namespace taper::authority {
namespace {

using capsules::ArgRule;

std::int64_t end_of(const HandleRecord& handle) {
  return saturating_add(handle.from_ms, handle.ttl_ms);
}

// The branch that a kept grant's budget belongs to: all before its block, and the holder it hands
// on to. Every chain that goes on from there shares it. A rate's debt is counted in its own units,
// so another rate is another branch.
Hash branch_of(const capsules::Block& block, const capsules::KeptGrant& kept) {
  const auto rate = kept.budget.rate.value_or(capsules::Rate{});
  const Bytes units = ByteWriter().i64(rate.count).i64(rate.per_ms).bytes();
  const bool rated = kept.budget.rate.has_value();
  return crypto::hash(
      {block.previous.span(), block.holder.span(), rated ? ByteSpan(units) : ByteSpan()});
}

// A block takes verbs away; naming none, it takes none.
std::vector<capsules::Verb> narrowed(std::vector<capsules::Verb> verbs,
                                     const std::vector<capsules::Verb>& own) {
  const auto gone = [&own](capsules::Verb verb) {
    return std::find(own.begin(), own.end(), verb) == own.end();
  };
  if (!own.empty()) std::erase_if(verbs, gone);
  return verbs;
}

// A block adds rules; it never takes one away.
std::vector<ArgRule> narrowed(std::vector<ArgRule> args, const std::vector<ArgRule>& further) {
  for (const ArgRule& rule : further) {
    const auto same = std::find_if(args.begin(), args.end(),
                                   [&rule](const ArgRule& a) { return a.name == rule.name; });
    if (same == args.end()) {
      args.push_back(rule);
      continue;
    }
    same->optional = same->optional && rule.optional;
    same->all.insert(same->all.end(), rule.all.begin(), rule.all.end());
  }
  return args;
}

}  // namespace

std::vector<Level> make_levels(const Hash& capsule, const capsules::Capsule& root,
                               const std::vector<capsules::Block>& blocks) {
  std::vector<Level> levels(1);
  for (const capsules::Grant& grant : root.grants) {
    levels[0].push_back({grant.id, 0, grant.verbs, grant.args, grant.budget, grant.labels,
                         grant.refuse_after, budget_key(capsule, Hash{}, grant.id)});
  }
  for (const capsules::Block& block : blocks) {
    Level level;
    for (const capsules::KeptGrant& kept : block.grants) {
      const Level& above = levels.back();
      const auto parent = std::find_if(above.begin(), above.end(),
                                       [&kept](const LiveGrant& g) { return g.id == kept.parent; });
      if (parent == above.end()) continue;
      level.push_back({kept.id, static_cast<std::size_t>(parent - above.begin()),
                       narrowed(parent->verbs, kept.verbs), narrowed(parent->args, kept.args),
                       kept.budget, kept.labels, kept.refuse_after,
                       budget_key(capsule, branch_of(block, kept), kept.id), kept.verbs,
                       !kept.args.empty()});
    }
    levels.push_back(std::move(level));
  }
  return levels;
}

std::size_t root_of(const std::vector<Level>& levels, std::size_t level, std::size_t index) {
  for (; level > 0; --level) index = levels[level][index].parent;
  return index;
}

std::int64_t handle_left_ms(const LiveTask& task, const HandleRecord& handle, const Now& now) {
  const std::int64_t used = saturating_subtract(task.active_ms(now), handle.from_ms);
  return std::max<std::int64_t>(0, saturating_subtract(handle.ttl_ms, used));
}

BudgetLeft least_left(const Branch& branch, std::size_t grant, const Now& now) {
  BudgetLeft least;
  for (std::size_t level = branch.levels.size(); level-- > 0;) {
    const LiveGrant& at = branch.levels[level][grant];
    const BudgetLeft left = budget_left(at.budget, *at.spent, now);
    for (const auto count : {&BudgetLeft::calls, &BudgetLeft::rate, &BudgetLeft::bytes,
                             &BudgetLeft::cpu_ms, &BudgetLeft::sum}) {
      if (left.*count)
        least.*count = std::min((least.*count).value_or(*(left.*count)), *(left.*count));
    }
    grant = at.parent;
  }
  return least;
}

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

bool has_tool(const Branch& branch, std::size_t grant) {
  const std::size_t last = branch.levels.size() - 1;
  for (std::size_t i = 0; i < branch.trees.size(); ++i) {
    if (branch.trees[i] && root_of(branch.levels, last, i) == grant) return true;
  }
  return false;
}

Terms terms(const capsules::Capsule& root, const std::vector<capsules::Block>& blocks) {
  Terms out{root.not_before_s, root.not_after_s, root.lease_ttl_ms, root.lease_idle_ms};
  for (const capsules::Block& block : blocks) {
    out.not_before_s = std::max(out.not_before_s, block.not_before_s.value_or(out.not_before_s));
    out.not_after_s = std::min(out.not_after_s, block.not_after_s.value_or(out.not_after_s));
    out.ttl_ms = std::min(out.ttl_ms, block.lease_ttl_ms.value_or(out.ttl_ms));
    out.idle_ms = std::min(out.idle_ms, block.lease_idle_ms.value_or(out.idle_ms));
  }
  return out;
}

Branch::Branch(capsules::VerifiedCapsule its_capsule)
    : capsule(std::move(its_capsule)),
      limits(terms(capsule.root(), capsule.blocks())),
      levels(make_levels(capsule.id(), capsule.root(), capsule.blocks())),
      trees(levels.back().size()) {}

LiveTask::LiveTask(TaskId task, TaskRecord its_record, capsules::VerifiedCapsule its_capsule)
    : id(task),
      record(std::move(its_record)),
      capsule(std::move(its_capsule)),
      limits(terms(capsule.root(), {})) {}

const Branch* LiveTask::branch(const Hash& chain) const {
  const auto found = branches.find(chain);
  return found == branches.end() ? nullptr : &found->second;
}

void LiveTask::attach(Branch branch) {
  const auto [at, fresh] = branches.try_emplace(branch.capsule.chain(), branch);
  Branch& attached = at->second;
  if (!fresh && attached.trees == branch.trees) return;
  // Other trees are never shown to a cell that stands already.
  attached.trees = std::move(branch.trees);
  attached.first_cell = cells;
  cells += static_cast<std::uint32_t>(attached.trees.size());
}

void LiveTask::keep_call(std::size_t number, const CallRecord& call) {
  TAPER_ASSERT(number <= calls.size());
  if (number == calls.size()) calls.emplace_back();
  drop_handle(number);
  calls[number] = call;
  if (call.state == CallState::done) done.insert(static_cast<std::size_t>(call.grant));
  if (!call.once.is_zero()) once[call.once] = state_of_id(call);
  waiting.erase(number);
  if (call.state == CallState::waiting) waiting.insert(number);
  if (!call.handle) return;
  handles.emplace(call.id, number);
  handle_ends.emplace(end_of(*call.handle), call.id);
}

void LiveTask::drop_handle(std::size_t number) {
  const CallRecord& call = calls[number];
  if (!call.handle) return;
  handles.erase(call.id);
  handle_ends.erase({end_of(*call.handle), call.id});
}

std::int64_t LiveTask::active_ms(const Now& now) const {
  return saturating_add(record.active_ms, elapsed_ms(record.seen, now));
}

std::int64_t LiveTask::idle_ms(const Now& now) const {
  if (busy(now)) return 0;
  std::int64_t idle = saturating_add(record.idle_used_ms, elapsed_ms(record.seen, now));
  // Since the last of those that waited was over, whenever that is noticed.
  for (const std::size_t number : waiting) {
    const HandleRecord& handle = *calls[number].handle;
    const std::int64_t until = saturating_add(handle.from_ms, handle.ttl_ms);
    idle = std::min(idle, saturating_subtract(active_ms(now), until));
  }
  return idle;
}

bool LiveTask::busy(const Now& now) const {
  return !running.empty() || std::ranges::any_of(waiting, [&](std::size_t number) {
    return handle_left_ms(*this, *calls[number].handle, now) > 0;
  });
}

void LiveTask::bring(TaskRecord& next, const Now& now) const {
  const std::int64_t idle = idle_ms(now);
  advance(next, true, now);
  next.idle_used_ms = idle;
}

void advance(TaskRecord& record, bool busy, const Now& now) {
  const std::int64_t passed = elapsed_ms(record.seen, now);
  record.active_ms = saturating_add(record.active_ms, passed);
  record.idle_used_ms = busy ? 0 : saturating_add(record.idle_used_ms, passed);
  const std::int64_t due_s = saturating_add(record.seen.wall_s, passed / 1000);
  record.seen = now;
  // To look at a clock that was set back is not to forget it, and small steps add up.
  if (record.end_on.clock_step) record.seen.wall_s = std::max(now.wall_s, due_s);
}

Status load_branch(const store::ReadTxn& txn, LiveTask& task, Branch& branch, const Now& now) {
  for (Level& level : branch.levels) {
    for (LiveGrant& grant : level) {
      const auto [at, fresh] = task.spent.try_emplace(grant.budget_key);
      grant.spent = &at->second;
      if (!fresh) continue;
      TAPER_TRY(const auto found, txn.get(store::Table::budgets, grant.budget_key));
      if (!found) continue;
      TAPER_TRY(at->second, decode_spent(*found));
      carry_rate(at->second, now);
    }
  }
  return success();
}

Status load_task(const store::ReadTxn& txn, LiveTask& task) {
  TAPER_TRY(task.chains, read_chains(txn, task.id));
  TAPER_TRY(task.labels, read_labels(txn, task.capsule.id()));
  TAPER_TRY(task.once, read_once(txn, task.capsule.id()));
  TAPER_TRY(const auto calls, read_calls(txn, task.id));
  for (const CallRecord& call : calls) task.keep_call(task.calls.size(), call);
  TAPER_TRY(const auto inputs, txn.get(store::Table::tasks, inputs_key(task.id)));
  if (inputs) {
    TAPER_TRY(task.inputs, decode_inputs(*inputs));
  }
  return success();
}

Status compile_profiles(Branch& branch, const Tools& tools,
                        const std::vector<std::string>& forbidden) {
  const std::vector<Level>& levels = branch.levels;
  const std::size_t last = levels.size() - 1;
  std::map<std::size_t, std::vector<GrantedTree>> granted;  // of root grants, each asked once
  for (std::size_t i = 0; i < levels[last].size(); ++i) {
    const std::size_t grant = root_of(levels, last, i);
    const auto tool = tools.find(branch.capsule.root().grants[grant].tool);
    if (tool == tools.end()) continue;
    TAPER_TRY(auto trees, compile_trees(levels[last][i].args, tool->second, forbidden));
    if (last > 0) {
      // A block's own rules may only take mounts away, whatever arguments they speak about.
      if (!granted.contains(grant)) {
        TAPER_TRY(granted[grant], compile_trees(levels[0][grant].args, tool->second, forbidden));
      }
      TAPER_CHECK(check_within(trees, granted[grant]));
    }
    branch.trees[i] = std::move(trees);
  }
  return success();
}

}  // namespace taper::authority
