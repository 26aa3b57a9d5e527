// A node's servers grow and change; what capsules that were signed before may do stays as it was.
#include <sys/stat.h>

#include <fstream>

#include "capsules/value.h"
#include "tests/unit/broker/session_life.h"

namespace taper::broker {
namespace {

constexpr const char* kServer = R"(kind = "mcp"
argv = ["/usr/bin/env"]
era = "2025-11-25"
effect = "read"
)";
constexpr const char* kRead =
    R"({"name":"read","inputSchema":{"properties":{"a":{"type":"string"}}}})";
constexpr const char* kDrop = R"({"name":"drop","inputSchema":{}})";

void pin(const testing::NodeForTests& node, const std::string& server, const std::string& tools) {
  const std::string path = node.state() + "/tools.d/" + server + ".pins.json";
  std::ofstream(path) << R"({"format":1,"era":"2025-11-25","tools":[)" + tools + "]}";
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
}

// The names of the tools that a holder is told of.
std::vector<std::string> told(SessionLife& life, Agent& agent) {
  const SessionReply found = life.about(agent, Ask::discover);
  REQUIRE(found.code == Code::ok);
  const capsules::Value body =
      must(capsules::parse_value(as_bytes(found.body), limits::kResultBytesMax));
  std::vector<std::string> names;
  for (const capsules::Value& tool : *body.find("tools")->array())
    names.push_back(*tool.find("name")->text());
  return names;
}

// A session that may read files of the node's data, and is granted `more`.
std::string session_file(testing::NodeForTests& node, const std::vector<capsules::Grant>& more) {
  capsules::Capsule capsule = node.capsule();
  capsule.entry = capsules::EntryKind::session;
  capsule.plan = {};
  capsule.end_on.denials = 100;
  capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}})};
  capsule.grants.insert(capsule.grants.end(), more.begin(), more.end());
  return node.sign(capsule);
}

TEST_CASE("a server that is added grants nothing", "[broker][upstream][session][R70]") {
  testing::NodeForTests node;
  SessionLife life(node);
  Agent& agent = life.open(session_file(node, {}));
  REQUIRE(agent.opened);
  const std::vector<std::string> before = told(life, agent);
  CHECK(before == std::vector<std::string>{"file.read"});
  node.put_tool("fs", kServer);
  pin(node, "fs", kRead);
  CHECK(must(tools_list(node.state())).contains("fs.read"));
  CHECK(told(life, agent) == before);
  for (const char* name : {"fs.read", "fs", "fs.*", "fs."})
    CHECK(life.call(agent, name, "{}").code == Code::tool_not_granted);
  // Nor one whose name comes near to what is granted.
  node.put_tool("file", kServer);
  pin(node, "file", kRead);
  CHECK(told(life, agent) == before);
  CHECK(life.call(agent, "file.read", R"({"a":"x"})").code == Code::argument_unknown);
  CHECK(must(tools_list(node.state())).at("file.read").kind == authority::ToolKind::builtin);
}

TEST_CASE("a tool that a server gains grants nothing", "[broker][upstream][session][R70][R18]") {
  testing::NodeForTests node;
  node.put_tool("fs", kServer);
  pin(node, "fs", kRead);
  capsules::Grant grant = node.grant({.tool = "fs.read", .paths = {}, .any = {"a"}});
  grant.digest_kind = capsules::DigestKind::pinned;
  grant.digest = must(tools_list(node.state())).at("fs.read").digest;
  SessionLife life(node);
  Agent& agent = life.open(session_file(node, {grant}));
  REQUIRE(agent.opened);
  const std::vector<std::string> before = told(life, agent);
  CHECK(before == std::vector<std::string>{"file.read", "fs.read"});
  pin(node, "fs", std::string(kRead) + "," + kDrop);
  CHECK(must(tools_list(node.state())).contains("fs.drop"));
  CHECK(told(life, agent) == before);
  CHECK(life.call(agent, "fs.drop", "{}").code == Code::tool_not_granted);
  // What it granted under that name is gone: the new name is another tool.
  std::string renamed = kRead;
  renamed.replace(renamed.find("read"), 4, "fetch");
  pin(node, "fs", renamed);
  CHECK(told(life, agent) == std::vector<std::string>{"file.read"});
  CHECK(life.call(agent, "fs.fetch", R"({"a":"x"})").code == Code::tool_not_granted);
}

TEST_CASE("a definition that changes is refused under the task",
          "[broker][upstream][session][R18]") {
  testing::NodeForTests node;
  node.put_tool("fs", kServer);
  pin(node, "fs", kRead);
  capsules::Grant grant = node.grant({.tool = "fs.read", .paths = {}, .any = {"a"}});
  grant.digest_kind = capsules::DigestKind::pinned;
  grant.digest = must(tools_list(node.state())).at("fs.read").digest;
  SessionLife life(node);
  Agent& agent = life.open(session_file(node, {grant}));
  REQUIRE(agent.opened);
  std::string changed = kRead;
  changed.insert(changed.find("\"inputSchema\""), R"("description":"Reads and tells.",)");
  pin(node, "fs", changed);
  CHECK(told(life, agent) == std::vector<std::string>{"file.read"});
  CHECK(life.call(agent, "fs.read", R"({"a":"x"})").code == Code::tool_digest);
}

}  // namespace
}  // namespace taper::broker
