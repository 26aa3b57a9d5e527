#include "capsules/granted_paths.h"

#include <algorithm>
#include <map>

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

bool collect_below(const Rules& rules, Paths& out);

// One place for a value: itself and what lies in it. False: its paths are not bounded.
bool collect(const Rules& rules, bool is_path, Paths& out) {
  const bool speaks =
      std::ranges::any_of(rules, [](const Constraint* rule) { return speaks_of_path({rule, 1}); });
  if (is_path || speaks) {
    const Bound paths = bound_of(rules);
    if (!paths) return false;
    add(out, *paths);
  }
  return collect_below(rules, out);
}

bool collect_below(const Rules& rules, Paths& out) {
  Rules items;
  std::map<std::size_t, Rules> words;
  std::map<std::string_view, Rules> members;
  bool good = true;
  for (const Constraint* rule : rules) {
    if (const auto* each = std::get_if<Each>(rule)) {
      for (const Constraint& one : each->all) add(items, one);
    } else if (const auto* argv = std::get_if<Argv>(rule)) {
      for (std::size_t i = 0; i < argv->words.size(); ++i) add(words[i], argv->words[i]);
    } else if (const auto* fields = std::get_if<Fields>(rule)) {
      for (const ArgRule& member : fields->rules) {
        for (const Constraint& one : member.all) add(members[member.name], one);
      }
    } else if (const auto* any_of = std::get_if<AnyOf>(rule)) {
      for (const Constraint& one : any_of->any) {
        Rules alternative;
        add(alternative, one);
        good = good && collect_below(alternative, out);
      }
    }
  }
  good = good && (items.empty() || collect(items, false, out));
  for (const auto& [at, all] : words) good = good && collect(all, false, out);
  for (const auto& [name, all] : members) good = good && collect(all, false, out);
  return good;
}

}  // namespace

std::optional<std::vector<GrantedPath>> granted_paths(const ArgRule& rule, InputType type) {
  Paths out;
  if (!collect(rules_of(rule.all), type == InputType::path, out)) return std::nullopt;
  return out;
}

}  // namespace taper::capsules
