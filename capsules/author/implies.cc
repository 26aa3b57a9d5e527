#include "capsules/author/implies.h"

#include <algorithm>

#include "capsules/author/lineage.h"
#include "capsules/author/lint.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

using Constraints = std::vector<Constraint>;

template <class Kind, class Test>
bool some(const Constraints& all, Test test) {
  return std::ranges::any_of(all, [&test](const Constraint& constraint) {
    const Kind* kind = std::get_if<Kind>(&constraint);
    return kind != nullptr && test(*kind);
  });
}

// The text before a pattern's first wildcard, and the one after its last.
std::string_view literal_head(const Glob& glob) {
  const std::string_view pattern = glob.pattern;
  return pattern.substr(0, pattern.find_first_of("*?"));
}
std::string_view literal_tail(const Glob& glob) {
  const std::string_view pattern = glob.pattern;
  const std::size_t last = pattern.find_last_of("*?");
  return last == pattern.npos ? pattern : pattern.substr(last + 1);
}

bool about_the_moment(const Constraint& constraint) {
  const auto any = [](const Constraints& list) {
    return std::ranges::any_of(list, about_the_moment);
  };
  return std::visit(
      Overloaded{
          [](const TimeOfDay&) { return true; }, [&](const AllOf& c) { return any(c.all); },
          [&](const AnyOf& c) { return any(c.any); }, [&](const Each& c) { return any(c.all); },
          [&](const Argv& c) { return any(c.words); },
          [&](const Fields& c) {
            return std::ranges::any_of(c.rules, [&](const ArgRule& rule) { return any(rule.all); });
          },
          [](const auto&) { return false; }},
      static_cast<const ConstraintKinds&>(constraint));
}

template <class T>
bool subset(const std::vector<T>& small, const std::vector<T>& large) {
  return std::ranges::all_of(
      small, [&large](const T& item) { return std::ranges::find(large, item) != large.end(); });
}

bool same_time(const TimeOfDay& a, const TimeOfDay& b) {
  return a.from_s == b.from_s && a.to_s == b.to_s && a.offset_s == b.offset_s;
}

// Of what types the values are that a list speaks about, and that a constraint holds for at most.
enum Type : unsigned { text_type = 1, integer_type = 2, boolean_type = 4, any_type = 15 };
unsigned types_in(const std::vector<Value>& values) {
  unsigned out = 0;
  for (const Value& value : values) {
    out |= value.text() != nullptr      ? text_type
           : value.integer() != nullptr ? integer_type
           : value.boolean() != nullptr ? boolean_type
                                        : any_type;
  }
  return out;
}
unsigned types_of(const Constraint& constraint) {
  const auto text = [](const auto&) -> unsigned { return text_type; };
  return std::visit(
      Overloaded{[](const NotOneOf& c) { return types_in(c.values); },
                 [](const AtLeast&) -> unsigned { return integer_type; },
                 [](const AtMost&) -> unsigned { return integer_type; },
                 [&](const Length& c) { return text(c); }, [&](const Prefix& c) { return text(c); },
                 [&](const Suffix& c) { return text(c); }, [&](const Glob& c) { return text(c); },
                 [&](const Under& c) { return text(c); }, [&](const Url& c) { return text(c); },
                 [&](const Cidr& c) { return text(c); },
                 [](const auto&) -> unsigned { return any_type; }},
      static_cast<const ConstraintKinds&>(constraint));
}

// Looks left to the comparison under way; none: it is not bounded.
thread_local std::optional<std::size_t> looks_left;

bool pay(std::size_t looks) {
  if (!looks_left) return true;
  const bool enough = looks <= *looks_left;
  *looks_left -= std::min(looks, *looks_left);
  return enough;
}

// One `of the kind` after the other; each shows what follows from `all` for one kind of constraint.
struct Shown {
  const Constraints& all;

  bool operator()(const AnyValue&) const { return true; }
  bool operator()(const Equals&) const { return false; }  // only where values are named
  bool operator()(const OneOf&) const { return false; }
  // It holds for no type that it does not speak about.
  bool operator()(const NotOneOf& c) const {
    const unsigned spoken = types_in(c.values);
    const bool typed = std::ranges::any_of(all, [spoken](const Constraint& constraint) {
      return (types_of(constraint) & ~spoken) == 0;
    });
    return typed && std::ranges::all_of(c.values, [this](const Value& value) {
             return std::ranges::any_of(all, [&value](const Constraint& constraint) {
               return !about_the_moment(constraint) && !holds(constraint, value);
             });
           });
  }
  bool operator()(const AtLeast& c) const {
    return some<AtLeast>(all, [&c](const AtLeast& mine) { return mine.least >= c.least; });
  }
  bool operator()(const AtMost& c) const {
    return some<AtMost>(all, [&c](const AtMost& mine) { return mine.most <= c.most; });
  }
  bool operator()(const Length& c) const {
    const bool low = some<Length>(all, [&c](const Length& mine) { return mine.least >= c.least; });
    const bool high = some<Length>(all, [&c](const Length& mine) { return mine.most <= c.most; });
    return low && high;
  }
  bool operator()(const Count& c) const {
    const bool low = some<Count>(all, [&c](const Count& mine) { return mine.least >= c.least; });
    const bool high = some<Count>(all, [&c](const Count& mine) { return mine.most <= c.most; });
    return low && high;
  }
  bool operator()(const Prefix& c) const {
    return some<Prefix>(all, [&c](const Prefix& mine) { return mine.text.starts_with(c.text); }) ||
           some<Glob>(all, [&c](const Glob& g) { return literal_head(g).starts_with(c.text); }) ||
           some<Under>(all, [&c](const Under& mine) { return mine.tree.starts_with(c.text); });
  }
  bool operator()(const Suffix& c) const {
    return some<Suffix>(all, [&c](const Suffix& mine) { return mine.text.ends_with(c.text); }) ||
           some<Glob>(all, [&c](const Glob& g) { return literal_tail(g).ends_with(c.text); });
  }
  bool operator()(const Glob& c) const {
    return some<Glob>(all, [&c](const Glob& mine) { return mine.pattern == c.pattern; });
  }
  bool operator()(const Under& c) const {
    return some<Under>(all, [&c](const Under& mine) { return is_under(mine.tree, c.tree); });
  }
  bool operator()(const Url& c) const {
    return some<Url>(all, [&c](const Url& mine) {
      const bool ports = mine.ports == c.ports ||
                         (!mine.ports.empty() && !c.ports.empty() && subset(mine.ports, c.ports));
      return ports && subset(mine.schemes, c.schemes) && subset(mine.hosts, c.hosts) &&
             is_under(mine.under, c.under);
    });
  }
  bool operator()(const Cidr& c) const {
    return some<Cidr>(all, [&c](const Cidr& mine) { return subset(mine.blocks, c.blocks); });
  }
  bool operator()(const Argv& c) const {
    return some<Argv>(all, [&c](const Argv& mine) {
      if (mine.words.size() != c.words.size()) return false;
      for (std::size_t i = 0; i < c.words.size(); ++i) {
        if (!implies({mine.words[i]}, c.words[i])) return false;
      }
      return true;
    });
  }
  bool operator()(const Each& c) const {
    return some<Each>(all, [&c](const Each& mine) {
      return std::ranges::all_of(
          c.all, [&mine](const Constraint& constraint) { return implies(mine.all, constraint); });
    });
  }
  bool operator()(const Fields& c) const {
    return some<Fields>(all,
                        [&c](const Fields& mine) { return rules_within(mine.rules, c.rules); });
  }
  bool operator()(const AllOf& c) const {
    return std::ranges::all_of(
        c.all, [this](const Constraint& constraint) { return implies(all, constraint); });
  }
  bool operator()(const AnyOf& c) const {
    return std::ranges::any_of(
        c.any, [this](const Constraint& constraint) { return implies(all, constraint); });
  }
  bool operator()(const TimeOfDay& c) const {
    return some<TimeOfDay>(all, [&c](const TimeOfDay& mine) { return same_time(mine, c); });
  }
};

// `all` with what stands inside all_of beside the rest.
Constraints flat(const Constraints& all) {
  Constraints out;
  for (const Constraint& constraint : all) {
    if (const AllOf* inner = std::get_if<AllOf>(&constraint)) {
      const Constraints more = flat(inner->all);
      out.insert(out.end(), more.begin(), more.end());
    } else {
      out.push_back(constraint);
    }
  }
  return out;
}

// Each way through the first any_of; empty: there is none.
std::vector<Constraints> ways(const Constraints& all) {
  const auto split = std::ranges::find_if(
      all, [](const Constraint& c) { return std::holds_alternative<AnyOf>(c); });
  std::vector<Constraints> out;
  if (split == all.end()) return out;
  for (const Constraint& choice : std::get<AnyOf>(*split).any) {
    Constraints one;
    for (auto at = all.begin(); at != all.end(); ++at) one.push_back(at == split ? choice : *at);
    out.push_back(std::move(one));
  }
  return out;
}

// What cannot be shown within the looks that are left is not shown.
bool implied(const Constraints& given, const Constraint& one, std::size_t depth) {
  if (!pay(given.size() + 1)) return false;
  const Constraints all = flat(given);
  if (const auto values = named_values(all); values && !about_the_moment(one)) {
    return std::ranges::all_of(*values, [&one](const Value& value) { return holds(one, value); });
  }
  if (std::visit(Shown{all}, static_cast<const ConstraintKinds&>(one))) return true;
  const std::vector<Constraints> each_way = depth == 0 ? std::vector<Constraints>() : ways(all);
  return !each_way.empty() && std::ranges::all_of(each_way, [&](const Constraints& way) {
    return implied(way, one, depth - 1);
  });
}

bool apart(const ArgRule& a, const ArgRule& b) {
  ArgRule both = a;
  both.all.insert(both.all.end(), b.all.begin(), b.all.end());
  if (const auto values = named_values(both.all)) return values->empty();
  for (const Constraint& one : both.all) {
    const Under* tree = std::get_if<Under>(&one);
    if (tree == nullptr) continue;
    if (some<Under>(both.all, [tree](const Under& other) {
          return !is_under(other.tree, tree->tree) && !is_under(tree->tree, other.tree);
        })) {
      return true;
    }
  }
  return false;
}

const ArgRule* rule_of(const std::vector<ArgRule>& rules, const std::string& name) {
  const auto found = std::ranges::find(rules, name, &ArgRule::name);
  return found == rules.end() ? nullptr : &*found;
}

}  // namespace

std::optional<std::vector<Value>> named_values(const std::vector<Constraint>& all) {
  std::optional<std::vector<Value>> named;
  for (const Constraint& constraint : all) {
    if (const Equals* equals = std::get_if<Equals>(&constraint)) named = {equals->value};
    if (const OneOf* one_of = std::get_if<OneOf>(&constraint)) named = one_of->values;
    if (named) break;
  }
  if (!named) return std::nullopt;
  std::erase_if(*named, [&all](const Value& value) {
    return std::ranges::any_of(all, [&value](const Constraint& constraint) {
      return !about_the_moment(constraint) && !holds(constraint, value);
    });
  });
  return named;
}

BoundedImplication::BoundedImplication() { looks_left = limits::kDiffStepsMax; }
BoundedImplication::~BoundedImplication() { looks_left.reset(); }

bool implies(const std::vector<Constraint>& all, const Constraint& one) {
  return implied(all, one, limits::kConstraintDepthMax);
}

bool rules_within(const std::vector<ArgRule>& narrow, const std::vector<ArgRule>& wide) {
  for (const ArgRule& mine : narrow) {
    const bool none = mine.optional && named_values(mine.all) == std::vector<Value>();
    if (rule_of(wide, mine.name) == nullptr && !none) return false;
  }
  return std::ranges::all_of(wide, [&narrow](const ArgRule& theirs) {
    const ArgRule* mine = rule_of(narrow, theirs.name);
    if (mine == nullptr) return theirs.optional;
    if (mine->optional && !theirs.optional) return false;
    return std::ranges::all_of(theirs.all,
                               [mine](const Constraint& one) { return implies(mine->all, one); });
  });
}

bool rules_apart(const std::vector<ArgRule>& a, const std::vector<ArgRule>& b) {
  const auto against = [](const std::vector<ArgRule>& these, const std::vector<ArgRule>& those) {
    return std::ranges::any_of(these, [&those](const ArgRule& rule) {
      if (rule.optional) return false;
      const ArgRule* other = rule_of(those, rule.name);
      return other == nullptr || apart(rule, *other);
    });
  };
  return against(a, b) || against(b, a);
}

}  // namespace taper::capsules
