#include "capsules/granted_paths.h"

#include <algorithm>
#include <utility>

#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

using Rules = std::vector<const Constraint*>;  // all must hold; no all_of among them
using Paths = std::vector<GrantedPath>;
using Bound = std::optional<Paths>;  // nothing: every path

void add(Rules& rules, const Constraint& constraint) {
  if (const auto* all_of = std::get_if<AllOf>(&constraint)) {
    for (const Constraint& one : all_of->all) add(rules, one);
  } else {
    rules.push_back(&constraint);
  }
}

Rules rules_of(const std::vector<Constraint>& all) {
  Rules out;
  for (const Constraint& one : all) add(out, one);
  return out;
}

void add(Paths& paths, const Paths& more) {
  for (const GrantedPath& path : more) {
    if (std::ranges::find(paths, path) == paths.end()) paths.push_back(path);
  }
}

bool lies_within(const GrantedPath& path, const Paths& paths) {
  return std::ranges::any_of(paths, [&path](const GrantedPath& whole) {
    return whole.tree ? is_under(path.path, whole.path) : path == whole;
  });
}

// Two trees share the deeper one, or nothing.
Bound meet(const Bound& a, const Bound& b) {
  if (!a || !b) return a ? a : b;
  Paths out;
  for (const auto& [these, those] : {std::pair(&*a, &*b), std::pair(&*b, &*a)}) {
    for (const GrantedPath& path : *these) {
      if (lies_within(path, *those)) add(out, {path});
    }
  }
  return out;
}

Paths exact(const std::vector<Value>& values) {
  Paths out;
  for (const Value& value : values) {
    if (value.text() != nullptr && is_plain_path(*value.text())) add(out, {{*value.text(), false}});
  }
  return out;
}

Bound bound_of(const Rules& rules);

Bound bound_of(const Constraint& constraint) {
  if (const auto* equals = std::get_if<Equals>(&constraint)) return exact({equals->value});
  if (const auto* one_of = std::get_if<OneOf>(&constraint)) return exact(one_of->values);
  if (const auto* under = std::get_if<Under>(&constraint)) return Paths{{under->tree, true}};
  const auto* any_of = std::get_if<AnyOf>(&constraint);
  if (any_of == nullptr) return std::nullopt;
  Paths out;
  for (const Constraint& one : any_of->any) {
    Rules alternative;
    add(alternative, one);
    const Bound paths = bound_of(alternative);
    if (!paths) return std::nullopt;
    add(out, *paths);
  }
  return out;
}

Bound bound_of(const Rules& rules) {
  Bound out;
  for (const Constraint* rule : rules) out = meet(out, bound_of(*rule));
  if (!out) return out;
  std::erase_if(*out, [&rules](const GrantedPath& path) {
    return !path.tree && !std::ranges::all_of(rules, [&path](const Constraint* rule) {
      return holds(*rule, Value(path.path), kAnyMoment);
    });
  });
  return out;
}

std::size_t cost(const std::vector<Value>& values) {
  constexpr std::size_t kCheapBytes = 64;
  std::size_t out = 0;
  for (const Value& value : values) {
    out += 1 + (value.text() == nullptr ? 0 : value.text()->size() / kCheapBytes);
  }
  return out;
}

// What is compared of a rule; a place costs the square of all its rules.
std::size_t cost(const Constraint& constraint) {
  constexpr std::size_t kCheapBytes = 8;
  std::size_t out = 1;
  if (const auto* one_of = std::get_if<OneOf>(&constraint)) out += cost(one_of->values);
  if (const auto* not_one_of = std::get_if<NotOneOf>(&constraint)) out += cost(not_one_of->values);
  if (const auto* glob = std::get_if<Glob>(&constraint)) out += glob->pattern.size() / kCheapBytes;
  if (const auto* all_of = std::get_if<AllOf>(&constraint)) {
    for (const Constraint& one : all_of->all) out += cost(one);
  } else if (const auto* any_of = std::get_if<AnyOf>(&constraint)) {
    for (const Constraint& one : any_of->any) out += cost(one);
  }
  return out;
}

bool speaks_below(const Constraint& constraint) {
  const auto* all_of = std::get_if<AllOf>(&constraint);
  const auto* any_of = std::get_if<AnyOf>(&constraint);
  return std::holds_alternative<Each>(constraint) || std::holds_alternative<Argv>(constraint) ||
         std::holds_alternative<Fields>(constraint) ||
         (all_of != nullptr && std::ranges::any_of(all_of->all, speaks_below)) ||
         (any_of != nullptr && std::ranges::any_of(any_of->any, speaks_below));
}

bool is_flat(const std::vector<Value>& values) {
  return std::ranges::none_of(values, [](const Value& value) {
    return value.array() != nullptr || value.object() != nullptr;
  });
}

// It holds for nothing that has parts.
bool is_flat(const Constraint* constraint) {
  if (const auto* equals = std::get_if<Equals>(constraint)) return is_flat({equals->value});
  if (const auto* one_of = std::get_if<OneOf>(constraint)) return is_flat(one_of->values);
  return std::holds_alternative<Under>(*constraint) || std::holds_alternative<Prefix>(*constraint);
}

// All of a value's rules about what lies in it.
struct Parts {
  std::vector<const Each*> each;
  std::vector<const Argv*> argv;
  std::vector<const Fields*> fields;
};

// Each false: the paths are not bounded, or finding them takes too much.
class Collector {
 public:
  // One place for a value: itself and what lies in it.
  bool collect(const Rules& rules, bool is_path) {
    const bool speaks = std::ranges::any_of(
        rules, [](const Constraint* rule) { return speaks_of_path({rule, 1}); });
    if (is_path || speaks) {
      std::size_t all = 0;
      for (const Constraint* rule : rules) all += cost(*rule);
      if (!pay(all * all)) return false;
      const Bound paths = bound_of(rules);
      if (!paths || !pay(paths->size() * out_.size())) return false;
      add(out_, *paths);
    }
    return collect_below(rules);
  }
  Paths take() { return std::move(out_); }

 private:
  bool pay(std::size_t steps) {
    const bool can = steps <= left_;
    left_ = can ? left_ - steps : 0;
    return can;
  }
  bool collect_below(const Rules& rules);
  bool collect_parts(const Parts& parts);
  bool collect_words(const Parts& parts, const Rules& items);
  bool collect_members(const Parts& parts);

  std::size_t left_ = limits::kPathStepsMax;
  Paths out_;
};

// What stands beside an any_of narrows each of its alternatives.
bool Collector::collect_below(const Rules& rules) {
  constexpr std::size_t kCase = limits::kPathStepsMax / limits::kPathCasesMax;
  constexpr std::size_t kPlacesOfCase = 16;  // cost what one alternative does
  if (!pay(kCase / kPlacesOfCase)) return false;
  if (std::ranges::any_of(rules, [](const Constraint* rule) { return is_flat(rule); })) return true;
  const auto choice = std::ranges::find_if(rules, [](const Constraint* rule) {
    return std::holds_alternative<AnyOf>(*rule) && speaks_below(*rule);
  });
  if (choice != rules.end()) {
    return std::ranges::all_of(std::get<AnyOf>(**choice).any, [&](const Constraint& one) {
      if (!pay(kCase)) return false;
      Rules alternative(rules.begin(), choice);
      alternative.insert(alternative.end(), choice + 1, rules.end());
      add(alternative, one);
      return collect_below(alternative);
    });
  }
  Parts parts;
  for (const Constraint* rule : rules) {
    if (const auto* each = std::get_if<Each>(rule)) parts.each.push_back(each);
    if (const auto* argv = std::get_if<Argv>(rule)) parts.argv.push_back(argv);
    if (const auto* fields = std::get_if<Fields>(rule)) parts.fields.push_back(fields);
  }
  return collect_parts(parts);
}

bool Collector::collect_parts(const Parts& parts) {
  if (!parts.fields.empty()) {
    // No value is both an array and an object.
    return !parts.each.empty() || !parts.argv.empty() || collect_members(parts);
  }
  Rules items;
  for (const Each* each : parts.each) {
    for (const Constraint& one : each->all) add(items, one);
  }
  if (!parts.argv.empty()) return collect_words(parts, items);
  return items.empty() || collect(items, false);
}

bool Collector::collect_words(const Parts& parts, const Rules& items) {
  const std::size_t count = parts.argv[0]->words.size();
  for (const Argv* argv : parts.argv) {
    if (argv->words.size() != count) return true;  // no array has both lengths
  }
  for (std::size_t i = 0; i < count; ++i) {
    Rules word = items;
    for (const Argv* argv : parts.argv) add(word, argv->words[i]);
    if (!collect(word, false)) return false;
  }
  return true;
}

// A member that one of the rules does not name is not there.
bool Collector::collect_members(const Parts& parts) {
  for (const ArgRule& first : parts.fields[0]->rules) {
    Rules member;
    bool named = true;
    for (const Fields* fields : parts.fields) {
      const auto rule = std::ranges::find(fields->rules, first.name, &ArgRule::name);
      named = named && rule != fields->rules.end();
      if (!named) break;
      for (const Constraint& one : rule->all) add(member, one);
    }
    if (named && !collect(member, false)) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<GrantedPath>> granted_paths(const ArgRule& rule, InputType type) {
  Collector collector;
  if (!collector.collect(rules_of(rule.all), type == InputType::path)) return std::nullopt;
  return collector.take();
}

}  // namespace taper::capsules
