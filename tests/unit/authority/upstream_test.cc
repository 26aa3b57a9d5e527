// Tools of MCP servers: what their digest covers, what their permit says, what their drift ends.
#include <set>

#include "runtime/authority/profile.h"
#include "tests/unit/authority/harness.h"

namespace taper::testing {
namespace {

using authority::EndReason;
using authority::GrantedTree;
using authority::Tool;
using capsules::Capsule;
using capsules::InputType;

Tool server_tool() {
  Tool tool;
  tool.name = "fs.read_file";
  tool.kind = authority::ToolKind::upstream;
  tool.effect = capsules::Effect::read;
  tool.inputs = {{"path", InputType::path, false},
                 {"options", InputType::json, true},
                 {"head", InputType::integer, true}};
  tool.argv = {{"/usr/bin/node", "", false, {}},
               {"/opt/mcp/index.js", "", false, {}},
               {"--stdio", "", false, {}}};
  tool.secrets = {"token"};
  tool.title = "Read";
  tool.description = "Reads a file.";
  tool.program.bytes[0] = 1;
  tool.remote = "read_file";
  tool.pinned = R"({"inputSchema":{"type":"object"},"name":"read_file"})";
  tool.era = "2025-11-25";
  tool.files = {{"/opt/mcp", true, false, true}};
  tool.entry = {{"/opt/mcp/index.js", {}}};
  define_tool(tool);
  return tool;
}

// A task with one grant of the tool, for paths below /srv/plant.
TaskId activated(Node& node, const std::function<void(Capsule&)>& change = {}) {
  Tool tool = server_tool();
  tool.secrets = {};
  define_tool(tool);
  Capsule capsule = sample_capsule(node.fleet);
  capsule.grants[0].tool = tool.name;
  capsule.grants[0].digest_kind = capsules::DigestKind::pinned;
  capsule.grants[0].digest = tool.digest;
  capsule.grants[0].args = {{"path", false, {capsules::Under{"/srv/plant"}}},
                            {"options", true, {capsules::AnyValue{}}},
                            {"head", true, {capsules::AnyValue{}}}};
  if (change) change(capsule);
  node.tools.emplace(tool.name, std::move(tool));
  return node.activated(capsule);
}

constexpr auto kPlain = R"({"path":"/srv/plant/a"})";

std::string text_input(const authority::PermitFacts& facts, std::string_view name) {
  for (const authority::InputValue& input : facts.inputs)
    if (input.name == name) return std::get<std::string>(input.value);
  return "(none)";
}

std::int64_t timeout_ms(const authority::PermitFacts& facts) {
  REQUIRE(facts.inputs.back().name == "timeout_ms");
  return std::get<std::int64_t>(facts.inputs.back().value);
}

TEST_CASE("what goes with a call to its server decides nothing", "[authority]") {
  Node node;
  const TaskId task = activated(node);
  authority::CallRequest request{task,           node.caller(task),          capsules::Verb::call,
                                 "fs.read_file", to_bytes(as_bytes(kPlain)), "step-1"};
  request.meta = R"({"progress":true})";
  request.trace = "0af7651916cd43dd8448eb211c80319c";
  auto decision = node.authority->authorise(request, node.tools, node.clock.now());
  REQUIRE(decision.ok());
  const auto& allowed = std::get<authority::Allowed>(*decision);
  CHECK(text_input(allowed.permit.facts(), "meta") == request.meta);
  const auto record = authority::explain_decision(*node.store, allowed.decision);
  REQUIRE(record.ok());
  CHECK(record->record.find("\"trace\":\"" + request.trace + "\"") != std::string::npos);
  const auto plain = node.allowed(task, "fs.read_file", kPlain);
  CHECK(text_input(plain.permit.facts(), "meta") == "(none)");
}

TEST_CASE("a server's tool is another tool when any part of it changes", "[authority][R18]") {
  std::set<std::string> digests = {server_tool().digest.hex()};
  std::size_t parts = 1;
  const auto changed = [&](auto change) {
    Tool tool = server_tool();
    change(tool);
    define_tool(tool);
    digests.insert(tool.digest.hex());
    CHECK(digests.size() == ++parts);
  };
  changed([](Tool& tool) { tool.name = "fs.read"; });
  changed([](Tool& tool) { tool.effect = capsules::Effect::write; });
  changed([](Tool& tool) { tool.inputs[0].type = InputType::string; });
  changed([](Tool& tool) { tool.argv[2].literal = "--other"; });
  changed([](Tool& tool) { tool.argv.pop_back(); });
  changed([](Tool& tool) { tool.secrets = {"other"}; });
  changed([](Tool& tool) { tool.env = {"LEVEL=2"}; });
  changed([](Tool& tool) { tool.env = {"LEVEL=3"}; });
  changed([](Tool& tool) { tool.title = "Read it"; });
  changed([](Tool& tool) { tool.description = "Reads any file."; });
  changed([](Tool& tool) { tool.program.bytes[1] = 1; });
  changed([](Tool& tool) { tool.remote = "read"; });
  changed([](Tool& tool) { tool.pinned = R"({"inputSchema":{},"name":"read_file"})"; });
  changed([](Tool& tool) { tool.era = "auto"; });
  changed([](Tool& tool) { tool.files[0].path = "/opt/mcp2"; });
  changed([](Tool& tool) { tool.files[0].directory = false; });
  changed([](Tool& tool) { tool.files.clear(); });
  changed([](Tool& tool) { tool.entry[0].bytes.bytes[0] = 1; });
  changed([](Tool& tool) { tool.entry[0].path = "/opt/mcp/main.js"; });
  changed([](Tool& tool) { tool.entry.clear(); });
}

TEST_CASE("a server's permit tells its cell and what to ask", "[authority][R29]") {
  Node node;
  const TaskId task = activated(node);
  const auto call = node.allowed(
      task, "fs.read_file",
      R"({ "path" : "/srv/plant/a", "options":{"z":1.50,"big":123456789012345678901234567890,)"
      R"("e":-1e-7,"list":[[[{"deep":null}]]],"text":"\u00e9\n"}, "head": 9007199254740993 })");
  const authority::PermitFacts& facts = call.permit.facts();
  CHECK(facts.kind == authority::ToolKind::upstream);
  CHECK(facts.digest == node.tools.at("fs.read_file").digest);
  CHECK(facts.program == server_tool().program);
  CHECK(facts.argv == std::vector<std::string>{"/usr/bin/node", "/opt/mcp/index.js", "--stdio"});
  CHECK(facts.trees ==
        std::vector<GrantedTree>{{"/opt/mcp", true, false, true}, {"/srv/plant", true, false}});
  CHECK(facts.inputs.size() == 6);
  CHECK(text_input(facts, "ask") == "call");
  CHECK(text_input(facts, "name") == "read_file");
  CHECK(text_input(facts, "pinned") == server_tool().pinned);
  CHECK(text_input(facts, "era") == "2025-11-25");
  // Every number as it was written.
  CHECK(text_input(facts, "arguments") ==
        R"({"head":9007199254740993,"options":{"big":123456789012345678901234567890,"e":-1e-7,)"
        R"("list":[[[{"deep":null}]]],"text":"é\n","z":1.50},"path":"/srv/plant/a"})");
}

TEST_CASE("a server's call is held to the grant's time and its cell to the lease",
          "[authority][R29]") {
  Node node;
  const auto facts_of = [&](const TaskId& task) {
    const auto call = node.allowed(task, "fs.read_file", kPlain);
    return call.permit.facts();
  };
  constexpr std::int64_t kLeaseMs = 15 * 60'000;
  SECTION("none of its own") {
    const TaskId task = activated(node);
    const authority::PermitFacts facts = facts_of(task);
    CHECK(timeout_ms(facts) == limits::kUpstreamCallMs);
    CHECK(facts.deadline_boot_ms == node.clock.now().boot_ms + kLeaseMs);
    node.clock.advance_ms(kLeaseMs - 90'000);
    CHECK(timeout_ms(facts_of(task)) == 90'000);
    CHECK(facts_of(task).deadline_boot_ms == facts.deadline_boot_ms);
  }
  SECTION("a shorter one") {
    const TaskId task =
        activated(node, [](Capsule& capsule) { capsule.grants[0].cell.wall_ms = 3'000; });
    CHECK(timeout_ms(facts_of(task)) == 3'000);
    CHECK(facts_of(task).deadline_boot_ms == node.clock.now().boot_ms + kLeaseMs);
  }
  SECTION("a longer one") {
    const TaskId task =
        activated(node, [](Capsule& capsule) { capsule.grants[0].cell.wall_ms = 600'000; });
    CHECK(timeout_ms(facts_of(task)) == 600'000);
  }
}

TEST_CASE("a server's files stay apart from what its tool may write", "[authority][R29]") {
  const auto trees = [](std::string granted, capsules::Effect effect,
                        std::vector<GrantedTree> files) {
    Tool tool = server_tool();
    tool.effect = effect;
    tool.files = std::move(files);
    return authority::compile_trees({{"path", false, {capsules::Under{std::move(granted)}}}}, tool,
                                    {"/var/lib/taper"});
  };
  using Trees = std::vector<GrantedTree>;
  const GrantedTree program{"/opt/mcp", true, false, true};
  for (const char* granted : {"/opt/mcp", "/opt/mcp/data", "/opt"})
    CHECK(trees(granted, capsules::Effect::write, {program}).code() == Code::tree_refused);
  CHECK(*trees("/opt/mcp2", capsules::Effect::write, {program}) ==
        Trees{program, {"/opt/mcp2", true, true}});
  // Read-only, the program's right to run stays where it was, and comes to nothing else.
  CHECK(*trees("/opt/mcp", capsules::Effect::read, {program}) == Trees{program});
  CHECK(*trees("/opt/mcp/data", capsules::Effect::read, {program}) == Trees{program});
  CHECK(*trees("/opt", capsules::Effect::read, {program}) == Trees{program, {"/opt", true, false}});
  const GrantedTree file{"/opt/mcp/index.js", false, false, true};
  CHECK(*trees("/srv", capsules::Effect::read, {file, program}) ==
        Trees{file, program, {"/srv", true, false}});
  for (const char* held : {"/var/lib/taper/x", "/var/lib", "/proc/self", "/dev"})
    CHECK(trees("/srv", capsules::Effect::read, {{held, true, false, true}}).code() ==
          Code::tree_refused);
  // A block keeps what the root has, no more.
  CHECK(authority::check_within({program}, {program}).ok());
  CHECK(authority::check_within({program}, {{"/opt", true, true}}).code() == Code::tree_refused);
}

TEST_CASE("a server that drifted ends the task or the call", "[authority][R18]") {
  Node node;
  bool ends = GENERATE(true, false);
  const TaskId task = activated(node, [ends](Capsule& capsule) {
    capsule.end_on.tool_drift = ends;
    capsule.end_on.failure = false;
  });
  const auto call = node.allowed(task, "fs.read_file", kPlain);
  CHECK(node.settle(call.call, authority::CallState::failed, Code::upstream_drift) ==
        (ends ? EndReason::drift : EndReason::none));
  CHECK(node.refused(task, "fs.read_file", kPlain) == (ends ? Code::task_not_live : Code::ok));
}

TEST_CASE("a server that broke is a failed call", "[authority]") {
  Node node;
  bool ends = GENERATE(true, false);
  const TaskId task = activated(node, [ends](Capsule& capsule) { capsule.end_on.failure = ends; });
  const auto call = node.allowed(task, "fs.read_file", kPlain);
  CHECK(node.settle(call.call, authority::CallState::failed, Code::upstream_broken) ==
        (ends ? EndReason::failure : EndReason::none));
}

}  // namespace
}  // namespace taper::testing
