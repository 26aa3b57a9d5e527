#include "capsules/constraints.h"

#include <algorithm>
#include <utility>

#include "capsules/address.h"
#include "capsules/url.h"
#include "runtime/base/limits.h"

namespace taper::capsules {
namespace {

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

Error refusal(Code code, std::string_view name, std::string expected, const Value* got) {
  return Error(code, {std::string(name), std::move(expected),
                      got == nullptr ? "nothing" : write_canonical(*got), ""});
}

// What the constraints of one call may cost, and each of them.
class Evaluation {
 public:
  explicit Evaluation(const Moment& moment) : moment_(moment) {}

  bool holds(const Constraint& constraint, const Value& value) {
    if (!pay(1)) return false;
    return std::visit([&](const auto& c) { return look(c, value); },
                      static_cast<const ConstraintKinds&>(constraint));
  }

  Status check(const ArgRule& rule, const Value& value) {
    // An empty list would hold for everything; it never comes out of a decoded capsule.
    if (rule.all.empty()) return refusal(Code::argument_refused, rule.name, "a constraint", &value);
    for (const Constraint& constraint : rule.all) {
      if (holds(constraint, value)) continue;
      return refusal(Code::argument_refused, rule.name, describe_constraint(constraint), &value);
    }
    return success();
  }

 private:
  bool pay(std::size_t steps) {
    const bool can = steps <= left_;
    left_ = can ? left_ - steps : 0;
    return can;
  }
  const std::string* scanned(const Value& value) {
    const std::string* text = value.text();
    return text != nullptr && pay(text->size()) ? text : nullptr;
  }
  bool all_hold(std::span<const Constraint> all, const Value& value) {
    return !all.empty() && std::ranges::all_of(all, [&](const auto& c) { return holds(c, value); });
  }
  // As of an argument: where an `under` speaks, a text is a plain path before anything else.
  bool is_allowed(std::span<const Constraint> all, bool path, const Value& value) {
    const std::string* text = path ? value.text() : nullptr;
    const bool plain =
        text == nullptr || (text->size() <= limits::kTextBytesMax && is_plain_path(*text));
    return plain && all_hold(all, value);
  }
  bool listed(const std::vector<Value>& values, const Value& value) {
    return pay(values.size()) && std::ranges::find(values, value) != values.end();
  }

  bool look(const AnyValue&, const Value&) { return true; }
  bool look(const Equals& c, const Value& value) { return value == c.value; }
  bool look(const OneOf& c, const Value& value) { return listed(c.values, value); }
  bool look(const NotOneOf& c, const Value& value);
  bool look(const AtLeast& c, const Value& value) {
    return value.integer() != nullptr && *value.integer() >= c.least;
  }
  bool look(const AtMost& c, const Value& value) {
    return value.integer() != nullptr && *value.integer() <= c.most;
  }
  bool look(const Length& c, const Value& value) {
    return value.text() != nullptr && std::cmp_greater_equal(value.text()->size(), c.least) &&
           std::cmp_less_equal(value.text()->size(), c.most);
  }
  bool look(const Prefix& c, const Value& value) {
    return value.text() != nullptr && value.text()->starts_with(c.text);
  }
  bool look(const Suffix& c, const Value& value) {
    return value.text() != nullptr && value.text()->ends_with(c.text);
  }
  bool look(const Glob& c, const Value& value) {
    constexpr std::size_t kCheapBytes = 8;
    const std::string* text = value.text();
    return text != nullptr && pay(text->size() * (1 + c.pattern.size() / kCheapBytes)) &&
           glob_matches(c.pattern, *text);
  }
  bool look(const Under& c, const Value& value) {
    const std::string* text = scanned(value);
    return text != nullptr && is_plain_path(*text) && is_under(*text, c.tree);
  }
  bool look(const Url& c, const Value& value);
  bool look(const Cidr& c, const Value& value);
  bool look(const Argv& c, const Value& value);
  bool look(const Each& c, const Value& value);
  bool look(const Count& c, const Value& value) {
    return value.array() != nullptr && std::cmp_greater_equal(value.array()->size(), c.least) &&
           std::cmp_less_equal(value.array()->size(), c.most);
  }
  bool look(const Fields& c, const Value& value);
  bool look(const AllOf& c, const Value& value) { return all_hold(c.all, value); }
  bool look(const AnyOf& c, const Value& value) {
    return std::ranges::any_of(c.any, [&](const auto& one) { return holds(one, value); });
  }
  bool look(const TimeOfDay& c, const Value&);

  const Moment& moment_;
  std::size_t left_ = limits::kConstraintStepsMax;
};

// Only a value of a type that the list speaks about: 1.0 is not "other than 1".
bool Evaluation::look(const NotOneOf& c, const Value& value) {
  if (listed(c.values, value)) return false;
  return pay(1) && std::ranges::any_of(c.values, [&value](const Value& other) {
           return (value.text() != nullptr && other.text() != nullptr) ||
                  (value.integer() != nullptr && other.integer() != nullptr) ||
                  (value.boolean() != nullptr && other.boolean() != nullptr);
         });
}

bool Evaluation::look(const Url& c, const Value& value) {
  const std::string* text =
      pay(c.schemes.size() + c.hosts.size() + c.ports.size()) ? scanned(value) : nullptr;
  const auto url = text == nullptr ? std::nullopt : parse_url(*text);
  if (!url) return false;
  const bool port = c.ports.empty() ? url->port == default_port(url->scheme)
                                    : url->port && std::ranges::count(c.ports, *url->port) != 0;
  return port && std::ranges::count(c.schemes, url->scheme) != 0 &&
         std::ranges::count(c.hosts, url->host) != 0 && is_under(url->path, c.under);
}

bool Evaluation::look(const Cidr& c, const Value& value) {
  constexpr std::size_t kStepsOfBlock = 16;  // it is read anew each time
  if (value.text() == nullptr || !pay(c.blocks.size() * kStepsOfBlock)) return false;
  const auto address = parse_address(*value.text());
  return address && std::ranges::any_of(c.blocks, [&address](const std::string& text) {
           const auto block = parse_block(text);
           return block && is_within(*address, *block);
         });
}

bool Evaluation::look(const Argv& c, const Value& value) {
  const Array* words = value.array();
  if (words == nullptr || words->size() != c.words.size()) return false;
  for (std::size_t i = 0; i < words->size(); ++i) {
    const std::span<const Constraint> all(&c.words[i], 1);
    if ((*words)[i].text() == nullptr || !is_allowed(all, speaks_of_path(all), (*words)[i])) {
      return false;
    }
  }
  return true;
}

bool Evaluation::look(const Each& c, const Value& value) {
  const bool path = speaks_of_path(c.all);
  return value.array() != nullptr && std::ranges::all_of(*value.array(), [&](const Value& item) {
           return is_allowed(c.all, path, item);
         });
}

bool Evaluation::look(const Fields& c, const Value& value) {
  const Object* object = value.object();
  if (object == nullptr || object->size() > c.rules.size()) return false;
  for (const auto& [name, member] : *object) {
    const ArgRule* rule = find_rule(c.rules, name);
    if (rule == nullptr || !is_allowed(rule->all, speaks_of_path(rule->all), member)) return false;
  }
  return std::ranges::all_of(c.rules, [object](const ArgRule& rule) {
    return rule.optional || find_argument(*object, rule.name) != nullptr;
  });
}

bool Evaluation::look(const TimeOfDay& c, const Value&) {
  if (moment_.any) return true;
  if (!moment_.anchored) return false;
  // From the earliest that the moment may be to the latest, the whole lies in one stretch.
  const auto of_day = [](std::int64_t s) {
    return (s % limits::kDayS + 2 * limits::kDayS) % limits::kDayS;
  };
  const std::int64_t unsure = std::clamp<std::int64_t>(moment_.unsure_s, 0, limits::kDayS);
  const std::int64_t local = moment_.wall_s % limits::kDayS - unsure + c.offset_s;
  return of_day(local - c.from_s) + unsure < of_day(std::int64_t{c.to_s} - c.from_s);
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

bool speaks_of_path(std::span<const Constraint> all) {
  return std::ranges::any_of(all, [](const Constraint& constraint) {
    const auto* all_of = std::get_if<AllOf>(&constraint);
    const auto* any_of = std::get_if<AnyOf>(&constraint);
    return std::holds_alternative<Under>(constraint) ||
           (all_of != nullptr && speaks_of_path(all_of->all)) ||
           (any_of != nullptr && speaks_of_path(any_of->any));
  });
}

bool holds(const Constraint& constraint, const Value& value, const Moment& moment) {
  return Evaluation(moment).holds(constraint, value);
}

Status check_arguments(const std::vector<ArgRule>& rules, const std::vector<InputSpec>& inputs,
                       const Object& arguments, const Moment& moment) {
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
    const InputSpec* input = find_input(inputs, name);
    const bool path = (input != nullptr && input->type == InputType::path) ||
                      speaks_of_path(find_rule(rules, name)->all);
    if (path && value.text() != nullptr && value.text()->size() > limits::kTextBytesMax) {
      return Error(Code::path_malformed,
                   {name, "at most " + std::to_string(limits::kTextBytesMax) + " bytes",
                    std::to_string(value.text()->size()) + " bytes", ""});
    }
    if (path && value.text() != nullptr && !is_plain_path(*value.text())) {
      return refusal(Code::path_malformed, name, "a path in plain form", &value);
    }
  }
  Evaluation evaluation(moment);
  for (const auto& [name, value] : arguments) {
    TAPER_CHECK(evaluation.check(*find_rule(rules, name), value));
  }
  return check_inputs(inputs, arguments);
}

}  // namespace taper::capsules
