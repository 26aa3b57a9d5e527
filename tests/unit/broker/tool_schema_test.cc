// The schema of a whole tool: levels, several grants, budgets, and what happens when it is too
// long. And what else is told of a tool.
#include "runtime/broker/tool_schema.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "runtime/broker/tool_words.h"
#include "tests/support/constraint_json.h"

namespace taper::broker {
namespace {

using capsules::ArgRule;
using capsules::InputType;
using capsules::Value;
using Rules = std::vector<ArgRule>;

authority::Tool command(std::vector<capsules::InputSpec> inputs) {
  authority::Tool tool;
  tool.name = "t";
  tool.kind = authority::ToolKind::command;
  tool.effect = capsules::Effect::write;
  tool.inputs = std::move(inputs);
  return tool;
}

Rules rules(const std::string& json) { return testing::rules_of(testing::json_value(json)); }

std::string schema_of(const authority::Tool& tool, std::vector<GrantedArguments> ways) {
  return write_canonical(input_schema(tool, ways));
}

// An object schema without anything in it that combines schemas.
std::string object(const std::string& properties, const std::string& required = "") {
  return R"({"additionalProperties":false,"properties":{)" + properties + "}" +
         (required.empty() ? "" : R"(,"required":[)" + required + "]") + R"(,"type":"object"})";
}

const std::vector<capsules::InputSpec> kInputs = {{"name", InputType::string, false},
                                                  {"count", InputType::integer, true}};
constexpr const char* kNothing =
    R"({"additionalProperties":false,"not":{},"properties":{},"type":"object"})";

TEST_CASE("every level narrows the schema", "[broker][schema][R35][R45]") {
  const authority::Tool tool = command(kInputs);
  const Rules root = rules(R"({"name":{"prefix":"a"},"count?":{"at_most":9}})");
  const Rules block = rules(R"({"name":{"prefix":"ab"},"count":{"at_most":3,"at_least":1}})");
  const Rules without = rules(R"({"name":"any"})");
  const Rules more = rules(R"({"name":"any","mode?":"any"})");
  CHECK(schema_of(tool, {{{&root}}}) ==
        object(R"("count":{"maximum":9,"type":"integer"},"name":{"pattern":"^a","type":"string"})",
               R"("name")"));
  // Optional only where all say so, and gone where one does not name it.
  CHECK(schema_of(tool, {{{&root, &block}}}) ==
        object(R"("count":{"maximum":3,"minimum":1,"type":"integer"},)"
               R"("name":{"allOf":[{"pattern":"^ab"}],"pattern":"^a","type":"string"})",
               R"("name","count")"));
  CHECK(schema_of(tool, {{{&root, &without}}}) ==
        object(R"("name":{"pattern":"^a","type":"string"})", R"("name")"));
  // What one level asks for and another does not name can never be.
  const Rules asked = rules(R"({"name":"any","count":"any"})");
  CHECK(schema_of(tool, {{{&asked, &without}}}) == kNothing);
  // A rule of something that the tool does not take.
  CHECK(schema_of(tool, {{{&more}}}) == object(R"("name":{"type":"string"})", R"("name")"));
}

TEST_CASE("a grant by which no call is allowed", "[broker][schema]") {
  const authority::Tool tool = command(kInputs);
  const Rules good = rules(R"({"name":"any"})");
  const Rules unnamed = rules(R"({"count?":"any"})");
  const Rules unknown = rules(R"({"name":"any","mode":"any"})");
  const Rules never = rules(R"({"name":{"at_most":1}})");
  const Rules optional_never = rules(R"({"name":"any","count?":{"prefix":"a"}})");
  const Rules no_constraint = {{"name", false, {}}};
  for (const Rules* bad : {&unnamed, &unknown, &never, &no_constraint}) {
    CHECK(schema_of(tool, {{{bad}}}) == kNothing);
    CHECK(schema_of(tool, {{{bad}}, {{&good}}}) ==
          object(R"("name":{"type":"string"})", R"("name")"));
  }
  CHECK(schema_of(tool, {}) == kNothing);
  CHECK(schema_of(tool, {{{&optional_never}}}) ==
        object(R"("name":{"type":"string"})", R"("name")"));
}

TEST_CASE("of several grants an argument takes what any of them gives it",
          "[broker][schema][R35]") {
  const authority::Tool tool = command(kInputs);
  const Rules a = rules(R"({"name":{"prefix":"a"},"count":{"at_most":9}})");
  const Rules b = rules(R"({"name":{"prefix":"b"},"count":{"at_most":9}})");
  const Rules one = rules(R"({"name":{"equals":"x"}})");
  const Rules two = rules(R"({"name":{"one_of":["y","x"]}})");
  const Rules any = rules(R"({"name":"any"})");
  CHECK(schema_of(tool, {{{&a}}, {{&b}}}) ==
        object(R"("count":{"maximum":9,"type":"integer"},)"
               R"("name":{"anyOf":[{"pattern":"^a","type":"string"},)"
               R"({"pattern":"^b","type":"string"}],"type":"string"})",
               R"("name","count")"));
  CHECK(schema_of(tool, {{{&one}}, {{&two}}}) ==
        object(R"("name":{"enum":["x","y"],"type":"string"})", R"("name")"));
  CHECK(schema_of(tool, {{{&a}}, {{&any}}}) ==
        object(R"("count":{"maximum":9,"type":"integer"},"name":{"type":"string"})", R"("name")"));
}

TEST_CASE("a budget's sum and a call's id are told", "[broker][schema][R31]") {
  const authority::Tool tool = command(kInputs);
  const Rules both = rules(R"({"name":"any","count?":{"at_most":90}})");
  const Rules without = rules(R"({"name":"any"})");
  CHECK(schema_of(tool, {{{&both}, {{"count", 40}}, "name"}}) ==
        object(R"("count":{"maximum":40,"minimum":0,"type":"integer"},)"
               R"("name":{"description":"The id of this call: another for each call.",)"
               R"("type":"string"})",
               R"("name","count")"));
  CHECK(schema_of(tool, {{{&without}, {{"count", 40}}}}) == kNothing);
  CHECK(schema_of(tool, {{{&without}, {{"weight", 40}}}}) == kNothing);
}

TEST_CASE("what a program may take for an option is told", "[broker][schema][R35]") {
  using authority::ArgvWord;
  const auto literal = [](const char* text) { return ArgvWord{text, "", false, {}}; };
  const auto value = [](const char* name) { return ArgvWord{"", name, false, {}}; };
  const auto of_option = [](const char* name) { return ArgvWord{"", name, true, {}}; };
  const auto group = [](std::vector<ArgvWord> words) { return ArgvWord{"", "", false, words}; };
  const Rules all = rules(R"({"name":"any","count?":{"at_most":9}})");
  const auto told = [&](std::vector<ArgvWord> argv) {
    authority::Tool tool = command(kInputs);
    tool.argv = std::move(argv);
    const GrantedArguments way{{&all}};
    const Value schema = input_schema(tool, {&way, 1});
    const auto says = [&schema](const char* pointer) {
      return schema.at_pointer(pointer) != nullptr;
    };
    return std::pair(says("/properties/name/pattern"), says("/properties/count/minimum"));
  };
  const ArgvWord program = literal("/bin/x");
  CHECK(told({program, value("name"), value("count")}) == std::pair(true, true));
  CHECK(told({program, literal("--"), value("name"), value("count")}) == std::pair(false, false));
  CHECK(told({program, of_option("count"), value("name")}) == std::pair(true, false));
  CHECK(told({program, group({literal("-n"), value("count")}), literal("--"), value("name")}) ==
        std::pair(false, true));
  // The group may be dropped with its "--"; and with the other word that it needs.
  CHECK(told({program, group({literal("--"), value("count")}), value("name")}) ==
        std::pair(false, false));
  CHECK(told({program, group({value("name"), of_option("count")})}) == std::pair(false, false));
}

TEST_CASE("a schema that is too long loses its longest parts first", "[broker][schema]") {
  const authority::Tool tool = command({{"a", InputType::string, true},
                                        {"b", InputType::path, true},
                                        {"c", InputType::integer, true},
                                        {"d", InputType::json, true}});
  capsules::OneOf texts, paths;
  for (int i = 0; i < 700; ++i) {
    texts.values.emplace_back("text number " + std::to_string(i));
    paths.values.emplace_back("/srv/" + std::to_string(i));
  }
  Rules all = {{"a", true, {texts}}, {"b", true, {paths}}, {"c", true, {capsules::AtMost{9}}}};
  const GrantedArguments way{{&all}};
  const Value schema = input_schema(tool, {&way, 1});
  CHECK(write_canonical(schema).size() <= limits::kToolSchemaBytesMax);
  CHECK(write_canonical(*schema.at_pointer("/properties/a")) ==
        R"({"description":"The grant asks more of it than can be told here.","type":"string"})");
  CHECK(schema.at_pointer("/properties/b/enum")->array()->size() == 700);
  CHECK(*schema.at_pointer("/properties/c/maximum")->integer() == 9);
  // What is nested too deep for a message is not told either.
  Value deep = 1;
  for (int i = 0; i < 25; ++i) deep = capsules::Array{deep};
  all = {{"c", true, {capsules::AtMost{9}}}, {"d", true, {capsules::Equals{deep}}}};
  const Value flat = input_schema(tool, {&way, 1});
  CHECK(flat.at_pointer("/properties/d/const") == nullptr);
  CHECK(flat.at_pointer("/properties/d/type") == nullptr);
  CHECK(*flat.at_pointer("/properties/c/maximum")->integer() == 9);
}

TEST_CASE("a grant kept many times over does not make endless work", "[broker][schema]") {
  const authority::Tool tool = command(kInputs);
  std::vector<Rules> kept;
  for (int i = 0; i < 400; ++i)
    kept.push_back(
        {{"name", false, {capsules::Prefix{std::string(1500, 'x') + std::to_string(i)}}}});
  std::vector<GrantedArguments> ways;
  for (const Rules& one : kept) ways.push_back({{&one}});
  const Value schema = input_schema(tool, ways);
  CHECK(write_canonical(*schema.at_pointer("/properties/name")) == R"({"type":"string"})");
}

TEST_CASE("builtins have words for every input", "[broker][schema]") {
  for (const auto& [name, tool] : authority::builtin_tools()) {
    INFO(name);
    CHECK_FALSE(tool_title(tool).empty());
    CHECK_FALSE(tool_description(tool).empty());
    for (const capsules::InputSpec& input : tool.inputs)
      CHECK_FALSE(input_words(name, input.name).empty());
  }
  const authority::Tool read = authority::builtin_tools().at("file.read");
  const Rules all = rules(R"({"path":{"equals":"/a"},"offset?":"any"})");
  CHECK(schema_of(read, {{{&all}}}) ==
        object(R"("offset":{"description":"The first byte to read; 0 when left out.",)"
               R"("type":"integer"},)"
               R"("path":{"const":"/a","description":"The file.","type":"string"})",
               R"("path")"));
  // A command of that name is none, and has its own words.
  authority::Tool own = command({{"path", InputType::string, false}});
  own.name = "file.read";
  own.title = "Mine";
  const Rules path = rules(R"({"path":"any"})");
  CHECK(schema_of(own, {{{&path}}}) == object(R"("path":{"type":"string"})", R"("path")"));
  CHECK(tool_title(own) == "Mine");
  CHECK(tool_description(own).empty());
}

TEST_CASE("hints follow from the effect", "[broker][schema]") {
  const authority::Tools builtins = authority::builtin_tools();
  const auto hints = [](const authority::Tool& tool, Repeats repeats = Repeats::unknown) {
    return write_canonical(annotations(tool, repeats));
  };
  const auto row = [](const char* destroys, const char* repeats, const char* reads) {
    return std::string(R"({"destructiveHint":)") + destroys + R"(,"idempotentHint":)" + repeats +
           R"(,"openWorldHint":false,"readOnlyHint":)" + reads + "}";
  };
  CHECK(hints(builtins.at("file.read")) == row("false", "true", "true"));
  CHECK(hints(builtins.at("file.write")) == row("true", "true", "false"));
  CHECK(hints(builtins.at("file.append")) == row("false", "false", "false"));
  authority::Tool tool = command({});
  CHECK(hints(tool) == row("true", "false", "false"));
  CHECK(hints(tool, Repeats::harmless) == row("true", "true", "false"));
  tool.effect = capsules::Effect::irreversible;
  CHECK(hints(tool) == row("true", "false", "false"));
  tool.effect = capsules::Effect::read;
  CHECK(hints(tool) == row("false", "true", "true"));
}

}  // namespace
}  // namespace taper::broker
