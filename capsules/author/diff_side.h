// One of two capsules that are compared, and what can be said of its grants. Private to the diff.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "capsules/author/lineage.h"

namespace taper::capsules {

// A grant of the last level, with all that its line adds up to.
struct Leaf {
  std::vector<std::size_t> line;
  std::vector<Verb> verbs;
  std::vector<ArgRule> args;
  std::set<std::string> labels, refuse_after;
};

struct Side {
  explicit Side(const UntrustedCapsule& capsule);

  const UntrustedCapsule& chain;
  Capsule root;  // with its times shortened
  Lineage lineage;
  std::vector<Leaf> leaves;

  const Grant& grant_of(const Leaf& leaf) const { return root.grants[leaf.line[0]]; }
  // The leaf that a line ends in; null pointer: it stops above the last level.
  const Leaf* leaf_of(const std::vector<std::size_t>& line) const;
  // Every call that matches the grant is allowed by some grant below it.
  bool whole(std::size_t level, std::size_t index) const;
  // Every call that matches the leaf's rules reaches an allowed leaf.
  bool reached(const Leaf& leaf) const;
};

// Why `mine` may do something in a way that `theirs` may not; empty: in none. Of everything that a
// grant says but tool, verbs, arguments and budgets.
std::string ways_beyond(const Side& my, const Leaf& mine, const Side& their, const Leaf& theirs);

// Of one budget along a leaf's line, the smallest; empty: none is set.
using ReadBudget = std::optional<std::int64_t> (*)(const Budget&);
std::optional<std::int64_t> least_on_line(const Side& side, const Leaf& leaf, ReadBudget read);
struct BudgetKind {
  const char* name;
  ReadBudget read;
};
const std::vector<BudgetKind>& budget_kinds();  // calls, bytes, processor time
// All that `my` leaves marked in `uses` may spend together fits each budget of `their` grants that
// they may be charged to. `uses[i][j]`: a call of my leaf i may go to their leaf j.
bool budgets_within(const Side& my, const Side& their, const std::vector<std::vector<bool>>& uses);

// Why the whole task may do what the other may not; empty: it may not.
std::vector<std::string> terms_beyond(const Side& my, const Side& their);

}  // namespace taper::capsules
