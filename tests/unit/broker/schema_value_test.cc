// What a schema says for each constraint. Whether it means the same is for tests/schema.
#include "runtime/broker/schema_value.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "tests/support/constraint_json.h"

namespace taper::broker {
namespace {

using capsules::InputType;

std::string schema_of(InputType type, const std::string& constraints) {
  const auto all = testing::constraints_of(testing::json_value(constraints));
  return write_canonical(value_schema(type, all));
}

struct Row {
  InputType type;
  std::string constraints, schema;
};

void check(std::initializer_list<Row> rows) {
  for (const Row& row : rows) {
    INFO(row.constraints);
    CHECK(schema_of(row.type, row.constraints) == row.schema);
  }
}

constexpr InputType kText = InputType::string;
constexpr InputType kJson = InputType::json;

TEST_CASE("values and numbers in a schema", "[broker][schema][R35]") {
  check({
      {kText, R"({"any":true})", R"({"type":"string"})"},
      {kJson, R"({"any":true})", "{}"},
      {InputType::boolean, R"({"any":true})", R"({"type":"boolean"})"},
      {kText, R"({"equals":"x"})", R"({"const":"x","type":"string"})"},
      {kJson, R"({"equals":null})", R"({"const":null,"type":"null"})"},
      {kText, R"({"equals":1})", "false"},
      {kText, R"({"one_of":["b","a"]})", R"({"enum":["b","a"],"type":"string"})"},
      {kText, R"({"one_of":["a",1]})", R"({"const":"a","type":"string"})"},
      {kJson, R"({"one_of":["a",1,true]})",
       R"({"enum":["a",1,true],"type":["boolean","integer","string"]})"},
      {kText, R"({"not_one_of":["root"]})", R"({"not":{"enum":["root"]},"type":"string"})"},
      // Clients that read numbers as doubles would shut out its neighbours.
      {kJson, R"({"not_one_of":[1,9007199254740993]})",
       R"({"description":"None of [9007199254740993].","not":{"enum":[1]},"type":"integer"})"},
      {InputType::integer, R"({"at_least":2,"at_most":9})",
       R"({"maximum":9,"minimum":2,"type":"integer"})"},
      {kJson, R"({"at_most":-1})", R"({"maximum":-1,"type":"integer"})"},
      {kText, R"({"at_most":9})", "false"},
  });
}

TEST_CASE("texts in a schema", "[broker][schema][R35]") {
  check({
      {kText, R"({"prefix":"a.b"})", R"({"pattern":"^a\\.b","type":"string"})"},
      {kText, R"x({"suffix":"($)"})x", R"({"pattern":"\\(\\$\\)$","type":"string"})"},
      {kText, R"({"prefix":"a\nb/-\u007fé"})", R"({"pattern":"^a\\x0ab/-\\x7fé","type":"string"})"},
      {kText, R"({"prefix":"a","suffix":"z"})",
       R"({"allOf":[{"pattern":"z$"}],"pattern":"^a","type":"string"})"},
      {kText, R"({"glob":"a*.?"})",
       R"({"description":"As the glob a*.? says: * and ? take no /.",)"
       R"("pattern":"^a[^/]*\\.[\\x00-.0-\\x7f]$","type":"string"})"},
      {kText, R"({"glob":"??*-?????"})",
       R"({"description":"As the glob ??*-????? says: * and ? take no /.",)"
       R"("pattern":"^[^/]{1,}-[^/]{2,5}$","type":"string"})"},
      // At most one place where there is more than one way to cut a text.
      {kText, R"({"glob":"*/a*b*/*?c"})",
       R"({"description":"As the glob */a*b*/*?c says: * and ? take no /.",)"
       R"("pattern":"^[^/]*/a[^/]*b[^/]*/[^/]{1,}c$","type":"string"})"},
      {kText, R"({"glob":"*a*a*"})",
       R"({"description":"As the glob *a*a* says: * and ? take no /.","type":"string"})"},
      {kText, R"({"glob":"*a*/*a*"})",
       R"({"description":"As the glob *a*/*a* says: * and ? take no /.","type":"string"})"},
      {kText, R"({"length":[1,3]})",
       R"({"description":"1 to 3 bytes of UTF-8.","maxLength":3,"minLength":1,"type":"string"})"},
      {kText, R"({"length":[9,9223372036854775807]})",
       R"({"description":"At least 9 bytes of UTF-8.","minLength":3,"type":"string"})"},
      {kText, R"({"cidr":["10.0.0.0/8","192.0.2.1/32"]})",
       R"({"description":"An IP address in 10.0.0.0/8, 192.0.2.1/32.","format":"ipv4",)"
       R"("type":"string"})"},
      {kText, R"({"cidr":["10.0.0.0/8","fd00::/8"]})",
       R"({"description":"An IP address in 10.0.0.0/8, fd00::/8.","type":"string"})"},
      {kText, R"({"url":{"schemes":["https"],"hosts":["a.example"],"under":"/v1"}})",
       R"({"description":"A URL with scheme https; host a.example; the scheme's usual port; )"
       R"(path /v1 or below.","format":"uri","type":"string"})"},
      {kText, R"({"time_of_day":{"from":"06:00","to":"18:00","offset":"+01:00"}})",
       R"({"description":"Only from 06:00 to 18:00 at +01:00.","type":"string"})"},
  });
}

TEST_CASE("paths in a schema", "[broker][schema][R35]") {
  const std::string component = R"(([^/.\\x00]|\\.[^/.\\x00]|\\.\\.[^/\\x00])[^/\\x00]*)";
  const std::string plain =
      R"("description":"An absolute path, without empty, '.' or '..' parts or a slash at its end.",)"
      R"("maxLength":4096,"pattern":"^/()" +
      component + "(/" + component + R"()*)?$")";
  check({
      {InputType::path, R"({"any":true})", "{" + plain + R"(,"type":"string"})"},
      {kText, R"({"under":"/var/log"})",
       R"({"description":"The path /var/log or one below it.","maxLength":4096,)"
       R"("pattern":"^/var/log(/)" +
           component + R"()*$","type":"string"})"},
      // Where one alternative speaks of a tree, every text is a path in plain form.
      {kJson, R"({"any_of":[{"under":"/a"},{"at_most":9}]})",
       R"({"anyOf":[{"description":"The path /a or one below it.","maxLength":4096,)"
       R"("pattern":"^/a(/)" +
           component + R"()*$","type":"string"},{"maximum":9,"type":"integer"}],)" + plain + "}"},
      // What the other rules leave of a list is all that is told.
      {InputType::path, R"({"one_of":["/a/x","/b","/a/../b","x"],"under":"/a"})",
       R"({"const":"/a/x","type":"string"})"},
  });
}

TEST_CASE("structures in a schema", "[broker][schema][R35]") {
  check({
      {kJson, R"({"argv":[{"equals":"git"},{"prefix":"a"}]})",
       R"({"items":false,"maxItems":2,"minItems":2,)"
       R"("prefixItems":[{"const":"git","type":"string"},{"pattern":"^a","type":"string"}],)"
       R"("type":"array"})"},
      {kJson, R"({"argv":[{"at_most":1}]})", "false"},
      {kJson, R"({"each":{"at_least":1},"count":[1,9]})",
       R"({"items":{"minimum":1,"type":"integer"},"maxItems":9,"minItems":1,"type":"array"})"},
      {kJson, R"({"count":[0,9223372036854775807]})", R"({"type":"array"})"},
      {kJson, R"({"fields":{"a":{"prefix":"x"},"b?":{"at_most":9}}})",
       R"({"additionalProperties":false,"properties":{"a":{"pattern":"^x","type":"string"},)"
       R"("b":{"maximum":9,"type":"integer"}},"required":["a"],"type":"object"})"},
      // Two sides of one array, neither of which bends the other.
      {kJson, R"({"all_of":[{"each":{"prefix":"a"}},{"argv":[{"any":true}]}]})",
       R"({"allOf":[{"items":false,"prefixItems":[{"type":"string"}]}],)"
       R"("items":{"pattern":"^a","type":"string"},"maxItems":1,"minItems":1,"type":"array"})"},
      {kText, R"({"any_of":[{"equals":"-"},{"equals":"+"},{"equals":"-"}]})",
       R"({"enum":["-","+"],"type":"string"})"},
      {kText, R"({"any_of":[{"equals":"-"},{"at_most":1},{"prefix":"a"}]})",
       R"({"anyOf":[{"const":"-","type":"string"},{"maximum":1,"type":"integer"},)"
       R"({"pattern":"^a","type":"string"}],"type":"string"})"},
      {kText, R"({"any_of":[{"prefix":"a"},{"any":true}]})", R"({"type":"string"})"},
      {kJson, R"({"any_of":[{"argv":[{"at_most":1}]}]})", "false"},
  });
}

TEST_CASE("what a capsule says is escaped and cut in descriptions", "[broker][schema][R7]") {
  const auto described = [](const capsules::Constraint& constraint) {
    const capsules::Value schema = value_schema(kText, {&constraint, 1});
    return *schema.find("description")->text();
  };
  CHECK(described(capsules::Under{"/a\n# b\xe2\x80\xae"}) ==
        R"(The path /a\x0a# b\u{202e} or one below it.)");
  const std::string cut = described(capsules::Under{"/" + std::string(700, 'x')});
  CHECK(cut.size() < 560);
  CHECK(cut.find("x… or one below") != std::string::npos);
  // Between characters.
  std::string wide = "/";
  while (wide.size() < 700) wide += "é";
  CHECK(described(capsules::Under{wide}).find("é… or") != std::string::npos);
}

TEST_CASE("a list that would take too long to sift is told whole", "[broker][schema]") {
  capsules::OneOf many;
  for (int i = 0; i < 1024; ++i)
    many.values.emplace_back("/a/" + std::string(8, 'x') + std::to_string(i));
  const std::vector<capsules::Constraint> all = {many, capsules::Under{"/b"}};
  const capsules::Value schema = value_schema(InputType::path, all);
  REQUIRE(schema.find("enum") != nullptr);
  CHECK(schema.find("enum")->array()->size() == 1024);
  CHECK(schema.find("pattern") != nullptr);
}

}  // namespace
}  // namespace taper::broker
