#include "capsules/constraints.h"

#include <algorithm>
#include <type_traits>

namespace taper::capsules {
namespace {

template <class... Lambdas>
struct Overloaded : Lambdas... {
  using Lambdas::operator()...;
};

std::string quoted(std::string_view text) { return write_canonical(Value(text)); }

template <class Test>
bool text_holds(const Value& value, const Test& test) {
  const std::string* text = value.text();
  return text != nullptr && test(std::string_view(*text));
}

const ArgRule* find_rule(const std::vector<ArgRule>& rules, std::string_view name) {
  const auto found = std::find_if(rules.begin(), rules.end(),
                                  [name](const ArgRule& rule) { return rule.name == name; });
  return found == rules.end() ? nullptr : &*found;
}

const InputSpec* find_input(const std::vector<InputSpec>& inputs, std::string_view name) {
  const auto found = std::find_if(inputs.begin(), inputs.end(),
                                  [name](const InputSpec& input) { return input.name == name; });
  return found == inputs.end() ? nullptr : &*found;
}

const Value* find_argument(const Object& arguments, std::string_view name) {
  const auto found =
      std::find_if(arguments.begin(), arguments.end(),
                   [name](const Object::value_type& member) { return member.first == name; });
  return found == arguments.end() ? nullptr : &found->second;
}

std::string_view type_name(InputType type) {
  switch (type) {
    case InputType::string: return "a string";
    case InputType::path: return "a path";
    case InputType::integer: return "a whole number";
    case InputType::boolean: return "true or false";
    case InputType::json: return "a JSON value";
    case InputType::unset: break;
  }
  return "nothing";
}

bool has_type(const Value& value, InputType type) {
  switch (type) {
    case InputType::string:
    case InputType::path: return value.text() != nullptr;
    case InputType::integer: return value.integer() != nullptr;
    case InputType::boolean: return value.boolean() != nullptr;
    case InputType::json: return true;
    case InputType::unset: break;
  }
  return false;
}

bool is_path(const ArgRule& rule, const InputSpec* input) {
  if (input != nullptr && input->type == InputType::path) return true;
  return std::any_of(rule.all.begin(), rule.all.end(), [](const Constraint& constraint) {
    return std::holds_alternative<Under>(constraint);
  });
}

Error refusal(Code code, std::string_view name, std::string expected, const Value* got) {
  return Error(code, {std::string(name), std::move(expected),
                      got == nullptr ? "nothing" : write_canonical(*got), ""});
}

Status check_rule(const ArgRule& rule, const Value& value) {
  // An empty list would hold for everything; it never comes out of a decoded capsule.
  if (rule.all.empty()) return refusal(Code::argument_refused, rule.name, "a constraint", &value);
  for (const Constraint& constraint : rule.all) {
    if (holds(constraint, value)) continue;
    return refusal(Code::argument_refused, rule.name, describe_constraint(constraint), &value);
  }
  return success();
}

Status check_inputs(const std::vector<InputSpec>& inputs, const Object& arguments) {
  for (const auto& [name, value] : arguments) {
    if (find_input(inputs, name) == nullptr) {
      return refusal(Code::tool_input, name, "no such input of the tool", &value);
    }
  }
  for (const InputSpec& input : inputs) {
    const Value* value = find_argument(arguments, input.name);
    if (value == nullptr ? input.optional : has_type(*value, input.type)) continue;
    return refusal(Code::tool_input, input.name, std::string(type_name(input.type)), value);
  }
  return success();
}

}  // namespace

bool is_plain_path(std::string_view path) {
  if (path.empty() || path.front() != '/') return false;
  if (path.find('\0') != path.npos) return false;
  if (path == "/") return true;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, end);
    if (component.empty() || component == "." || component == "..") return false;
    path.remove_prefix(end);
  }
  return true;
}

bool is_under(std::string_view path, std::string_view tree) {
  if (tree == "/") return !path.empty() && path.front() == '/';
  if (!path.starts_with(tree)) return false;
  return path.size() == tree.size() || path[tree.size()] == '/';
}

// Greedy with one point of return. That is enough because neither '*' nor '?' takes a '/': the
// slashes of pattern and text pair off, so giving an earlier star more could never help a later
// one.
bool glob_matches(std::string_view pattern, std::string_view text) {
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = kNone;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' ? text[t] != '/' : pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != kNone && text[resume] != '/') {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool holds(const Constraint& constraint, const Value& value, const Moment& moment) {
  static_cast<void>(moment);
  return std::visit(
      Overloaded{
          [](const AnyValue&) { return true; },
          [&](const Equals& c) { return value == c.value; },
          [&](const OneOf& c) {
            return std::find(c.values.begin(), c.values.end(), value) != c.values.end();
          },
          [&](const AtLeast& c) {
            return value.integer() != nullptr && *value.integer() >= c.least;
          },
          [&](const AtMost& c) { return value.integer() != nullptr && *value.integer() <= c.most; },
          [&](const Length& c) {
            return text_holds(value, [&c](std::string_view text) {
              const auto size = static_cast<std::int64_t>(text.size());
              return size >= c.least && size <= c.most;
            });
          },
          [&](const Prefix& c) {
            return text_holds(value,
                              [&c](std::string_view text) { return text.starts_with(c.text); });
          },
          [&](const Under& c) {
            return text_holds(value, [&c](std::string_view text) {
              return is_plain_path(text) && is_under(text, c.tree);
            });
          },
          [&](const Glob& c) {
            return text_holds(
                value, [&c](std::string_view text) { return glob_matches(c.pattern, text); });
          },
          [](const auto&) { return false; },
      },
      static_cast<const ConstraintKinds&>(constraint));
}

std::string_view constraint_name(const Constraint& constraint) {
  constexpr std::string_view kNames[] = {
      "any",    "equals", "one_of", "not_one_of", "at_least", "at_most",    "length",
      "prefix", "suffix", "glob",   "under",      "url",      "cidr",       "argv",
      "each",   "count",  "fields", "all_of",     "any_of",   "time_of_day"};
  static_assert(std::size(kNames) == std::variant_size_v<ConstraintKinds>);
  return kNames[constraint.index()];
}

std::string describe_constraint(const Constraint& constraint) {
  const std::string name(constraint_name(constraint));
  return std::visit(
      Overloaded{
          [&](const AnyValue&) { return name; },
          [&](const Equals& c) { return name + " " + write_canonical(c.value); },
          [&](const OneOf& c) { return name + " " + write_canonical(Value(c.values)); },
          [&](const AtLeast& c) { return name + " " + std::to_string(c.least); },
          [&](const AtMost& c) { return name + " " + std::to_string(c.most); },
          [&](const Length& c) {
            return name + " " + std::to_string(c.least) + ".." + std::to_string(c.most);
          },
          [&](const Prefix& c) { return name + " " + quoted(c.text); },
          [&](const Under& c) { return name + " " + c.tree; },
          [&](const Glob& c) { return name + " " + quoted(c.pattern); },
          [&](const auto&) { return name; },
      },
      static_cast<const ConstraintKinds&>(constraint));
}

Status check_arguments(const std::vector<ArgRule>& rules, const std::vector<InputSpec>& inputs,
                       const Object& arguments, const Moment& moment) {
  static_cast<void>(moment);
  for (const auto& [name, value] : arguments) {
    if (find_rule(rules, name) == nullptr) {
      return refusal(Code::argument_unknown, name, "only arguments that the grant names", &value);
    }
  }
  for (const ArgRule& rule : rules) {
    if (!rule.optional && find_argument(arguments, rule.name) == nullptr) {
      return refusal(Code::argument_missing, rule.name, "a value", nullptr);
    }
  }
  for (const auto& [name, value] : arguments) {
    const bool path = is_path(*find_rule(rules, name), find_input(inputs, name));
    if (path && value.text() != nullptr && !is_plain_path(*value.text())) {
      return refusal(Code::path_malformed, name, "a path in plain form", &value);
    }
  }
  for (const auto& [name, value] : arguments) {
    TAPER_CHECK(check_rule(*find_rule(rules, name), value));
  }
  return check_inputs(inputs, arguments);
}

}  // namespace taper::capsules
