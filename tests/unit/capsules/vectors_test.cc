#include <catch2/catch.hpp>

#include "capsules/builtins.h"
#include "capsules/constraints.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "tests/support/constraint_json.h"
#include "tests/support/vector_file.h"

namespace taper::capsules {
namespace {

using testing::constraints_of;
using testing::optional_name;
using testing::Row;
using testing::rules_of;
using testing::vector_rows;

Value json(const std::string& text) { return testing::json_value(text); }

void check_value_row(const Row& row) {
  const bool hex = row.verdict.ends_with("-hex");
  const std::size_t arrow = row.rest.find(" -> ");
  const std::string in = row.rest.substr(0, arrow);
  const Bytes bytes = hex ? from_hex(in).value() : to_bytes(as_bytes(in));
  const auto value = parse_value(bytes, limits::kArgumentBytesMax);
  if (row.verdict.starts_with("refuses")) {
    CHECK(value.code() == Code::arguments_malformed);
    return;
  }
  REQUIRE(row.verdict.starts_with("accepts"));
  REQUIRE(value.ok());
  const std::string canonical = write_canonical(*value);
  CHECK(canonical == row.rest.substr(arrow + 4));
  // Writing and reading again is the same value and the same bytes.
  const Value again = json(canonical);
  CHECK(again == *value);
  CHECK(write_canonical(again) == canonical);
}

TEST_CASE("values.vec: arguments are read strictly", "[capsules][vectors][R35]") {
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, "values.vec")) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    check_value_row(row);
  }
}

// "1790000000" or "1790000000 anchored"; absent: nothing is known of the time.
Moment moment_of(const Row& row) {
  const auto found = row.given.find("moment");
  if (found == row.given.end()) return {};
  return {*json(found->second.substr(0, found->second.find(' '))).integer(),
          found->second.ends_with(" anchored")};
}

TEST_CASE("constraints.vec: each constraint holds and fails", "[capsules][vectors][R33][R35]") {
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, "constraints.vec")) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    const Constraint constraint = constraints_of(json(row.given.at("constraint"))).at(0);
    CHECK(row.given.at("constraint").find(constraint_name(constraint)) == 2);
    CHECK(holds(constraint, json(row.rest), moment_of(row)) == (row.verdict == "holds"));
  }
}

std::vector<InputSpec> inputs_of(std::string_view text) {
  const std::map<std::string_view, InputType> types = {{"string", InputType::string},
                                                       {"path", InputType::path},
                                                       {"integer", InputType::integer},
                                                       {"boolean", InputType::boolean},
                                                       {"json", InputType::json}};
  std::vector<InputSpec> out;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    const auto [name, optional] = optional_name(std::string(word.substr(0, word.find('='))));
    out.push_back({name, types.at(word.substr(word.find('=') + 1)), optional});
  }
  return out;
}

TEST_CASE("arguments.vec: the world of a grant is closed", "[capsules][vectors][R33][R35]") {
  for (const Row& row : vector_rows(TAPER_SOURCE_DIR, "arguments.vec")) {
    INFO(row.where << ": " << row.verdict << " " << row.rest);
    const std::size_t brace = row.rest.find('{');
    const auto arguments = parse_arguments(as_bytes(std::string_view(row.rest).substr(brace)));
    REQUIRE(arguments.ok());
    const Status status =
        check_arguments(rules_of(json(row.given.at("grant"))), inputs_of(row.given.at("inputs")),
                        *arguments, moment_of(row));
    CHECK(std::string(describe(status.code()).name) == row.verdict);
    if (!status.ok()) CHECK(status.error().detail().field + " " == row.rest.substr(0, brace));
  }
}

TEST_CASE("A rule without constraints holds for nothing", "[capsules][R33]") {
  const Object arguments = {{"a", Value("x")}};
  CHECK(check_arguments({{"a", true, {}}}, {{"a", InputType::string, false}}, arguments).code() ==
        Code::argument_refused);
}

TEST_CASE("Bounds of argument bytes", "[capsules]") {
  const auto code = [](const std::string& text) { return parse_arguments(as_bytes(text)).code(); };
  CHECK(code("[]") == Code::arguments_malformed);
  CHECK(code(std::string(limits::kArgumentBytesMax + 1, ' ')) == Code::arguments_malformed);
  std::string many = "{\"a\":[0";
  for (std::size_t i = 3; i < limits::kJsonNodesMax; ++i) many += ",0";
  CHECK(code(many + "]}") == Code::ok);
  CHECK(code(many + ",0]}") == Code::arguments_malformed);
  CHECK(code(std::string(1000, '[')) == Code::arguments_malformed);
  // Many members: found out, and not in square time.
  std::string wide = "{\"k\":0";
  for (int i = 0; i < 50'000; ++i) wide += ",\"" + std::to_string(i) + "\":0";
  CHECK(code(wide + "}") == Code::ok);
  CHECK(code(wide + ",\"k\":0}") == Code::arguments_malformed);
  const Value value = json(wide + "}");
  Object turned(value.object()->rbegin(), value.object()->rend());
  CHECK(value == Value(turned));
  turned.back().second = Value(1);
  CHECK_FALSE(value == Value(turned));
}

TEST_CASE("Errors name the byte and the rule", "[capsules]") {
  const auto value = parse_value(as_bytes("{\"a\":1,\"a\":2}"), 100);
  REQUIRE_FALSE(value.ok());
  CHECK(value.error().detail().field == "byte 13");
  CHECK(value.error().detail().expected == "every key once in an object");
}

TEST_CASE("Pointers name one place or nothing", "[capsules]") {
  const Value value = json(R"({"a":[10,{"b/c":1,"~":2,"":3}],"":{"":4}})");
  const auto at = [&value](std::string_view pointer) {
    const Value* found = value.at_pointer(pointer);
    return found == nullptr ? std::string("-") : write_canonical(*found);
  };
  CHECK(at("") == write_canonical(value));
  CHECK(at("/a/0") == "10");
  CHECK(at("/a/1/b~1c") == "1");
  CHECK(at("/a/1/~0") == "2");
  CHECK(at("/a/1/") == "3");
  CHECK(at("//") == "4");
  for (const char* none : {"a", "/a/2", "/a/00", "/a/-", "/a/+1", "/a/-1", "/a/1/~", "/a/1/~2",
                           "/a/0/x", "/b", "/a/99999999999999999999", "/a/"}) {
    INFO(none);
    CHECK(at(none) == "-");
  }
}

TEST_CASE("Builtins are the table that everybody reads", "[capsules]") {
  CHECK(builtins().size() == 6);
  CHECK(find_builtin("file.write")->effect == Effect::write);
  CHECK(find_builtin("file.append")->effect == Effect::write);
  CHECK(find_builtin("file.read")->effect == Effect::read);
  CHECK(find_builtin("file.read")->inputs.size() == 3);
  CHECK(find_builtin("time.now")->inputs.empty());
  CHECK(find_builtin("file.reads") == nullptr);
  CHECK(find_builtin("") == nullptr);
}

}  // namespace
}  // namespace taper::capsules
