// What an agent is told of a server's tool, and of what it gave.
#include "runtime/broker/upstream_words.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/broker/discover_body.h"
#include "runtime/broker/session_bodies.h"
#include "runtime/broker/tool_schema.h"
#include "runtime/broker/tool_words.h"
#include "tests/support/constraint_json.h"

namespace taper::broker {
namespace {

using capsules::ArgRule;
using capsules::InputType;
using capsules::Value;
using Rules = std::vector<ArgRule>;

Value json(const std::string& text) { return testing::json_value(text); }
Rules rules(const std::string& text) { return testing::rules_of(json(text)); }

authority::Tool server_tool(const std::string& definition,
                            std::vector<capsules::InputSpec> inputs) {
  authority::Tool tool;
  tool.name = "fs.t";
  tool.kind = authority::ToolKind::upstream;
  tool.effect = capsules::Effect::irreversible;
  tool.inputs = std::move(inputs);
  tool.remote = "t";
  const Value pinned = json(definition);
  tool.pinned = write_canonical(pinned);
  if (const Value* title = pinned.find("title")) tool.title = *title->text();
  if (const Value* words = pinned.find("description")) tool.description = *words->text();
  return tool;
}

// Of a tool whose inputSchema is this.
authority::Tool tool_with(const std::string& schema, std::vector<capsules::InputSpec> inputs) {
  return server_tool(R"({"name":"t","inputSchema":)" + schema + "}", std::move(inputs));
}

std::string told(const authority::Tool& tool, const std::string& rules_text,
                 const std::string& pointer) {
  const Rules all = rules(rules_text);
  const GrantedArguments way{{&all}};
  const Value schema = input_schema(tool, {&way, 1});
  const Value* found = schema.at_pointer(pointer);
  return found == nullptr ? "" : write_canonical(*found);
}

const std::vector<capsules::InputSpec> kText = {{"a", InputType::string, true}};

TEST_CASE("an argument without a rule of its own is told as it was pinned",
          "[broker][schema][upstream]") {
  const authority::Tool tool =
      tool_with(R"({"type":"object","properties":{"a":{"type":"string","description":"The unit.",)"
                R"("minLength":2,"default":"xy"}}})",
                kText);
  CHECK(told(tool, R"({"a?":"any"})", "/properties/a") ==
        R"({"default":"xy","description":"The unit.","minLength":2,"type":"string"})");
  // A rule is told in our own words, under what the server said of it.
  CHECK(told(tool, R"({"a":{"prefix":"p"}})", "/properties/a") ==
        R"({"description":"The unit.","pattern":"^p","type":"string"})");
  CHECK(told(tool, R"({"a":{"equals":"p"}})", "/properties/a") ==
        R"({"const":"p","description":"The unit.","type":"string"})");
  CHECK(told(tool, "{}", "/properties") == "{}");
  // Whatever stands around it is not told: it could shut out what the rules allow.
  CHECK(told(tool, R"({"a?":"any"})", "/additionalProperties") == "false");
  const authority::Tool path = tool_with(
      R"({"properties":{"a":{"type":"string","pattern":"^[a-z]$","description":"Where."}}})",
      {{"a", InputType::path, false}});
  CHECK(told(path, R"({"a":{"under":"/srv"}})", "/properties/a/description")
            .starts_with("\"Where. "));
  CHECK(told(path, R"({"a":"any"})", "/properties/a/pattern").find("[a-z]") == std::string::npos);
}

TEST_CASE("what a pinned schema refers to is told along with it", "[broker][schema][upstream]") {
  const std::string defs = R"("$defs":{"u":{"enum":["m","s"]},"v":{"$ref":"#/$defs/u"}})";
  const std::vector<capsules::InputSpec> any = {{"a", InputType::json, true},
                                                {"b", InputType::json, true}};
  const authority::Tool tool = tool_with(
      "{" + defs + R"(,"properties":{"a":{"$ref":"#/$defs/v"},"b":{"type":"array"}}})", any);
  CHECK(told(tool, R"({"a":"any"})", "/properties/a") == R"({"$ref":"#/$defs/v"})");
  CHECK(told(tool, R"({"a":"any"})", "/$defs/u") == R"({"enum":["m","s"]})");
  CHECK(told(tool, R"({"b":"any"})", "/$defs").empty());
  // What leads elsewhere is told as anything.
  for (const char* target : {"#/properties/b", "#", "https://schemas.example/x", "other.json"}) {
    const authority::Tool elsewhere =
        tool_with(R"({"properties":{"a":{"$ref":")" + std::string(target) + R"("},"b":{}}})", any);
    INFO(target);
    CHECK(told(elsewhere, R"({"a":"any"})", "/properties/a").find("$ref") == std::string::npos);
  }
  const authority::Tool open =
      tool_with(R"({"$defs":{"u":{"$ref":"#"}},"properties":{"a":{"$ref":"#/$defs/u"}}})", any);
  CHECK(told(open, R"({"a":"any"})", "/properties/a").find("$ref") == std::string::npos);
  CHECK(told(open, R"({"a":"any"})", "/$defs").empty());
}

TEST_CASE("pinned schemas that are long, deep or odd are cut", "[broker][schema][upstream]") {
  const std::string words(limits::kToolDescriptionBytesMax * 2, 'x');
  std::string properties;
  std::vector<capsules::InputSpec> inputs;
  std::string all;
  for (int i = 0; i < 40; ++i) {
    const std::string name = "p" + std::to_string(i);
    properties += (i == 0 ? "\"" : ",\"") + name + R"(":{"type":"string","description":")" + words +
                  R"(","title":"\u0001 )" + words + "\"}";
    all += (i == 0 ? "\"" : ",\"") + name + "\":\"any\"";
    inputs.push_back({name, InputType::string, true});
  }
  const authority::Tool tool = tool_with(R"({"properties":{)" + properties + "}}", inputs);
  const Rules rule = rules("{" + all + "}");
  const GrantedArguments way{{&rule}};
  const Value schema = input_schema(tool, {&way, 1});
  CHECK(write_canonical(schema).size() <= limits::kToolSchemaBytesMax);
  CHECK(schema.at_pointer("/properties")->object()->size() == 40);
  CHECK(*schema.at_pointer("/properties/p7/type")->text() == "string");

  const std::string deep = std::string(28, '[') + std::string(28, ']');
  const authority::Tool nested =
      tool_with(R"({"properties":{"a":{"default":)" + deep + "}}}", {{"a", InputType::json, true}});
  CHECK(told(nested, R"({"a":"any"})", "/properties/a/default").empty());
  const authority::Tool odd =
      tool_with(R"({"properties":{"a":{"description":7,"type":"string"}}})", kText);
  CHECK(told(odd, R"({"a?":"any"})", "/properties/a") == R"({"type":"string"})");
  const authority::Tool truth = tool_with(R"({"properties":{"a":true}})", kText);
  CHECK(told(truth, R"({"a?":"any"})", "/properties/a") == R"({"type":"string"})");
}

authority::DiscoveredGrant granted(const authority::Tool& tool) {
  authority::DiscoveredGrant grant;
  grant.id = "g";
  grant.tool = &tool;
  grant.verbs = {capsules::Verb::discover, capsules::Verb::call, capsules::Verb::poll,
                 capsules::Verb::result};
  grant.args = rules(R"({"a?":"any"})");
  return grant;
}

TEST_CASE("hints and the output's schema are told as they were pinned",
          "[broker][schema][upstream]") {
  const auto tool_body = [](const authority::Tool& tool) {
    return *json(discover_body({granted(tool)}, {})).at_pointer("/tools/0");
  };
  const std::string schema = R"("name":"t","inputSchema":{"properties":{"a":{"type":"string"}}})";
  const authority::Tool hinted = server_tool(
      "{" + schema +
          R"(,"description":"Reads \u0007.","annotations":{"readOnlyHint":true,"title":"T"},)"
          R"("outputSchema":{"type":"object","properties":{"x":{"$ref":"#/$defs/x"}}}})",
      kText);
  const Value body = tool_body(hinted);
  // That it only reads is not told of one that the node holds to do more.
  CHECK(write_canonical(*body.find("annotations")) == R"({"readOnlyHint":false,"title":"T"})");
  authority::Tool reading = hinted;
  reading.effect = capsules::Effect::read;
  CHECK(write_canonical(*tool_body(reading).find("annotations")) ==
        R"({"readOnlyHint":true,"title":"T"})");
  CHECK(write_canonical(*body.find("output_schema")) ==
        R"({"properties":{"x":{"$ref":"#/$defs/x"}},"type":"object"})");
  CHECK(*body.find("description")->text() == "Reads \a.");
  CHECK(*body.find("task")->text() == "may");
  // Without hints, those of its effect.
  const Value bare = tool_body(server_tool("{" + schema + "}", kText));
  CHECK(write_canonical(*bare.find("annotations")) ==
        R"({"destructiveHint":true,"idempotentHint":false,"openWorldHint":false,)"
        R"("readOnlyHint":false})");
  CHECK(bare.find("output_schema") == nullptr);
  const std::string words(limits::kToolSchemaBytesMax + 1, 'x');
  const Value cut =
      tool_body(server_tool("{" + schema + R"(,"title":")" + words + R"(","description":"é)" +
                                words + R"(","annotations":{"title":")" + words +
                                R"("},"outputSchema":{"title":")" + words + "\"}}",
                            kText));
  CHECK(cut.find("output_schema") == nullptr);
  CHECK(cut.at_pointer("/annotations/title") == nullptr);
  CHECK(cut.find("title")->text()->size() <= limits::kToolDescriptionBytesMax);
  const std::string& description = *cut.find("description")->text();
  CHECK(description.starts_with("éxxx"));
  CHECK(description.ends_with("x…"));
  CHECK(description.size() <= limits::kToolSchemaBytesMax);
  CHECK(description.size() > limits::kToolSchemaBytesMax / 2);
  std::string accents;
  while (accents.size() < limits::kToolSchemaBytesMax) accents += "ééé\x01";
  const std::string whole = cut_text(accents, limits::kToolSchemaBytesMax);
  CHECK(cut_text("né", 5) == "né");
  CHECK(cut_text("nné", 5) == "…");
  CHECK(is_utf8(whole));
  CHECK(whole.ends_with("…"));
}

TEST_CASE("a server's result is handed on as it is", "[broker][session][upstream]") {
  const auto body = [](const std::string& result) {
    return json(result_body({.json = result}, ""));
  };
  const Value whole =
      body(R"({"mcp":{"content":[{"type":"image","data":"eA==","mimeType":"image/png"}],)"
           R"("structuredContent":{"n":1.50},"_meta":{"a":"b"}}})");
  CHECK(write_canonical(*whole.find("content")) ==
        R"([{"data":"eA==","mimeType":"image/png","type":"image"}])");
  CHECK(write_canonical(*whole.find("structured")) == R"({"n":1.50})");
  CHECK(write_canonical(*whole.find("meta")) == R"({"a":"b"})");
  CHECK(write_canonical(*whole.find("is_error")) == "false");
  CHECK(*whole.find("code")->integer() == describe(Code::ok).number);
  const Value bare = body(R"({"mcp":{"content":[]}})");
  CHECK(write_canonical(*bare.find("content")) == "[]");
  CHECK(bare.find("structured") == nullptr);
  CHECK(bare.find("meta") == nullptr);
  CHECK(write_canonical(*body(R"({"mcp":{}})").find("content")) == "[]");
  // A tool of another kind says what it likes within its own result.
  CHECK(body(R"({"exit":0,"json":{"mcp":{"content":[]}}})").at_pointer("/structured/exit") !=
        nullptr);
  CHECK(body(R"({"mcp":{"content":[]},"exit":0})").at_pointer("/structured/exit") != nullptr);
  const Value failed = json(result_body({.code = Code::tool_failed, .err = "no such unit"}, ""));
  CHECK(write_canonical(*failed.find("is_error")) == "true");
  CHECK(failed.at_pointer("/content/0/text")->text()->ends_with("\nno such unit"));
}

}  // namespace
}  // namespace taper::broker
