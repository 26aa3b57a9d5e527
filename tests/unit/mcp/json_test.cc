#include "runtime/edge/mcp/json.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"

namespace taper::mcp {
namespace {

TEST_CASE("only one strict value is JSON", "[mcp]") {
  for (const char* good : {"{}", " [1, 2 ] ", "\"x\"", "-0", "1e400", "null", "\"\\u0000\"",
                           "123456789012345678901234567890", R"("😀")", "{\"a\":1,\"a\":2}"}) {
    CAPTURE(good);
    CHECK(is_valid_json(good));
  }
  for (const char* bad : {"",
                          " ",
                          "{",
                          "{} {}",
                          "{}x",
                          "[1,]",
                          "{\"a\":}",
                          "{a:1}",
                          "'x'",
                          "01",
                          "1.",
                          ".5",
                          "+1",
                          "NaN",
                          "Infinity",
                          "nul",
                          "// x\n1",
                          "\"a\nb\"",
                          "\"\x01\"",
                          "\"\xff\"",
                          "\"\xc0\x80\"",
                          "\"\xed\xa0\x80\"",
                          R"("\ud800")",
                          R"("\udc00")",
                          R"("\ud83d\u0041")",
                          R"("\x41")",
                          "\xef\xbb\xbf{}",
                          "[1 2]",
                          "{\"a\" 1}",
                          "tru",
                          "\"open"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_valid_json(bad));
  }
  CHECK_FALSE(is_valid_json(std::string_view("{}\0", 3)));
  CHECK_FALSE(is_valid_json(std::string_view("\0{}", 3)));
}

TEST_CASE("nesting has an end", "[mcp]") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(is_valid_json(nested(limits::kMcpJsonDepthMax)));
  CHECK_FALSE(is_valid_json(nested(limits::kMcpJsonDepthMax + 1)));
  CHECK_FALSE(is_valid_json(std::string(1'000'000, '[')));
}

TEST_CASE("members are exact source bytes", "[mcp]") {
  const std::string text =
      R"( {"a" : [1 , {"b":"]}"}] ,"\u0062":"x\"}" , "c":-1.50e+2,"d": {"k" : null } } )";
  REQUIRE(is_valid_json(text));
  const auto object = Object::read(trim(text));
  REQUIRE(object);
  CHECK(object->find("a") == R"([1 , {"b":"]}"}])");
  CHECK(object->find("b") == R"("x\"}")");
  CHECK(object->string("b") == "x\"}");
  CHECK(object->find("c") == "-1.50e+2");
  CHECK(object->find("d") == R"({"k" : null })");
  CHECK_FALSE(object->find("e"));
  CHECK_FALSE(object->string("c"));
}

TEST_CASE("a name that stands twice is refused, however it is spelled", "[mcp]") {
  CHECK(Object::read(R"({"a":1,"A":2})"));
  CHECK_FALSE(Object::read(R"({"a":1,"a":1})"));
  CHECK_FALSE(Object::read(R"({"a":1,"\u0061":2})"));
  CHECK_FALSE(Object::read("[]"));
  CHECK_FALSE(Object::read("null"));
  std::string many = "{";
  for (std::size_t i = 0; i <= limits::kMcpMembersMax; ++i) {
    many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":0";
  }
  CHECK_FALSE(Object::read(many + "}"));
}

TEST_CASE("what is handed out stands on one line and is JSON", "[mcp]") {
  CHECK(Json::parse(" {\n \"a\":\r\n 1}\n")->text() == "{  \"a\":   1}");
  CHECK_FALSE(Json::parse("{\"a\":1"));
  CHECK(Json::string("a\"b\\c\nd\x01\x7f\xc3\xa9").text() ==
        "\"a\\\"b\\\\c\\nd\\u0001\\u007f\xc3\xa9\"");
  CHECK(is_valid_json(Json::string("\xff\xfe").text()));
  ObjectWriter out;
  out.number("x", 0.1).number("y", 3.0).number("z", std::int64_t{-5}).flag("f", false);
  CHECK(std::move(out).end().text() == R"({"x":0.1,"y":3,"z":-5,"f":false})");
}

TEST_CASE("integers are whole and fit", "[mcp]") {
  CHECK(read_integer("60000") == 60000);
  CHECK(read_integer("-1") == -1);
  for (const char* bad : {"1.0", "1e3", "9223372036854775808", "\"1\"", "null", "true"}) {
    CHECK_FALSE(read_integer(bad));
  }
}

}  // namespace
}  // namespace taper::mcp
