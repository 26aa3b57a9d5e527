#include "runtime/broker/arguments.h"

#include <catch2/catch.hpp>

#include "runtime/authority/result_text.h"

namespace taper::broker {
namespace {

const std::map<std::string, std::string> kInputs = {{"day", "mon\"day"},
                                                    {"files", R"(["/a","/b"])"}};

std::optional<std::string> results(std::string_view step) {
  if (step == "read") return R"({"lines":[{"n":1},{"n":2}],"text":"hello"})";
  if (step == "bad") return "{not json";
  return std::nullopt;
}

std::string filled(std::string_view args) {
  const Result<Bytes> bytes = fill_arguments(args, {kInputs, results});
  return bytes ? std::string(as_text(*bytes)) : std::to_string(int(bytes.code()));
}

TEST_CASE("a step's references become whole values", "[broker]") {
  CHECK(filled(R"({"b":1,"a":"x"})") == R"({"a":"x","b":1})");
  CHECK(filled(R"({"day":{"$input":"day"}})") == R"({"day":"mon\"day"})");
  CHECK(filled(R"({"t":{"$step":"read","at":"/text"}})") == R"({"t":"hello"})");
  CHECK(filled(R"({"t":[{"deep":{"$step":"read","at":"/lines/1/n"}}]})") ==
        R"({"t":[{"deep":2}]})");
  CHECK(filled(R"({"t":{"$step":"read","at":""}})") ==
        R"({"t":{"lines":[{"n":1},{"n":2}],"text":"hello"}})");
}

TEST_CASE("a reference that is not there or not exact is an error", "[broker]") {
  CHECK(filled(R"({"t":{"$input":"night"}})") == "110");
  CHECK(filled(R"({"t":{"$step":"none","at":"/x"}})") == "609");
  CHECK(filled(R"({"t":{"$step":"bad","at":"/x"}})") == "609");
  CHECK(filled(R"({"t":{"$step":"read","at":"/nothing"}})") == "609");
  CHECK(filled(R"({"t":{"$step":"read","at":"/text","more":1}})") == "609");
  CHECK(filled(R"({"t":{"$other":"read"}})") == "609");
  CHECK(filled(R"({"t":{"$input":7}})") == "609");
  CHECK(filled(R"([1])") == "507");
}

// {"a":[R,R,...]} of `count` references.
std::string repeated(std::size_t count, const std::string& reference) {
  std::string out = "{\"a\":[" + reference;
  for (std::size_t i = 1; i < count; ++i) out += "," + reference;
  return out + "]}";
}

TEST_CASE("references bring no more than arguments may hold", "[broker][R29]") {
  const std::string large = "{\"text\":\"" + std::string(100'000, 'x') + "\"}";
  std::size_t read = 0;
  const auto result_of = [&](std::string_view) {
    ++read;
    return std::optional(large);
  };
  const std::string text = R"({"$step":"read","at":"/text"})";
  const auto fill = [&](const std::string& args) {
    read = 0;
    return fill_arguments(args, {kInputs, result_of}).code();
  };
  CHECK(fill(repeated(10, text)) == Code::ok);
  CHECK(read == 1);  // however often it is named
  CHECK(fill(repeated(11, text)) == Code::step_reference);
  CHECK(fill(repeated(1000, text)) == Code::step_reference);
  CHECK(read == 1);
  CHECK(fill(repeated(100'000, R"({"$input":"day"})")) == Code::arguments_malformed);
  const capsules::Value item(std::string(600'000, 'x'));
  CHECK(fill_arguments(R"({"a":{"$item":true}})", {kInputs, result_of, &item}).ok());
  CHECK(fill_arguments(repeated(2, R"({"$item":true})"), {kInputs, result_of, &item}).code() ==
        Code::step_reference);
  capsules::Step step;
  step.for_each_max = 100;
  step.for_each = "[" + text;
  for (int i = 1; i < 80; ++i) step.for_each += "," + text;
  const std::string most = step.for_each;
  step.for_each += "]";
  CHECK(items_of(step, {kInputs, result_of}).ok());
  step.for_each = most + "," + text + "," + text + "," + text + "," + text + "]";
  CHECK(items_of(step, {kInputs, result_of}).code() == Code::step_reference);
}

// The items, or the number of the error.
std::string items(std::string for_each, std::uint32_t most = 3) {
  capsules::Step step;
  step.for_each = std::move(for_each);
  step.for_each_max = most;
  Result<std::vector<capsules::Value>> values = items_of(step, {kInputs, results});
  if (!values) return std::to_string(describe(values.code()).number);
  return capsules::write_canonical(capsules::Value(std::move(*values)));
}

TEST_CASE("a step's items are a list, or what a reference leads to", "[broker]") {
  CHECK(items("[1,\"a\",{}]") == "[1,\"a\",{}]");
  CHECK(items("[]") == "[]");
  CHECK(items(R"({"$step":"read","at":"/lines"})") == R"([{"n":1},{"n":2}])");
  CHECK(items(R"({"$input":"files"})") == R"(["/a","/b"])");
}

TEST_CASE("too many items are none, and so is what is no list", "[broker][R29]") {
  CHECK(items("[1,2,3]", 3) == "[1,2,3]");
  CHECK(items("[1,2,3,4]", 3) == "619");
  CHECK(items(R"({"$step":"read","at":"/text"})") == "619");
  CHECK(items(R"({"$input":"day"})") == "619");    // no JSON
  CHECK(items(R"({"$input":"night"})") == "110");  // not given
  CHECK(items(R"({"$step":"none","at":"/x"})") == "609");
}

TEST_CASE("an item stands for itself, whole or in part", "[broker]") {
  const capsules::Value item = *capsules::parse_value(as_bytes(R"({"p":"/a","$input":"x"})"), 99);
  const auto with_item = [&](std::string_view args) {
    const Result<Bytes> bytes = fill_arguments(args, {kInputs, results, &item});
    return bytes ? std::string(as_text(*bytes)) : std::to_string(describe(bytes.code()).number);
  };
  CHECK(with_item(R"({"a":{"$item":true,"at":"/p"}})") == R"({"a":"/a"})");
  // What an item holds is a value, never a reference.
  CHECK(with_item(R"({"a":{"$item":true}})") == R"({"a":{"$input":"x","p":"/a"}})");
  CHECK(with_item(R"({"a":{"$item":true,"at":"/q"}})") == "609");
  CHECK(with_item(R"({"a":{"$item":true,"more":1}})") == "609");
  CHECK(filled(R"({"a":{"$item":true}})") == "609");
  CHECK(item_name("read", 3) == "read[3]");
}

TEST_CASE("a tool's JSON is made canonical or refused", "[broker]") {
  CHECK(capsules::write_canonical(*authority::parse_output(" {\"b\": 1, \"a\":[ true ]}\n")) ==
        R"({"a":[true],"b":1})");
  CHECK(authority::parse_output("oops").code() == Code::tool_output_malformed);
  CHECK(authority::parse_output("").code() == Code::tool_output_malformed);
}

}  // namespace
}  // namespace taper::broker
