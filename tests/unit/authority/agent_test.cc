// The program that is a task's agent: pinned when its task is made and when it starts, a decision
// of its own, no tool of anybody's, and no reason for its task to count as busy.
#include <set>

#include "tests/unit/authority/handles.h"

namespace taper::testing {
namespace {

using authority::AgentStart;
using authority::EndReason;
using authority::GrantedTree;
using authority::Tool;
using capsules::Capsule;

Tool program() {
  Tool tool;
  tool.name = "planner";
  tool.kind = authority::ToolKind::agent;
  tool.effect = capsules::Effect::read;
  tool.argv = {{"/usr/bin/python3", "", false, {}}, {"/opt/planner/main.py", "", false, {}}};
  tool.program.bytes[0] = 1;
  tool.files = {{"/opt/planner", true, false, true}};
  tool.entry = {{"/opt/planner/main.py", {}}};
  define_tool(tool);
  return tool;
}

struct AgentNode : HandleNode {
  AgentNode() { tools.emplace("planner", program()); }
  Capsule agent() {
    Capsule capsule = sample_capsule(fleet);
    capsule.entry = capsules::EntryKind::agent;
    capsule.plan = {};
    capsule.agent_entry = {.program = "planner", .digest = program().digest, .cell = {}};
    return capsule;
  }
  authority::AgentDecision start(const TaskId& task) {
    auto decision = authority->start_agent(task, caller(task), tools, clock.now());
    REQUIRE(decision.code() == Code::ok);
    return std::move(decision).value();
  }
  authority::PermitFacts facts(const TaskId& task) {
    auto decision = start(task);
    REQUIRE(std::holds_alternative<AgentStart>(decision));
    return std::get<AgentStart>(decision).permit.facts();
  }
  authority::Denial refusal(const TaskId& task) {
    auto decision = start(task);
    REQUIRE(std::holds_alternative<authority::Denial>(decision));
    return std::get<authority::Denial>(std::move(decision));
  }
  Tool& tool() { return tools.find("planner")->second; }
  void change() {
    tool().entry[0].bytes.bytes[0] = 1;
    define_tool(tool());
  }
};

TEST_CASE("an agent's capsule is worth nothing without the program that it pins",
          "[authority][agent][R18][R3]") {
  AgentNode node;
  const Bytes file = sign_capsule(node.fleet, node.agent());
  const auto refused = [&] { return node.activate(file).code(); };
  node.change();
  CHECK(refused() == Code::tool_digest);
  node.tool().kind = authority::ToolKind::upstream;
  CHECK(refused() == Code::tool_missing);
  node.tools.erase("planner");
  CHECK(refused() == Code::tool_missing);
  Tool in_the_state = program();
  in_the_state.files[0].path = "/var/lib/taper/x";
  define_tool(in_the_state);
  Capsule other = node.agent();
  other.agent_entry.digest = in_the_state.digest;
  node.tools.emplace("planner", in_the_state);
  CHECK(node.activate(sign_capsule(node.fleet, other)).code() == Code::tree_refused);
  node.tools.insert_or_assign("planner", program());
  CHECK(node.activate(file, crypto::SigningKey::generate()).code() == Code::proof_wrong);
  // Its one activation is still there.
  CHECK(refused() == Code::ok);
}

TEST_CASE("no tool of an agent may write what its program is made of", "[authority][agent][R7]") {
  AgentNode node;
  for (const char* path : {"/opt/planner", "/opt", "/opt/planner/lib"}) {
    Capsule capsule = node.agent();
    capsule.grants[1].args[0].all = {capsules::Under{path}};
    CHECK(node.activate(sign_capsule(node.fleet, capsule)).code() == Code::tree_refused);
  }
  Capsule reads = node.agent();
  reads.grants[0].args[0].all = {capsules::Under{"/opt/planner"}};
  CHECK(node.activate(sign_capsule(node.fleet, reads)).code() == Code::ok);
}

TEST_CASE("who opens a session runs neither a plan nor an agent by it",
          "[authority][agent][session][R3]") {
  AgentNode node;
  for (const Capsule& capsule : {node.agent(), sample_capsule(node.fleet)}) {
    const Bytes file = sign_capsule(node.fleet, capsule);
    auto request = node.request(file, node.fleet.holder_key);
    request.exchange.bytes[0] = 9;
    CHECK(node.authority->activate(request, node.tools, node.clock.now()).code() ==
          Code::proof_wrong);
    CHECK(node.activate(file).code() == Code::ok);
  }
}

TEST_CASE("the start of an agent is a decision that says what its cell is",
          "[authority][agent][R25][R6]") {
  AgentNode node;
  Capsule capsule = node.agent();
  capsule.cell.cpu_s = 10;
  capsule.agent_entry.cell = {
      .output_bytes = {}, .memory_bytes = 1'000'000, .processes = 3, .cpu_s = 20, .wall_ms = {}};
  const TaskId task = node.activated(capsule);
  const std::uint64_t commits = node.store->commits();
  const authority::PermitFacts facts = node.facts(task);
  CHECK(node.store->commits() == commits + 1);
  CHECK(facts.kind == authority::ToolKind::agent);
  CHECK(facts.argv == std::vector<std::string>{"/usr/bin/python3", "/opt/planner/main.py"});
  CHECK(facts.program == program().program);
  CHECK(facts.digest == program().digest);
  // Nothing of what its tools are granted.
  CHECK(facts.trees == std::vector<GrantedTree>{{"/opt/planner", true, false, true}});
  CHECK_FALSE(facts.writes);
  CHECK(facts.caps.memory_bytes == 1'000'000);
  CHECK(facts.caps.cpu_s == 10);
  CHECK(facts.caps.processes == 4);  // one speaks for it
  CHECK(facts.deadline_boot_ms == node.clock.now().boot_ms + capsule.lease_ttl_ms);
  const std::string record = node.last_decision();
  CHECK(member(record, "verb") == "start");
  CHECK(member(record, "verdict") == "allow");
  CHECK(member(record, "tool") == "planner");
  CHECK(member(record, "tool_digest") == program().digest.hex());
  CHECK(member(record, "requester") == capsule.requester);
  CHECK(member(record, "agent") == capsule.agent);
}

TEST_CASE("an agent's cell ends at the least of its lease and its own time",
          "[authority][agent][R16]") {
  AgentNode node;
  Capsule capsule = node.agent();
  capsule.agent_entry.cell.wall_ms = 1'000;
  const TaskId task = node.activated(capsule);
  CHECK(node.facts(task).deadline_boot_ms == node.clock.now().boot_ms + 1'000);
}

TEST_CASE("an agent that thinks is idle", "[authority][agent][R17]") {
  AgentNode node;
  Capsule capsule = node.agent();
  const TaskId task = node.activated(capsule);
  node.facts(task);
  const auto due = node.authority->next_due(task, node.clock.now());
  REQUIRE(due);
  CHECK(due->reason == EndReason::idle);
  CHECK(due->boot_ms == node.clock.now().boot_ms + capsule.lease_idle_ms);
}

TEST_CASE("a program that changed does not start, and ends its task",
          "[authority][agent][R18][R26]") {
  const bool drift = GENERATE(true, false);
  AgentNode node;
  Capsule capsule = node.agent();
  capsule.end_on.tool_drift = drift;
  const TaskId task = node.activated(capsule);
  node.change();
  const authority::Denial denial = node.refusal(task);
  CHECK(denial.error.code() == Code::tool_digest);
  CHECK(denial.ends_task == (drift ? EndReason::drift : EndReason::none));
  CHECK(member(node.last_decision(), "question") == "tool digest");
  CHECK(node.show(task).denials == 1);
  REQUIRE(node.show(task).refused.size() == 1);
  CHECK(node.show(task).refused[0].verb == "start");
}

TEST_CASE("nothing starts in a task that has ended", "[authority][agent][R40]") {
  AgentNode node;
  const TaskId task = node.activated(node.agent());
  node.end(task, EndReason::cancelled);
  CHECK(node.refusal(task).error.code() == Code::task_not_live);
}

TEST_CASE("an agent's program is no tool", "[authority][agent][R29]") {
  AgentNode node;
  Capsule capsule = node.agent();
  capsule.grants[0].tool = "planner";
  capsule.grants[0].args = {};
  capsule.grants[0].digest_kind = capsules::DigestKind::pinned;
  capsule.grants[0].digest = program().digest;
  const TaskId task = node.activated(capsule);
  CHECK(node.refused(task, "planner", "{}") == Code::tool_missing);
  const auto found =
      node.authority->discover(task, node.caller(task), node.tools, node.clock.now());
  REQUIRE(found.ok());
  for (const auto& grant : std::get<std::vector<authority::DiscoveredGrant>>(*found))
    CHECK(grant.tool->name != "planner");
}

TEST_CASE("how an agent ended is recorded and ends nothing", "[authority][agent][R60]") {
  AgentNode node;
  const TaskId task = node.activated(node.agent());
  auto decision = node.start(task);
  const DecisionId id = std::get<AgentStart>(decision).decision;
  authority::Outcome outcome;
  outcome.state = authority::CallState::failed;
  outcome.code = Code::tool_failed;
  outcome.exit_status = 3;
  const std::uint64_t before = node.show(task).log_bytes;
  REQUIRE(node.authority->agent_over(task, node.caller(task), id, outcome, node.clock.now()).ok());
  CHECK(node.show(task).log_bytes > before);
  CHECK(node.refused(task, "file.read", kPump) == Code::ok);
  node.end(task, EndReason::failure);
  CHECK(node.authority->agent_over(task, {}, id, outcome, node.clock.now()).code() ==
        Code::task_terminal);
}

TEST_CASE("an agent's program is another one when any part of it changes",
          "[authority][agent][R18]") {
  std::set<std::string> digests = {program().digest.hex()};
  const auto differs = [&](auto change) {
    Tool tool = program();
    change(tool);
    define_tool(tool);
    CHECK(digests.insert(tool.digest.hex()).second);
  };
  differs([](Tool& tool) { tool.name = "other"; });
  differs([](Tool& tool) { tool.kind = authority::ToolKind::upstream; });
  differs([](Tool& tool) { tool.argv[1].literal = "/opt/planner/x.py"; });
  differs([](Tool& tool) { tool.program.bytes[1] = 1; });
  differs([](Tool& tool) { tool.files[0].path = "/opt/x"; });
  differs([](Tool& tool) { tool.files.clear(); });
  differs([](Tool& tool) { tool.entry[0].bytes.bytes[0] = 1; });
  differs([](Tool& tool) { tool.entry.clear(); });
}

}  // namespace
}  // namespace taper::testing
