// What a session is told of its task and tools.
#include "runtime/broker/discover_body.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "tests/support/constraint_json.h"

namespace taper::broker {
namespace {

using authority::DiscoveredGrant;
using capsules::Value;
using capsules::Verb;

const authority::Tools& tools() {
  static const authority::Tools kTools = [] {
    authority::Tools out = authority::builtin_tools();
    authority::Tool grep;
    grep.name = "logs.grep";
    grep.kind = authority::ToolKind::command;
    grep.effect = capsules::Effect::read;
    grep.inputs = {{"pattern", capsules::InputType::string, false}};
    grep.title = "Search \"logs\"";
    grep.description = "Finds lines.";
    out.emplace(grep.name, grep);
    return out;
  }();
  return kTools;
}

DiscoveredGrant granted(const std::string& id, const std::string& tool, const std::string& rules,
                        std::vector<Verb> verbs = {Verb::discover, Verb::call, Verb::poll,
                                                   Verb::result}) {
  DiscoveredGrant grant;
  grant.id = id;
  grant.tool = &tools().at(tool);
  grant.verbs = std::move(verbs);
  grant.args = testing::rules_of(testing::json_value(rules));
  return grant;
}

authority::Remaining remaining(std::int64_t lease_ms = 3'600'000) {
  authority::Remaining out;
  out.lease_ms = lease_ms;
  out.idle_ms = 120'000;
  out.not_after_s = 1'795'000'000;
  return out;
}

Value parsed(const std::string& json) { return testing::json_value(json); }

TEST_CASE("what remains names only what is bounded", "[broker][schema][R2]") {
  CHECK(write_canonical(remaining_body(remaining())) ==
        R"({"idle_ms":120000,"lease_ms":3600000,"not_after_s":1795000000})");
  authority::Remaining all = remaining();
  all.budget = {3, 0, 1000, 500, 7};
  CHECK(write_canonical(remaining_body(all)) ==
        R"({"bytes":1000,"calls":3,"cpu_ms":500,"idle_ms":120000,"lease_ms":3600000,)"
        R"("not_after_s":1795000000,"rate":0,"sum":7})");
}

TEST_CASE("each tool is told once, by name", "[broker][schema][R29]") {
  const std::string body = discover_body(
      {granted("b", "logs.grep", R"({"pattern":{"prefix":"a"}})"), granted("a", "time.now", "{}"),
       granted("c", "logs.grep", R"({"pattern":{"equals":"x"}})")},
      remaining());
  const Value value = parsed(body);
  const capsules::Array& list = *value.find("tools")->array();
  REQUIRE(list.size() == 2);
  CHECK(write_canonical(list[0]) ==
        R"({"annotations":{"destructiveHint":false,"idempotentHint":true,"openWorldHint":false,)"
        R"("readOnlyHint":true},"description":"Finds lines.","input_schema":)"
        R"({"additionalProperties":false,"properties":{"pattern":{"anyOf":)"
        R"([{"pattern":"^a","type":"string"},{"const":"x","type":"string"}],"type":"string"}},)"
        R"("required":["pattern"],"type":"object"},"name":"logs.grep","task":"may",)"
        R"("title":"Search \"logs\""})");
  CHECK(*list[1].find("name")->text() == "time.now");
  CHECK(*list[1].find("task")->text() == "never");
  CHECK(*value.find("fresh_ms")->integer() == limits::kDiscoveryFreshMs);
  CHECK(*value.at_pointer("/remaining/lease_ms")->integer() == 3'600'000);
}

TEST_CASE("a list of tools is kept no longer than the lease", "[broker][schema][R10]") {
  CHECK(*parsed(discover_body({}, remaining(5))).find("fresh_ms")->integer() == 5);
  CHECK(parsed(discover_body({}, remaining(0))).find("tools")->array()->empty());
}

TEST_CASE("a task is offered where its maker may ask about it", "[broker][schema][R27]") {
  const auto offered = [](std::vector<Verb> verbs) {
    const Value value = parsed(
        discover_body({granted("g", "logs.grep", R"({"pattern":"any"})", verbs)}, remaining()));
    return *value.at_pointer("/tools/0/task")->text();
  };
  CHECK(offered({Verb::discover, Verb::call, Verb::poll, Verb::result}) == "may");
  CHECK(offered({Verb::discover, Verb::call, Verb::poll}) == "never");
  CHECK(offered({Verb::discover, Verb::call, Verb::result}) == "never");
  CHECK(offered({Verb::discover, Verb::poll, Verb::result}) == "never");
}

TEST_CASE("budgets and ids of calls reach the schema and the hints", "[broker][schema][R31]") {
  DiscoveredGrant once = granted("g", "file.append", R"({"path":"any","content":"any"})");
  once.once = "content";
  DiscoveredGrant summed = granted("s", "file.read", R"({"path":"any","max_bytes?":"any"})");
  summed.sums = {{"max_bytes", 40}};
  const Value value = parsed(discover_body({once, summed}, remaining()));
  CHECK(*value.at_pointer("/tools/0/annotations/idempotentHint")->boolean());
  CHECK(value.at_pointer("/tools/0/input_schema/properties/content/description")
            ->text()
            ->ends_with("another for each call."));
  CHECK(*value.at_pointer("/tools/1/input_schema/properties/max_bytes/maximum")->integer() == 40);
  const Value both = parsed(discover_body(
      {once, granted("h", "file.append", R"({"path":"any","content":"any"})")}, remaining()));
  CHECK_FALSE(*both.at_pointer("/tools/0/annotations/idempotentHint")->boolean());
}

TEST_CASE("what may not be called widens nothing", "[broker][schema][R35]") {
  const DiscoveredGrant shown = granted("s", "logs.grep", R"({"pattern":"any"})", {Verb::discover});
  const DiscoveredGrant called = granted("c", "logs.grep", R"({"pattern":{"equals":"x"}})");
  const auto type = [](const std::vector<DiscoveredGrant>& grants) {
    return write_canonical(
        *parsed(discover_body(grants, remaining())).at_pointer("/tools/0/input_schema/properties"));
  };
  CHECK(type({shown, called}) == R"({"pattern":{"const":"x","type":"string"}})");
  CHECK(type({shown}) == R"({"pattern":{"type":"string"}})");
}

TEST_CASE("a task is described with its grants", "[broker][schema][R2]") {
  TaskFacts facts;
  facts.purpose = "Read \"one\"\nfile";
  facts.requester = "user:alice";
  facts.agent = "triage";
  facts.tenant = "plant";
  facts.node = "pump-7";
  facts.lease_ms = 900'000;
  facts.idle_ms = 120'000;
  facts.not_after_s = 1'795'000'000;
  DiscoveredGrant grant =
      granted("g", "file.write", R"({"path":"any","content":"any"})", {Verb::discover, Verb::call});
  grant.left.calls = 2;
  const std::string body = describe_body(facts, {grant}, remaining());
  CHECK(body ==
        R"({"agent":"triage","end_on":{"clock_step":true,"completion":true,"denials":3,)"
        R"("failure":false,"policy_drift":true,"tool_drift":true,"violation":true},)"
        R"("grants":[{"effect":"write","id":"g","remaining":{"calls":2},"tool":"file.write",)"
        R"("verbs":["discover","call"]}],"idle_ms":120000,"lease_ms":900000,"node":"pump-7",)"
        R"("not_after_s":1795000000,"purpose":"Read \"one\"\nfile",)"
        R"("remaining":{"idle_ms":120000,"lease_ms":3600000,"not_after_s":1795000000},)"
        R"("requester":"user:alice","task":")" +
            facts.task.hex() + R"(","tenant":"plant"})");
}

}  // namespace
}  // namespace taper::broker
