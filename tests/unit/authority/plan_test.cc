#include "runtime/authority/plan.h"

#include <catch2/catch.hpp>

namespace taper::testing {
namespace {

const std::map<std::string, std::string> kInputs = {{"day", "mon\"day"}};

std::optional<std::string> results(std::string_view step) {
  if (step == "read") return R"({"lines":[{"n":1},{"n":2}],"text":"hello"})";
  if (step == "bad") return "{not json";
  return std::nullopt;
}

std::string filled(std::string_view args) {
  const Result<Bytes> bytes = authority::fill_arguments(args, kInputs, results);
  return bytes ? std::string(as_text(*bytes)) : std::to_string(int(bytes.code()));
}

TEST_CASE("a step's references become whole values", "[authority]") {
  CHECK(filled(R"({"b":1,"a":"x"})") == R"({"a":"x","b":1})");
  CHECK(filled(R"({"day":{"$input":"day"}})") == R"({"day":"mon\"day"})");
  CHECK(filled(R"({"t":{"$step":"read","at":"/text"}})") == R"({"t":"hello"})");
  CHECK(filled(R"({"t":[{"deep":{"$step":"read","at":"/lines/1/n"}}]})") ==
        R"({"t":[{"deep":2}]})");
  CHECK(filled(R"({"t":{"$step":"read","at":""}})") ==
        R"({"t":{"lines":[{"n":1},{"n":2}],"text":"hello"}})");
}

TEST_CASE("a reference that is not there or not exact is an error", "[authority]") {
  CHECK(filled(R"({"t":{"$input":"night"}})") == "110");
  CHECK(filled(R"({"t":{"$step":"none","at":"/x"}})") == "609");
  CHECK(filled(R"({"t":{"$step":"bad","at":"/x"}})") == "609");
  CHECK(filled(R"({"t":{"$step":"read","at":"/nothing"}})") == "609");
  CHECK(filled(R"({"t":{"$step":"read","at":"/text","more":1}})") == "609");
  CHECK(filled(R"({"t":{"$other":"read"}})") == "609");
  CHECK(filled(R"({"t":{"$input":7}})") == "609");
  CHECK(filled(R"([1])") == "507");
}

TEST_CASE("a tool's JSON is made canonical or refused", "[authority]") {
  CHECK(*authority::canonical_json(" {\"b\": 1, \"a\":[ true ]}\n") == R"({"a":[true],"b":1})");
  CHECK(authority::canonical_json("oops").code() == Code::tool_output_malformed);
  CHECK(authority::canonical_json("").code() == Code::tool_output_malformed);
}

}  // namespace
}  // namespace taper::testing
