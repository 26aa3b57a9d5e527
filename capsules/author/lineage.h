// The grants of a whole chain: those of the root block, then the kept ones of each block, made
// ready for asking. The same walk as the authority's, for people who look at a capsule without a
// node.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "capsules/constraints.h"
#include "capsules/open.h"

namespace taper::capsules {

struct LineGrant {
  std::string id;
  std::size_t parent = 0;     // index in the level before
  std::vector<Verb> verbs;    // its own that every grant above has too
  std::vector<ArgRule> args;  // its own rules and all inherited
  Budget budget;              // its own, as the two below
  std::vector<std::string> labels, refuse_after;
};
// The root block's level first. A kept grant without its parent is left out.
using Lineage = std::vector<std::vector<LineGrant>>;
Lineage lineage_of(const Capsule& root, const std::vector<Block>& blocks);

// Those of `verbs` that stand in `own`; all, where a kept grant names none.
std::vector<Verb> narrowed_verbs(std::vector<Verb> verbs, const std::vector<Verb>& own);

// `further` added to `args`: a block never takes a rule away.
std::vector<ArgRule> narrowed_rules(std::vector<ArgRule> args, const std::vector<ArgRule>& further);

// The root block with the times that every block has shortened.
Capsule with_shortened_times(Capsule root, const std::vector<Block>& blocks);

struct Call {
  Verb verb = Verb::call;
  std::string_view tool;
  const Object& arguments;
  Moment moment = {};
};
// Down from the root's first grant that matches. `line` is the grant chosen at each level that was
// asked; where `status` fails, the last of the line is the nearest candidate of the level that
// refused, or of the one above when no grant there keeps it. Empty line: no grant of the tool.
struct Route {
  std::vector<std::size_t> line;
  std::size_t asked = 0;  // levels asked; where it fails, the last of them refused
  Status status = success();
};
Route find_route(const Capsule& root, const Lineage& lineage, const Call& call,
                 const std::vector<InputSpec>& inputs);

}  // namespace taper::capsules
