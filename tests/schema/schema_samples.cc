// Schemas of grants, with arguments that the authority allows and others that it refuses, a JSON
// object a line: {"schema", "allowed": [...], "refused": [...]}. `refused` is there only where the
// schema can say all that the rules say. tests/schema/check.py reads them.
//   schema_samples random COUNT SEED
//   schema_samples vectors SOURCE_DIR
#include <algorithm>
#include <array>
#include <charconv>
#include <iostream>
#include <random>

#include "capsules/author/samples.h"
#include "runtime/authority/command.h"
#include "runtime/broker/tool_schema.h"
#include "tests/support/constraint_json.h"
#include "tests/support/vector_file.h"

namespace taper::testing {
namespace {

using namespace capsules;
using broker::GrantedArguments;
using Rules = std::vector<ArgRule>;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  std::int64_t roll(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(engine_);
  }
  bool one_in(std::int64_t count) { return roll(1, count) == 1; }
  template <class T>
  const T& of(const std::vector<T>& values) {
    return values[static_cast<std::size_t>(roll(0, std::int64_t(values.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

// Bytes that mean something to patterns, to paths and to readers of either.
const std::vector<std::string> kTexts = {"",
                                         "a",
                                         "ab",
                                         "b",
                                         ".",
                                         "a.b",
                                         "(a|b)*",
                                         "[^x]$",
                                         "\\d",
                                         "é",
                                         "aé",
                                         "🙂",
                                         "a\nb",
                                         "{2}",
                                         "-",
                                         "-a",
                                         "^a",
                                         "x\n",
                                         "\x7f",
                                         "a/b",
                                         "/",
                                         "/a",
                                         "/a/b",
                                         "/a.",
                                         "/a/.b",
                                         "/...",
                                         "/a/..",
                                         "/a//b",
                                         "/a/",
                                         "/é/🙂",
                                         "//",
                                         "/a\n",
                                         "/./a",
                                         "+?",
                                         "a\u2028b",
                                         "10.1.2.3",
                                         "https://a.example/x"};
const std::vector<std::string> kTrees = {"/", "/a", "/a/b", "/a.b", "/é", "/a+(b)"};
const std::vector<std::string> kGlobs = {"*",  "a*",   "*b",      "a?b",    "/a/*", "/?",   "?*?",
                                         "??", "*.*",  "é?",      "/a/*/b", "[a]*", "a*b*", "*a*a*",
                                         "",   "a??b", "?????*?", "🙂*\n",  "/*"};

std::vector<Value> some_values(Dice& dice) {
  std::vector<Value> out;
  const std::int64_t count = dice.roll(1, 4);
  for (std::int64_t i = 0; i < count; ++i) {
    switch (dice.roll(0, 6)) {
      case 0: out.emplace_back(dice.roll(-2, 9)); break;
      case 1: out.emplace_back(dice.one_in(2)); break;
      case 2: out.emplace_back(Array{"a", dice.roll(2, 4)}); break;
      case 3: out.emplace_back(Object{{"b", "x"}, {"a", dice.roll(2, 4)}}); break;
      case 4: out.emplace_back(INT64_MAX - dice.roll(0, 2)); break;
      default: out.emplace_back(dice.of(kTexts));
    }
  }
  return out;
}

std::vector<Constraint> some_constraints(Dice& dice, int depth);

Rules some_fields(Dice& dice, int depth) {
  Rules out;
  for (const char* name : {"a", "b", "c"}) {
    if (out.empty() || dice.one_in(2))
      out.push_back({name, dice.one_in(2), some_constraints(dice, depth)});
  }
  return out;
}

NotOneOf some_excluded(Dice& dice) {
  NotOneOf out;
  for (const Value& value : some_values(dice)) {
    if (value.array() == nullptr && value.object() == nullptr) out.values.push_back(value);
  }
  if (out.values.empty()) out.values.emplace_back("a");
  return out;
}

Constraint some_structure(Dice& dice, int depth) {
  switch (dice.roll(0, 4)) {
    case 0: return Each{some_constraints(dice, depth)};
    case 1: {
      const std::int64_t least = dice.roll(0, 2);
      return Count{least, least + dice.roll(0, 2)};
    }
    case 2: return Fields{some_fields(dice, depth)};
    case 3: return Argv{some_constraints(dice, depth)};
    default: return AnyOf{some_constraints(dice, depth)};
  }
}

Constraint some_constraint(Dice& dice, int depth) {
  if (depth > 0 && dice.one_in(3)) return some_structure(dice, depth - 1);
  switch (dice.roll(0, 14)) {
    case 0: return AnyValue{};
    case 1: return Equals{some_values(dice).front()};
    case 2: return OneOf{some_values(dice)};
    case 3: return some_excluded(dice);
    case 4: return AtLeast{dice.roll(-3, 6)};
    case 5: return AtMost{dice.roll(0, 9)};
    case 6: {
      const std::int64_t least = dice.roll(0, 6);
      return Length{least, dice.one_in(3) ? INT64_MAX : least + dice.roll(0, 6)};
    }
    case 7: return Prefix{dice.of(kTexts)};
    case 8: return Suffix{dice.of(kTexts)};
    case 9: return Glob{dice.of(kGlobs)};
    case 10: return Url{{"https"}, {"a.example"}, {}, dice.one_in(2) ? "/" : "/v1"};
    case 11: return Cidr{{dice.one_in(2) ? "10.0.0.0/8" : "fd00::/8"}};
    case 12: return TimeOfDay{0, 3600, 0};
    case 13: return AllOf{some_constraints(dice, depth - 1)};
    default: return Under{dice.of(kTrees)};
  }
}

std::vector<Constraint> some_constraints(Dice& dice, int depth) {
  std::vector<Constraint> out;
  const std::int64_t count = dice.one_in(3) ? dice.roll(2, 3) : 1;
  for (std::int64_t i = 0; i < count; ++i) out.push_back(some_constraint(dice, depth));
  return out;
}

// Whether a schema can say exactly this. Of times the allowed arguments are asked about none.
bool is_exact(const Constraint& constraint);
bool are_exact(const std::vector<Constraint>& all) { return std::ranges::all_of(all, is_exact); }
bool are_exact(const Rules& rules) {
  return std::ranges::all_of(rules, [](const ArgRule& rule) { return are_exact(rule.all); });
}
bool is_exact(const Constraint& constraint) {
  if (const auto* c = std::get_if<NotOneOf>(&constraint)) {
    return std::ranges::none_of(c->values, [](const Value& value) {
      return value.integer() != nullptr && *value.integer() > (std::int64_t{1} << 53U);
    });
  }
  if (const auto* c = std::get_if<Glob>(&constraint)) {
    return std::ranges::none_of(std::array{"??", "?*", "*?", "*a*a*"}, [c](const char* not_told) {
      return c->pattern.find(not_told) != std::string::npos;
    });
  }
  if (const auto* c = std::get_if<Each>(&constraint)) return are_exact(c->all);
  if (const auto* c = std::get_if<Argv>(&constraint)) return are_exact(c->words);
  if (const auto* c = std::get_if<Fields>(&constraint)) return are_exact(c->rules);
  if (const auto* c = std::get_if<AllOf>(&constraint)) return are_exact(c->all);
  if (const auto* c = std::get_if<AnyOf>(&constraint)) return are_exact(c->any);
  return !std::holds_alternative<Length>(constraint) && !std::holds_alternative<Url>(constraint) &&
         !std::holds_alternative<Cidr>(constraint);
}

// A schema takes 1.0 for an integer.
bool has_fraction(const Value& value) {
  if (value.number() != nullptr) return true;
  if (const Array* items = value.array()) return std::ranges::any_of(*items, has_fraction);
  if (const Object* members = value.object()) {
    return std::ranges::any_of(*members, [](const auto& m) { return has_fraction(m.second); });
  }
  return false;
}

bool is_shortened(const Value& schema) {
  return write_canonical(schema).find("than can be told here") != std::string::npos;
}

// --- one grant with its blocks, or two

struct Sample {
  authority::Tool tool;
  std::vector<std::vector<Rules>> ways;  // of each grant, its levels

  Value schema() const {
    std::vector<GrantedArguments> granted;
    for (const auto& levels : ways) {
      GrantedArguments& way = granted.emplace_back();
      for (const Rules& level : levels) way.levels.push_back(&level);
    }
    return broker::input_schema(tool, granted);
  }
  bool allows(const Object& arguments) const {
    const bool fits = tool.argv.empty() || authority::render_argv(tool, arguments).ok();
    return fits && std::ranges::any_of(ways, [&](const auto& levels) {
             return std::ranges::all_of(levels, [&](const Rules& level) {
               return check_arguments(level, tool.inputs, arguments, kAnyMoment).ok();
             });
           });
  }
  bool exact() const {
    return ways.size() == 1 && tool.argv.empty() &&
           std::ranges::all_of(ways.front(), [](const Rules& level) { return are_exact(level); });
  }
};

Rules some_rules(Dice& dice, const std::vector<InputSpec>& inputs) {
  Rules out;
  for (const InputSpec& input : inputs) {
    if (!input.optional || !dice.one_in(6))
      out.push_back({input.name, dice.one_in(3), some_constraints(dice, 2)});
  }
  if (dice.one_in(20)) out.push_back({"unknown", true, {AnyValue{}}});
  return out;
}

// Words of a command, by which an argument may be refused that begins with '-'.
std::vector<authority::ArgvWord> some_words(Dice& dice, const std::vector<InputSpec>& inputs) {
  using authority::ArgvWord;
  std::vector<ArgvWord> out;
  for (const InputSpec& input : inputs) {
    if (dice.one_in(3)) out.push_back({dice.one_in(2) ? "--" : "x", "", false, {}});
    const ArgvWord word{"", input.name, dice.one_in(3), {}};
    ArgvWord other{"--", "", false, {}};
    if (dice.one_in(2)) other = {"", dice.of(inputs).name, dice.one_in(2), {}};
    const std::vector<ArgvWord> group =
        dice.one_in(2) ? std::vector{other, word} : std::vector{word, other};
    out.push_back(dice.one_in(2) ? word : ArgvWord{"", "", false, group});
  }
  return out;
}

Sample some_sample(Dice& dice) {
  const std::vector<InputType> types = {InputType::string, InputType::path, InputType::integer,
                                        InputType::json,   InputType::json, InputType::boolean};
  Sample out;
  out.tool.name = "t";
  out.tool.kind = authority::ToolKind::command;
  for (const char* name : {"one", "two"}) {
    if (out.tool.inputs.empty() || dice.one_in(2))
      out.tool.inputs.push_back({name, dice.of(types), dice.one_in(3)});
  }
  if (dice.one_in(4)) out.tool.argv = some_words(dice, out.tool.inputs);
  const std::int64_t ways = dice.one_in(5) ? 2 : 1;
  for (std::int64_t i = 0; i < ways; ++i) {
    auto& levels = out.ways.emplace_back();
    const std::int64_t depth = dice.one_in(3) ? dice.roll(2, 3) : 1;
    for (std::int64_t k = 0; k < depth; ++k) levels.push_back(some_rules(dice, out.tool.inputs));
  }
  return out;
}

// Values at the edges of all that is said of an input, and some of the other kinds.
std::vector<Value> candidates(const Sample& sample, const std::string& name) {
  std::vector<Constraint> all;
  for (const auto& levels : sample.ways) {
    for (const Rules& level : levels) {
      const auto rule = std::ranges::find(level, name, &ArgRule::name);
      if (rule != level.end()) all.insert(all.end(), rule->all.begin(), rule->all.end());
    }
  }
  std::vector<Value> out = edge_values(all);
  for (const std::string& text : kTexts) out.emplace_back(text);
  for (const Value& more : {Value(Array{}), Value(Array{"a", "/a"}), Value(Object{}),
                            Value(Object{{"a", 3}, {"b", "x"}}), Value(Number{"1.5"})})
    out.push_back(more);
  return out;
}

void print(const Value& schema, const std::vector<Value>& allowed,
           const std::vector<Value>& refused) {
  std::cout << write_canonical(Object{
                   {"schema", schema}, {"allowed", Array(allowed)}, {"refused", Array(refused)}})
            << "\n";
}

void print(Dice& dice, const Sample& sample) {
  constexpr int kTries = 400;
  constexpr std::size_t kMost = 25;  // of each kind
  const Value schema = sample.schema();
  const bool exact = sample.exact() && !is_shortened(schema);
  std::vector<std::vector<Value>> values;
  for (const InputSpec& input : sample.tool.inputs)
    values.push_back(candidates(sample, input.name));
  std::vector<Value> allowed, refused;
  for (int i = 0; i < kTries; ++i) {
    Object arguments;
    for (std::size_t k = 0; k < values.size(); ++k) {
      if (!dice.one_in(8)) arguments.emplace_back(sample.tool.inputs[k].name, dice.of(values[k]));
    }
    if (dice.one_in(40)) arguments.emplace_back("unknown", "x");
    const bool allows = sample.allows(arguments);
    if (allows && allowed.size() < kMost) allowed.emplace_back(arguments);
    if (!allows && exact && refused.size() < kMost && !has_fraction(arguments))
      refused.emplace_back(arguments);
  }
  print(schema, allowed, refused);
}

// One argument of a tool that takes any JSON, under the constraint of each vector.
void print_vectors(const std::string& source_dir) {
  for (const Row& row : vector_rows(source_dir, "constraints.vec")) {
    const std::vector<Constraint> all = constraints_of(json_value(row.given.at("constraint")));
    Sample sample;
    sample.tool.inputs = {{"x", InputType::json, false}};
    sample.ways.push_back({Rules{{"x", false, all}}});
    const Object arguments{{"x", json_value(row.rest)}};
    const Value schema = sample.schema();
    const bool allowed = sample.allows(arguments);
    const bool refused =
        !allowed && sample.exact() && !has_fraction(arguments) && !is_shortened(schema);
    print(schema, allowed ? std::vector<Value>{arguments} : std::vector<Value>{},
          refused ? std::vector<Value>{arguments} : std::vector<Value>{});
  }
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[1] == "vectors") {
    print_vectors(words[2]);
    return 0;
  }
  std::uint64_t numbers[2] = {};
  if (words.size() != 4 || words[1] != "random") return 2;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string& word = words[i + 2];
    if (std::from_chars(word.data(), word.data() + word.size(), numbers[i]).ec != std::errc{})
      return 2;
  }
  Dice dice(numbers[1]);
  for (std::uint64_t i = 0; i < numbers[0]; ++i) print(dice, some_sample(dice));
  return 0;
}

}  // namespace
}  // namespace taper::testing

int main(int argc, char** argv) {
  return taper::testing::run(std::vector<std::string>(argv, argv + argc));
}
