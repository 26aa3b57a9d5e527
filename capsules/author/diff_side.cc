#include "capsules/author/diff_side.h"

#include <algorithm>

#include "capsules/author/implies.h"

namespace taper::capsules {
namespace {

template <class T>
bool holds_all(const T& large, const T& small) {
  return std::ranges::all_of(
      small, [&large](const auto& item) { return std::ranges::find(large, item) != large.end(); });
}

bool share_a_verb(const std::vector<Verb>& a, const std::vector<Verb>& b) {
  return std::ranges::any_of(a, [&b](Verb verb) { return std::ranges::find(b, verb) != b.end(); });
}

// Absent: what limits.h says, for both.
bool lower(const std::optional<std::int64_t>& mine, const std::optional<std::int64_t>& theirs) {
  return !theirs || (mine && *mine <= *theirs);
}

// Of two caps the smaller holds.
CellLimits smaller(const CellLimits& own, const CellLimits& other) {
  const auto either = [](const auto& a, const auto& b) {
    return a && b ? std::min(a, b) : a ? a : b;
  };
  return {either(own.output_bytes, other.output_bytes),
          either(own.memory_bytes, other.memory_bytes), either(own.processes, other.processes),
          either(own.cpu_s, other.cpu_s), either(own.wall_ms, other.wall_ms)};
}

CellLimits cell_of(const Capsule& root, const Grant& grant) {
  return smaller(grant.cell, root.cell);
}

bool cell_within(const CellLimits& mine, const CellLimits& theirs) {
  return lower(mine.output_bytes, theirs.output_bytes) &&
         lower(mine.memory_bytes, theirs.memory_bytes) && lower(mine.processes, theirs.processes) &&
         lower(mine.cpu_s, theirs.cpu_s) && lower(mine.wall_ms, theirs.wall_ms);
}

bool same_tool(const Grant& mine, const Grant& theirs) {
  if (theirs.digest_kind == DigestKind::unpinned) return true;
  return mine.digest_kind == theirs.digest_kind && mine.digest == theirs.digest;
}

bool same_rate(const std::optional<Rate>& mine, const Rate& theirs) {
  return mine && mine->count <= theirs.count && mine->per_ms >= theirs.per_ms;
}

// The most that the marked leaves may spend below one grant; empty: without end.
std::optional<std::int64_t> most_below(const Side& side, std::size_t level, std::size_t index,
                                       const std::vector<bool>& marked, ReadBudget read) {
  std::optional<std::int64_t> below = 0;
  if (level + 1 == side.lineage.size()) {
    below = marked[index] ? std::nullopt : std::optional<std::int64_t>(0);
  } else {
    const auto& next = side.lineage[level + 1];
    for (std::size_t i = 0; i < next.size() && below; ++i) {
      if (next[i].parent != index) continue;
      const auto more = most_below(side, level + 1, i, marked, read);
      std::int64_t sum = 0;
      const bool fits = more && !__builtin_add_overflow(*below, *more, &sum);
      below = fits ? std::optional<std::int64_t>(sum) : std::nullopt;
    }
  }
  const std::optional<std::int64_t> own = read(side.lineage[level][index].budget);
  if (!own || (below && *below <= *own)) return below;
  return own;
}

bool kind_within(const Side& my, const std::vector<bool>& marked, std::int64_t most,
                 ReadBudget read) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < my.lineage[0].size(); ++i) {
    const auto more = most_below(my, 0, i, marked, read);
    if (!more || __builtin_add_overflow(sum, *more, &sum)) return false;
  }
  return sum <= most;
}

// Rates and sums: shown only where one grant of mine, with the same or less, stands above them all.
bool one_stands_above(const Side& my, const std::vector<bool>& marked, const auto& test) {
  for (std::size_t level = 0; level < my.lineage.size(); ++level) {
    std::set<std::size_t> at;
    for (std::size_t i = 0; i < my.leaves.size(); ++i) {
      if (marked[i]) at.insert(my.leaves[i].line[level]);
    }
    if (at.empty()) return true;
    if (at.size() == 1 && test(my.lineage[level][*at.begin()].budget)) return true;
  }
  return false;
}

bool budget_within(const Side& my, const std::vector<bool>& marked, const Budget& theirs) {
  for (const BudgetKind& kind : budget_kinds()) {
    const std::optional<std::int64_t> most = kind.read(theirs);
    if (most && !kind_within(my, marked, *most, kind.read)) return false;
  }
  if (theirs.rate && !one_stands_above(my, marked, [&theirs](const Budget& mine) {
        return same_rate(mine.rate, *theirs.rate);
      })) {
    return false;
  }
  return !theirs.sum || one_stands_above(my, marked, [&theirs](const Budget& mine) {
    return mine.sum && mine.sum->argument == theirs.sum->argument &&
           mine.sum->most <= theirs.sum->most;
  });
}

bool window_within(const Side& my, const Side& their) {
  const Capsule& a = my.root;
  const Capsule& b = their.root;
  const auto inside = [](const Capsule& small, const Capsule& large) {
    return small.not_before_s >= large.not_before_s && small.not_after_s <= large.not_after_s;
  };
  if (my.chain.id == their.chain.id || inside(a, b) || inside(b, a)) return inside(a, b);
  return a.not_after_s - a.not_before_s <= b.not_after_s - b.not_before_s;
}

bool result_within(const std::optional<ResultRule>& mine, const std::optional<ResultRule>& theirs) {
  if (!mine) return true;
  return theirs && holds_all(theirs->readers, mine->readers) &&
         mine->retention_ms <= theirs->retention_ms && mine->reads <= theirs->reads;
}

std::vector<std::string> ends_beyond(const EndOn& mine, const EndOn& theirs) {
  std::vector<std::string> out;
  const auto flag = [&out](bool own, bool other, const char* name) {
    if (other && !own) out.push_back(std::string("it does not end on ") + name);
  };
  flag(mine.completion, theirs.completion, "completion");
  flag(mine.failure, theirs.failure, "failure");
  flag(mine.violation, theirs.violation, "violation");
  flag(mine.tool_drift, theirs.tool_drift, "tool drift");
  flag(mine.policy_drift, theirs.policy_drift, "policy drift");
  flag(mine.clock_step, theirs.clock_step, "a clock step");
  if (mine.denials > theirs.denials) {
    out.push_back("it ends after " + std::to_string(mine.denials) + " denials, the other after " +
                  std::to_string(theirs.denials));
  }
  return out;
}

}  // namespace

Side::Side(const UntrustedCapsule& capsule)
    : chain(capsule),
      root(with_shortened_times(capsule.root, capsule.blocks)),
      lineage(lineage_of(capsule.root, capsule.blocks)) {
  const std::size_t last = lineage.size() - 1;
  for (std::size_t i = 0; i < lineage[last].size(); ++i) {
    Leaf leaf{std::vector<std::size_t>(lineage.size()),
              lineage[last][i].verbs,
              lineage[last][i].args,
              {},
              {}};
    std::size_t index = i;
    for (std::size_t level = lineage.size(); level-- > 0;) {
      const LineGrant& grant = lineage[level][index];
      leaf.line[level] = index;
      leaf.labels.insert(grant.labels.begin(), grant.labels.end());
      leaf.refuse_after.insert(grant.refuse_after.begin(), grant.refuse_after.end());
      index = grant.parent;
    }
    leaves.push_back(std::move(leaf));
  }
}

const Leaf* Side::leaf_of(const std::vector<std::size_t>& line) const {
  return line.size() == lineage.size() ? &leaves[line.back()] : nullptr;
}

bool Side::whole(std::size_t level, std::size_t index) const {
  if (level + 1 == lineage.size()) return true;
  const auto& next = lineage[level + 1];
  for (std::size_t i = 0; i < next.size(); ++i) {
    if (next[i].parent != index) continue;
    if (!whole(level + 1, i)) return false;
    if (holds_all(next[i].verbs, lineage[level][index].verbs) &&
        rules_within(lineage[level][index].args, next[i].args)) {
      return true;
    }
  }
  return false;
}

bool Side::reached(const Leaf& leaf) const {
  for (std::size_t level = 0; level < lineage.size(); ++level) {
    for (std::size_t i = 0; i < leaf.line[level]; ++i) {
      const LineGrant& before = lineage[level][i];
      const bool sibling = level == 0 ? root.grants[i].tool == grant_of(leaf).tool
                                      : before.parent == leaf.line[level - 1];
      if (sibling && share_a_verb(before.verbs, leaf.verbs) && !whole(level, i) &&
          !rules_apart(before.args, leaf.args))
        return false;
    }
  }
  return true;
}

std::string ways_beyond(const Side& my, const Leaf& mine, const Side& their, const Leaf& theirs) {
  const Grant& a = my.grant_of(mine);
  const Grant& b = their.grant_of(theirs);
  if (!same_tool(a, b)) return "it allows another tool of this name";
  if (a.effect > b.effect) return "it allows a larger effect";
  if (!holds_all(mine.labels, theirs.labels)) return "it gives the task fewer labels";
  if (!holds_all(mine.refuse_after, theirs.refuse_after)) return "fewer labels shut it";
  if (!holds_all(a.after, b.after)) return "fewer calls must come first";
  if (!holds_all(b.secrets, a.secrets)) return "it gives the call more secrets";
  if (!b.idempotency.empty() && a.idempotency != b.idempotency) {
    return "it lets a call's id be used again";
  }
  if (!cell_within(cell_of(my.root, a), cell_of(their.root, b)))
    return "its cell has higher limits";
  return "";
}

const std::vector<BudgetKind>& budget_kinds() {
  static const std::vector<BudgetKind> kinds = {
      {"calls", [](const Budget& b) { return b.calls; }},
      {"bytes of results", [](const Budget& b) { return b.bytes; }},
      {"milliseconds of processor time", [](const Budget& b) { return b.cpu_ms; }}};
  return kinds;
}

std::optional<std::int64_t> least_on_line(const Side& side, const Leaf& leaf, ReadBudget read) {
  std::optional<std::int64_t> out;
  for (std::size_t level = 0; level < leaf.line.size(); ++level) {
    const std::optional<std::int64_t> own = read(side.lineage[level][leaf.line[level]].budget);
    if (own && (!out || *own < *out)) out = own;
  }
  return out;
}

bool budgets_within(const Side& my, const Side& their, const std::vector<std::vector<bool>>& uses) {
  for (std::size_t level = 0; level < their.lineage.size(); ++level) {
    for (std::size_t index = 0; index < their.lineage[level].size(); ++index) {
      std::vector<bool> marked(my.leaves.size());
      for (std::size_t i = 0; i < my.leaves.size(); ++i) {
        for (std::size_t j = 0; j < their.leaves.size(); ++j) {
          if (uses[i][j] && their.leaves[j].line[level] == index) marked[i] = true;
        }
      }
      if (!budget_within(my, marked, their.lineage[level][index].budget)) return false;
    }
  }
  return true;
}

std::vector<std::string> terms_beyond(const Side& my, const Side& their) {
  const Capsule& a = my.root;
  const Capsule& b = their.root;
  std::vector<std::string> out = ends_beyond(a.end_on, b.end_on);
  const auto beyond = [&out](bool is, const char* what) {
    if (is) out.emplace_back(what);
  };
  beyond(a.fleet != b.fleet, "it is of another fleet");
  beyond(a.tenant != b.tenant, "it is of another tenant");
  beyond(a.audience.node != b.audience.node || a.audience.incarnation != b.audience.incarnation,
         "it is for another node");
  beyond(a.entry != b.entry, "its calls come in another way (entry)");
  const bool agents = a.entry == EntryKind::agent && b.entry == EntryKind::agent;
  beyond(agents && (a.agent_entry.program != b.agent_entry.program ||
                    a.agent_entry.digest != b.agent_entry.digest),
         "its agent is another program");
  beyond(agents &&
             !cell_within(smaller(a.agent_entry.cell, a.cell), smaller(b.agent_entry.cell, b.cell)),
         "its agent's cell has higher limits");
  beyond(!window_within(my, their), "its window reaches further");
  beyond(a.lease_ttl_ms > b.lease_ttl_ms, "its lease is longer");
  beyond(a.lease_idle_ms > b.lease_idle_ms, "it may be idle for longer");
  beyond(a.activations > b.activations, "it has more activations");
  beyond(a.max_revocation_age_s > b.max_revocation_age_s, "it bears older news on revocations");
  beyond(a.time_assurance < b.time_assurance, "it bears a less certain time");
  const OfflineCaps mine = a.offline.value_or(OfflineCaps{a.lease_ttl_ms, a.lease_idle_ms});
  const OfflineCaps theirs = b.offline.value_or(OfflineCaps{b.lease_ttl_ms, b.lease_idle_ms});
  beyond(mine.max_ttl_ms > theirs.max_ttl_ms || mine.max_idle_ms > theirs.max_idle_ms,
         "its lease is longer where the time is not anchored");
  beyond(a.min_tier < b.min_tier, "it bears a weaker sandbox");
  beyond(a.log_quota_bytes > b.log_quota_bytes, "its log may grow larger");
  beyond(a.max_depth - my.chain.blocks.size() > b.max_depth - their.chain.blocks.size(),
         "it may be narrowed more often");
  beyond(!result_within(a.result, b.result),
         "its results may be read by more, longer or more often");
  return out;
}

}  // namespace taper::capsules
