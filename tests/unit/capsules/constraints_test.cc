// Constraint trees made at random against a model that knows nothing of the evaluator's shortcuts.
#include <catch2/catch.hpp>
#include <random>

#include "capsules/constraints.h"
#include "capsules/url.h"
#include "runtime/base/limits.h"
#include "tests/support/constraint_json.h"

namespace taper::capsules {
namespace {

using testing::constraints_of;
using testing::json_value;

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t count) { return random() % count; }

constexpr const char* kLeaves[] = {
    R"({"any":true})",
    R"({"equals":"/srv/a"})",
    R"({"equals":1})",
    R"({"equals":[1,"a"]})",
    R"({"equals":{"a":1}})",
    R"({"one_of":["a","/srv/b",2,true]})",
    R"({"not_one_of":["a","/srv/../b"]})",
    R"({"not_one_of":[1]})",
    R"({"at_least":1})",
    R"({"at_most":1})",
    R"({"length":[1,6]})",
    R"({"prefix":"/srv"})",
    R"({"suffix":"b"})",
    R"({"glob":"/srv/*"})",
    R"({"under":"/srv"})",
    R"({"url":{"schemes":["https"],"hosts":["a"]}})",
    R"({"cidr":["10.0.0.0/8"]})",
    R"({"count":[1,2]})",
    R"({"time_of_day":{"from":"06:00","to":"18:00","offset":"+00:00"}})",
};

constexpr const char* kScalars[] = {"null",
                                    "true",
                                    "false",
                                    "0",
                                    "1",
                                    "2",
                                    "1.0",
                                    "\"\"",
                                    "\"a\"",
                                    "\"/srv/a\"",
                                    "\"/srv/../b\"",
                                    "\"/srv/b\"",
                                    "\"/etc\"",
                                    "\"10.1.2.3\"",
                                    "\"https://a/x\"",
                                    "\"b\"",
                                    "[]",
                                    "{}"};

const std::vector<Constraint>& leaves() {
  static const std::vector<Constraint> kRead = [] {
    std::vector<Constraint> out;
    for (const char* leaf : kLeaves) out.push_back(constraints_of(json_value(leaf)).at(0));
    return out;
  }();
  return kRead;
}

const std::vector<Value>& scalars() {
  static const std::vector<Value> kRead = [] {
    std::vector<Value> out;
    for (const char* scalar : kScalars) out.push_back(json_value(scalar));
    return out;
  }();
  return kRead;
}

Value random_value(Random& random, int depth) {
  const std::size_t kind = depth == 0 ? 0 : below(random, 4);
  if (kind == 2) {
    Array items(below(random, 4));
    for (Value& item : items) item = random_value(random, depth - 1);
    return Value(items);
  }
  if (kind == 3) {
    Object members;
    for (const char* name : {"a", "b", "c"}) {
      if (below(random, 2) == 0) members.emplace_back(name, random_value(random, depth - 1));
    }
    return Value(members);
  }
  return scalars()[below(random, scalars().size())];
}

Constraint random_constraint(Random& random, int depth);

std::vector<Constraint> random_list(Random& random, int depth) {
  std::vector<Constraint> out;
  for (std::size_t i = 0; i <= below(random, 3); ++i) {
    out.push_back(random_constraint(random, depth));
  }
  return out;
}

std::vector<ArgRule> random_rules(Random& random, int depth) {
  std::vector<ArgRule> out;
  for (const char* name : {"a", "b", "c"}) {
    if (below(random, 2) == 0) continue;
    out.push_back({name, below(random, 2) == 0, random_list(random, depth)});
  }
  return out;
}

Constraint random_constraint(Random& random, int depth) {
  switch (depth == 0 ? 0 : below(random, 8)) {
    case 3: return Argv{random_list(random, depth - 1)};
    case 4: return Each{random_list(random, depth - 1)};
    case 5: return Fields{random_rules(random, depth - 1)};
    case 6: return AllOf{random_list(random, depth - 1)};
    case 7: return AnyOf{random_list(random, depth - 1)};
    default: return leaves()[below(random, leaves().size())];
  }
}

// The model: counts what holds instead of stopping, asks the leaves one by one.
struct Model {
  Moment moment;

  bool names_tree(const std::vector<Constraint>& all) const {
    int trees = 0;
    for (const Constraint& one : all) {
      const std::string name(constraint_name(one));
      if (name == "under") ++trees;
      if (name == "all_of") trees += names_tree(std::get<AllOf>(one).all) ? 1 : 0;
      if (name == "any_of") trees += names_tree(std::get<AnyOf>(one).any) ? 1 : 0;
    }
    return trees > 0;
  }
  std::size_t how_many(const std::vector<Constraint>& all, const Value& value) const {
    std::size_t count = 0;
    for (const Constraint& one : all) count += whole(one, value) ? 1 : 0;
    return count;
  }
  bool place(const std::vector<Constraint>& all, const Value& value) const {
    const bool climbs = names_tree(all) && value.text() != nullptr && !is_plain_path(*value.text());
    return !climbs && how_many(all, value) == all.size();
  }
  bool object(const Fields& fields, const Value& value) const {
    if (value.object() == nullptr) return false;
    std::size_t known = 0;
    for (const ArgRule& rule : fields.rules) {
      const Value* member = value.find(rule.name);
      if (member == nullptr && !rule.optional) return false;
      if (member == nullptr) continue;
      ++known;
      if (!place(rule.all, *member)) return false;
    }
    return known == value.object()->size();
  }
  bool whole(const Constraint& constraint, const Value& value) const {
    if (const auto* all = std::get_if<AllOf>(&constraint)) {
      return how_many(all->all, value) == all->all.size();
    }
    if (const auto* any = std::get_if<AnyOf>(&constraint)) return how_many(any->any, value) > 0;
    if (const auto* fields = std::get_if<Fields>(&constraint)) return object(*fields, value);
    if (const auto* each = std::get_if<Each>(&constraint)) {
      if (value.array() == nullptr) return false;
      std::size_t good = 0;
      for (const Value& item : *value.array()) good += place(each->all, item) ? 1 : 0;
      return good == value.array()->size();
    }
    if (const auto* argv = std::get_if<Argv>(&constraint)) {
      if (value.array() == nullptr || value.array()->size() != argv->words.size()) return false;
      std::size_t good = 0;
      for (std::size_t i = 0; i < argv->words.size(); ++i) {
        const Value& word = value.array()->at(i);
        good += word.text() != nullptr && place({argv->words[i]}, word) ? 1 : 0;
      }
      return good == argv->words.size();
    }
    return holds(constraint, value, moment);
  }
};

TEST_CASE("all_of, any_of, each, argv and fields are what a naive model says", "[capsules][R35]") {
  Random random(20261121);
  std::size_t held = 0;
  for (int i = 0; i < 60'000; ++i) {
    const Constraint constraint = random_constraint(random, 4);
    const Value value = random_value(random, 3);
    const Model model{{1'790'000'000, below(random, 2) == 0}};
    const bool expected = model.whole(constraint, value);
    held += expected ? 1 : 0;
    if (holds(constraint, value, model.moment) != expected) {
      FAIL(describe_constraint(constraint) << " on " << write_canonical(value));
    }
  }
  CHECK(held > 5'000);
  CHECK(held < 55'000);
}

TEST_CASE("A further constraint never allows more", "[capsules][R35][R45]") {
  Random random(7);
  const std::vector<InputSpec> inputs = {
      {"a", InputType::json, true}, {"b", InputType::json, true}, {"c", InputType::json, true}};
  std::size_t narrowed = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::vector<ArgRule> rules = random_rules(random, 3);
    Object arguments;
    for (const ArgRule& rule : rules) {
      if (below(random, 4) != 0) arguments.emplace_back(rule.name, random_value(random, 3));
    }
    const Moment moment{1'790'000'000, below(random, 2) == 0};
    const bool before = check_arguments(rules, inputs, arguments, moment).ok();
    for (ArgRule& rule : rules) rule.all.push_back(random_constraint(random, 3));
    const bool after = check_arguments(rules, inputs, arguments, moment).ok();
    if (after && !before) FAIL(write_canonical(Value(arguments)));
    narrowed += before && !after ? 1 : 0;
    // Without a time, and for a call of which the time is not known yet.
    if (check_arguments(rules, inputs, arguments).ok() && !after) FAIL("less time, more allowed");
    if (after && !check_arguments(rules, inputs, arguments, kAnyMoment).ok()) FAIL("any moment");
  }
  CHECK(narrowed > 200);
}

TEST_CASE("What constraints may cost is bounded", "[capsules]") {
  Array many(limits::kJsonNodesMax - 1, Value("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
  Each costly;
  for (std::size_t i = 0; i < limits::kConstraintsPerArgMax; ++i) {
    costly.all.emplace_back(Glob{"a*a*a*a*a*a*a*a"});
  }
  CHECK_FALSE(holds(costly, Value(many)));
  many.resize(1000);
  CHECK(holds(costly, Value(many)));
  // One purse for all arguments of a call.
  std::vector<ArgRule> rules;
  std::vector<InputSpec> inputs;
  Object arguments;
  const std::string long_text(1'000'000, 'a');
  for (const char* name :
       {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"}) {
    rules.push_back({name, false, {Glob{"a*"}}});
    inputs.push_back({name, InputType::string, false});
    arguments.emplace_back(name, Value(long_text));
  }
  CHECK(check_arguments(rules, inputs, arguments).code() == Code::argument_refused);
  rules.resize(4);
  inputs.resize(4);
  arguments.resize(4);
  CHECK(check_arguments(rules, inputs, arguments).ok());
}

TEST_CASE("A URL is read as it is written", "[capsules]") {
  const auto url = parse_url("HTTPS://A.Example:8443/x/y?q=/..");
  REQUIRE(url.has_value());
  CHECK(url->scheme == "https");
  CHECK(url->host == "a.example");
  CHECK(url->port == 8443);
  CHECK(url->path == "/x/y");
  CHECK(parse_url("https://a")->path == "/");
  CHECK(parse_url("https://a")->port == 443);
  CHECK_FALSE(parse_url("amqp://a")->port.has_value());
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  CHECK(is_url_host(longest));
  CHECK_FALSE(is_url_host(longest + "a"));
  CHECK_FALSE(is_url_host(label + "a"));
  for (const char* host : {"-a", "a-", "a.-b", "a_b", "a..b", ".a", "a.", "", "a.1", "1", "0x1",
                           "a.0x1", "A", "[::1", "::1", "[127.0.0.1]", "a b", "*"}) {
    INFO(host);
    CHECK_FALSE(is_url_host(host));
  }
  for (const char* host : {"a", "1.a", "a-b", "xn--a", "1.2.3.4", "[::]"}) {
    INFO(host);
    CHECK(is_url_host(host));
  }
}

}  // namespace
}  // namespace taper::capsules
