#include "capsules/author/diff.h"

#include <algorithm>
#include <map>

#include "capsules/author/diff_side.h"
#include "capsules/author/implies.h"
#include "capsules/author/samples.h"
#include "capsules/author/words.h"
#include "crypto/key_file.h"
#include "runtime/base/text.h"

namespace taper::capsules {
namespace {

constexpr std::size_t kCallsPerLeafMax = 4096;
// Of all the calls that are tried: with fewer, an example may be missed and nothing else.
constexpr std::size_t kCallsMax = 100'000;
constexpr std::size_t kCallBytesMax = std::size_t{16} * 1024 * 1024;

struct Sample {
  Verb verb;
  std::string tool;
  Object arguments;
  Moment moment;
};

using Named = std::map<std::string, std::vector<Constraint>>;  // by argument

// Every constraint that either side puts on each argument of a tool.
void gather(const Side& side, const std::string& tool, Named& out) {
  for (std::size_t level = 0; level < side.lineage.size(); ++level) {
    for (const Leaf& leaf : side.leaves) {
      if (side.grant_of(leaf).tool != tool) continue;
      for (const ArgRule& rule : side.lineage[level][leaf.line[level]].args) {
        auto& all = out[rule.name];
        all.insert(all.end(), rule.all.begin(), rule.all.end());
      }
    }
  }
  for (std::size_t i = 0; i < side.root.grants.size(); ++i) {
    if (side.root.grants[i].tool != tool) continue;
    for (const ArgRule& rule : side.root.grants[i].args) {
      auto& all = out[rule.name];
      all.insert(all.end(), rule.all.begin(), rule.all.end());
    }
  }
}

// What one argument of a leaf may be: each edge that passes its rule, or nothing.
struct Choices {
  std::string name;
  std::vector<std::optional<Value>> values;
};

std::vector<Choices> choices_of(const Leaf& leaf,
                                const std::map<std::string, std::vector<Value>>& edges,
                                const Moment& moment) {
  std::vector<Choices> out;
  for (const ArgRule& rule : leaf.args) {
    Choices choices{rule.name, {}};
    for (const Value& value : edges.at(rule.name)) {
      const bool passes = std::ranges::all_of(
          rule.all, [&](const Constraint& constraint) { return holds(constraint, value, moment); });
      if (passes) choices.values.emplace_back(value);
    }
    if (rule.optional) choices.values.emplace_back(std::nullopt);
    out.push_back(std::move(choices));
  }
  return out;
}

Object pick(const std::vector<Choices>& choices, const std::vector<std::size_t>& at) {
  Object out;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const std::optional<Value>& value = choices[i].values[at[i]];
    if (value) out.emplace_back(choices[i].name, *value);
  }
  return out;
}

// All of them where they are few, else one argument and then two at a time away from the first.
std::vector<Object> combinations(const std::vector<Choices>& choices) {
  std::vector<Object> out;
  std::size_t product = 1;
  for (const Choices& one : choices) {
    if (one.values.empty()) return out;
    product = std::min(product * one.values.size(), kCallsPerLeafMax + 1);
  }
  std::vector<std::size_t> at(choices.size(), 0);
  std::size_t bytes = 0;
  const auto put = [&] {
    if (bytes > kCallBytesMax) return;
    out.push_back(pick(choices, at));
    bytes += write_canonical(Value(out.back())).size();
  };
  if (product <= kCallsPerLeafMax) {
    for (std::size_t count = 0; count < product; ++count) {
      put();
      for (std::size_t i = 0; i < at.size() && ++at[i] == choices[i].values.size(); ++i) at[i] = 0;
    }
    return out;
  }
  for (std::size_t i = 0; i < choices.size(); ++i) {
    for (at[i] = 0; at[i] < choices[i].values.size(); ++at[i]) {
      put();
      for (std::size_t k = i + 1; k < choices.size() && out.size() < kCallsPerLeafMax; ++k) {
        for (at[k] = 1; at[k] < choices[k].values.size(); ++at[k]) put();
        at[k] = 0;
      }
    }
    at[i] = 0;
  }
  return out;
}

void sample_side(const Side& side, const Side& other, std::vector<Sample>& out) {
  std::map<std::string, std::map<std::string, std::vector<Value>>> edges;
  std::size_t bytes = 0;
  for (const Leaf& leaf : side.leaves) {
    const Grant& grant = side.grant_of(leaf);
    Named named;
    gather(side, grant.tool, named);
    gather(other, grant.tool, named);
    std::vector<Constraint> everything;
    for (const auto& [name, constraints] : named) {
      auto& values = edges[grant.tool][name];
      if (values.empty()) values = edge_values(constraints);
      everything.insert(everything.end(), constraints.begin(), constraints.end());
    }
    std::vector<Verb> verbs = leaf.verbs;  // an example is best of a plain call
    std::ranges::partition(verbs, [](Verb verb) { return verb == Verb::call; });
    for (const Moment& moment : edge_moments(everything)) {
      for (Object& arguments : combinations(choices_of(leaf, edges[grant.tool], moment))) {
        bytes += write_canonical(Value(arguments)).size() * verbs.size();
        if (bytes > kCallBytesMax || out.size() > kCallsMax) return;
        for (const Verb verb : verbs) out.push_back({verb, grant.tool, arguments, moment});
      }
    }
  }
}

std::vector<InputSpec> inputs_of(const Sample& sample, const KnownTools& tools) {
  const auto tool = tools.find(sample.tool);
  if (tool != tools.end()) return tool->second.inputs;
  std::vector<InputSpec> out;
  for (const auto& [name, value] : sample.arguments) out.push_back({name, InputType::json, true});
  return out;
}

std::string refusal_text(const Status& status) {
  const ErrorDetail& detail = status.error().detail();
  return "E" + std::to_string(describe(status.code()).number) + " " + detail.field + ": expected " +
         detail.expected;
}

// What is found against "first allows nothing that second refuses".
struct Direction {
  const Side& mine;
  const Side& theirs;
  Which which;
  std::optional<DiffExample> against;
  std::string unknown;

  void found(const Sample* sample, std::string why) {
    if (against) return;
    against = DiffExample{which, Verb::call, "", "", std::move(why)};
    if (sample == nullptr) return;
    against->verb = sample->verb;
    against->tool = sample->tool;
    against->arguments = write_canonical(Value(sample->arguments));
  }
  bool shown() const { return !against && unknown.empty(); }
};

void compare_leaves(const Leaf& mine, const Leaf& theirs, const Sample& sample, Direction& out) {
  if (const std::string why = ways_beyond(out.mine, mine, out.theirs, theirs); !why.empty()) {
    out.found(&sample, why);
  }
  for (const BudgetKind& kind : budget_kinds()) {
    const auto own = least_on_line(out.mine, mine, kind.read);
    const auto other = least_on_line(out.theirs, theirs, kind.read);
    if (!other || (own && *own <= *other)) continue;
    out.found(&sample, "after " + std::to_string(*other) + " " + kind.name +
                           " of such calls the other's budget is spent");
  }
}

// Asks both sides; a difference is certain, since both answers are.
void try_sample(const Sample& sample, const KnownTools& tools, Direction& forth, Direction& back,
                const Sample*& shared) {
  const std::vector<InputSpec> inputs = inputs_of(sample, tools);
  const Call call{sample.verb, sample.tool, sample.arguments, sample.moment};
  const Route mine = find_route(forth.mine.root, forth.mine.lineage, call, inputs);
  const Route theirs = find_route(forth.theirs.root, forth.theirs.lineage, call, inputs);
  if (mine.status.ok() && !theirs.status.ok()) forth.found(&sample, refusal_text(theirs.status));
  if (!mine.status.ok() && theirs.status.ok()) back.found(&sample, refusal_text(mine.status));
  if (!mine.status.ok() || !theirs.status.ok()) return;
  if (shared == nullptr) shared = &sample;
  const Leaf* mine_leaf = forth.mine.leaf_of(mine.line);
  const Leaf* their_leaf = forth.theirs.leaf_of(theirs.line);
  compare_leaves(*mine_leaf, *their_leaf, sample, forth);
  compare_leaves(*their_leaf, *mine_leaf, sample, back);
}

bool has_verb(const Leaf& leaf, Verb verb) {
  return std::ranges::find(leaf.verbs, verb) != leaf.verbs.end();
}

// `leaf` with its first named values one by one, so that they may fall into several grants.
std::vector<std::vector<ArgRule>> split(const std::vector<ArgRule>& args) {
  std::vector<std::vector<ArgRule>> out;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const auto values = named_values(args[i].all);
    if (!values || args[i].optional) continue;
    for (const Value& value : *values) {
      out.push_back(args);
      out.back()[i].all = {Equals{value}};
    }
    return out;
  }
  out.push_back(args);
  return out;
}

bool covered(const Side& my, const Leaf& leaf, const Side& their) {
  const Grant& grant = my.grant_of(leaf);
  for (const Verb verb : leaf.verbs) {
    for (const std::vector<ArgRule>& part : split(leaf.args)) {
      const bool one = std::ranges::any_of(their.leaves, [&](const Leaf& other) {
        return their.grant_of(other).tool == grant.tool && has_verb(other, verb) &&
               rules_within(part, other.args) && their.reached(other);
      });
      if (!one) return false;
    }
  }
  return true;
}

// Whatever the blocks say that make a longer chain of a shorter one, they can only take away.
bool continues(const Side& longer, const Side& shorter) {
  const auto& blocks = longer.chain.blocks;
  const auto& before = shorter.chain.blocks;
  if (longer.chain.id != shorter.chain.id || blocks.size() < before.size()) return false;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const Result<Bytes> one = encode_block(before[i]);
    const Result<Bytes> other = encode_block(blocks[i]);
    if (!one || !other || *one != *other) return false;
  }
  return true;
}

void reason(Direction& out) {
  if (out.against || continues(out.mine, out.theirs)) return;
  std::vector<std::vector<bool>> uses;
  for (const Leaf& leaf : out.mine.leaves) {
    const Grant& grant = out.mine.grant_of(leaf);
    if (!covered(out.mine, leaf, out.theirs)) {
      out.unknown = "the rules of grant '" + grant.id +
                    "' could not be shown to lie within the other capsule's, and no call was found "
                    "that one allows and the other refuses";
      return;
    }
    std::vector<bool> row;
    for (const Leaf& other : out.theirs.leaves) {
      const bool may =
          out.theirs.grant_of(other).tool == grant.tool && !rules_apart(leaf.args, other.args);
      row.push_back(may);
      if (may && !ways_beyond(out.mine, leaf, out.theirs, other).empty()) {
        out.unknown = "grants that overlap differ in more than their arguments";
      }
    }
    uses.push_back(std::move(row));
  }
  if (out.unknown.empty() && !budgets_within(out.mine, out.theirs, uses)) {
    out.unknown = "the budgets of several grants could not be set against each other";
  }
}

void compare_terms(Direction& out, const Sample* shared) {
  for (std::string& why : terms_beyond(out.mine, out.theirs)) out.found(shared, std::move(why));
}

Relation relation_of(const Direction& forth, const Direction& back) {
  // `forth`: what the first allows beyond the second.
  if (forth.shown() && back.shown()) return Relation::equal;
  if (back.shown() && forth.against) return Relation::narrower;
  if (forth.shown() && back.against) return Relation::wider;
  return Relation::incomparable;
}

void add_notes(const Side& a, const Side& b, Difference& out) {
  const auto holder = [](const Side& side) {
    const auto& blocks = side.chain.blocks;
    return blocks.empty() ? side.root.holder : blocks.back().holder;
  };
  if (holder(a) != holder(b)) {
    out.notes.push_back("held by " + crypto::public_key_text(holder(a)) + " and by " +
                        crypto::public_key_text(holder(b)));
  }
  if (a.chain.id != b.chain.id) out.notes.emplace_back("two root payloads: nothing is shared");
  if (a.root.log_all_arguments != b.root.log_all_arguments ||
      a.root.log_except != b.root.log_except) {
    out.notes.emplace_back("their logs keep different things of the arguments");
  }
  if (a.root.not_before_s != b.root.not_before_s || a.root.not_after_s != b.root.not_after_s) {
    out.notes.push_back(
        "windows " + format_utc_s(a.root.not_before_s) + " to " + format_utc_s(a.root.not_after_s) +
        " and " + format_utc_s(b.root.not_before_s) + " to " + format_utc_s(b.root.not_after_s));
  }
}

}  // namespace

std::string_view relation_name(Relation relation) {
  switch (relation) {
    case Relation::equal: return "equal";
    case Relation::narrower: return "narrower";
    case Relation::wider: return "wider";
    case Relation::incomparable: break;
  }
  return "incomparable";
}

Difference diff(const UntrustedCapsule& first, const UntrustedCapsule& second,
                const KnownTools& tools) {
  const Side a(first);
  const Side b(second);
  const BoundedImplication bounded;
  std::vector<Sample> samples;
  sample_side(a, b, samples);
  sample_side(b, a, samples);
  Direction forth{a, b, Which::first, std::nullopt, ""};
  Direction back{b, a, Which::second, std::nullopt, ""};
  const Sample* shared = nullptr;
  for (const Sample& sample : samples) try_sample(sample, tools, forth, back, shared);
  compare_terms(forth, shared);
  compare_terms(back, shared);
  reason(forth);
  reason(back);

  Difference out;
  out.relation = relation_of(forth, back);
  for (const Direction* direction : {&forth, &back}) {
    if (direction->against) out.examples.push_back(*direction->against);
    if (out.undecided.empty()) out.undecided = direction->unknown;
  }
  if (out.relation != Relation::incomparable || (forth.against && back.against)) {
    out.undecided.clear();
  }
  add_notes(a, b, out);
  return out;
}

}  // namespace taper::capsules
