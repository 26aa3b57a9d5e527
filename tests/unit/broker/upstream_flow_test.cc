// What flows between a holder and an MCP server while a call runs, and what stays of a failed one.
#include <sys/stat.h>

#include <fstream>

#include "capsules/author/author.h"
#include "capsules/value.h"
#include "tests/unit/broker/session_life.h"

namespace taper::broker {
namespace {

constexpr const char* kEcho =
    R"({"annotations":{"readOnlyHint":true},"description":"Says it again.",)"
    R"("inputSchema":{"properties":{"text":{"type":"string"}},"type":"object"},)"
    R"("name":"echo","title":"Echo"})";
constexpr const char* kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

// A session that may call fake_server.py, which misbehaves in one way.
struct Served {
  testing::NodeForTests node;
  std::string file;
  std::optional<SessionLife> life;

  // `secret`: a value that the server is given; empty: none.
  explicit Served(const std::string& mode, const std::string& secret = "") {
    const std::string folder = TAPER_SOURCE_DIR "/tests/unit/upstream";
    node.put_tool("fake", "kind = \"mcp\"\nera = \"2025-11-25\"\neffect = \"read\"\nargv = " +
                              ("[\"/usr/bin/python3\", \"" + folder + "/fake_server.py\", ") +
                              "\"2025-11-25\", \"" + mode + "\"]\nfiles = [\"" + folder + "\"]\n" +
                              (secret.empty() ? "" : "secrets = [\"token\"]\n"));
    const std::string pins = node.state() + "/tools.d/fake.pins.json";
    std::ofstream(pins) << R"({"format":1,"era":"2025-11-25","tools":[)" << kEcho << "]}";
    REQUIRE(::chmod(pins.c_str(), 0644) == 0);
    capsules::Capsule capsule = node.capsule();
    capsule.entry = capsules::EntryKind::session;
    capsule.plan = {};
    capsule.end_on.failure = false;
    capsules::Grant grant = node.grant({.tool = "fake.echo", .paths = {}, .any = {"text"}});
    grant.verbs = {capsules::Verb::discover, capsules::Verb::call, capsules::Verb::poll,
                   capsules::Verb::result, capsules::Verb::cancel};
    grant.digest_kind = capsules::DigestKind::pinned;
    grant.digest = must(tools_list(node.state())).at("fake.echo").digest;
    grant.budget.bytes = 100'000;
    if (!secret.empty()) grant.secrets = {"token"};
    capsule.grants = {grant};
    if (!secret.empty()) {
      capsule.secrets.push_back({"token", {}});
      capsule.secrets[0].box =
          must(capsules::seal_secret(capsule, "token", as_bytes(secret), node.record().seal));
    }
    file = node.sign(capsule);
    life.emplace(node);
  }
  static SessionRequest request(Ask ask) {
    SessionRequest request;
    request.ask = ask;
    request.tool = "fake.echo";
    request.arguments = to_bytes(as_bytes(R"({"text":"a"})"));
    return request;
  }
};

TEST_CASE("progress of a plain call comes with the number of its request, and before its result",
          "[broker][upstream][session]") {
  Served served("progress");
  Agent& agent = served.life->open(served.file);
  REQUIRE(agent.opened);
  SessionRequest request = Served::request(Ask::call);
  request.progress = true;
  const SessionReply reply = served.life->ask(agent, request);
  INFO(reply.body);
  CHECK(reply.code == Code::ok);
  CHECK(number_at(json(reply.body), "/code") == 1);
  REQUIRE(agent.events.size() == 3);
  for (const SessionEvent& event : agent.events) CHECK(event.request == 0);
  CHECK(agent.events[0].body == R"({"progress":0.5,"total":4,"message":"one two"})");
  CHECK(agent.events[2].body == R"({"progress":3})");
  // Who does not ask is told nothing.
  CHECK(served.life->ask(agent, Served::request(Ask::call)).code == Code::ok);
  CHECK(agent.events.size() == 3);
}

TEST_CASE("progress of a call with a handle goes to its holder by the handle",
          "[broker][upstream][session]") {
  Served served("progress");
  Agent& agent = served.life->open(served.file);
  Agent& beside = served.life->open(served.file);
  REQUIRE(beside.opened);
  SessionRequest request = Served::request(Ask::create);
  request.progress = true;
  const SessionReply made = served.life->ask(agent, request);
  REQUIRE(made.code == Code::ok);
  const auto handle = CallId::from_hex(text_at(json(made.body), "/call"));
  REQUIRE(handle);
  const SessionReply result = served.life->about(agent, Ask::result, *handle);
  CHECK(text_at(json(result.body), "/status") == "completed");
  for (const Agent* each : {&agent, &beside}) {
    REQUIRE(each->events.size() == 4);
    for (const SessionEvent& event : each->events) {
      CHECK(event.call == *handle);
      CHECK_FALSE(event.request);
    }
    CHECK(each->events[1].body.starts_with(R"({"progress":2.5,"message":")"));
    CHECK(text_at(json(each->events[3].body), "/status") == "completed");
  }
}

TEST_CASE("a secret does not leave by progress", "[broker][upstream][session]") {
  Served served("progress", "one two");
  Agent& agent = served.life->open(served.file);
  REQUIRE(agent.opened);
  SessionRequest request = Served::request(Ask::call);
  request.progress = true;
  CHECK(served.life->ask(agent, request).code == Code::ok);
  REQUIRE(agent.events.size() == 3);
  CHECK(agent.events[0].body == R"({"progress":0.5,"total":4,"message":"[secret token]"})");
}

TEST_CASE("a failed call's words are kept for whoever has its handle, and charged",
          "[broker][upstream][session][R4]") {
  Served served("failed");
  Agent& agent = served.life->open(served.file);
  REQUIRE(agent.opened);
  const SessionReply plain = served.life->ask(agent, Served::request(Ask::call));
  const std::string said = "E606: the tool reported a failure\nno such\\x0afile";
  CHECK(text_at(json(plain.body), "/content/0/text") == said);
  const std::int64_t words = static_cast<std::int64_t>(std::string("no such\nfile").size());
  CHECK(number_at(json(plain.body), "/remaining/bytes") == 100'000 - words);
  CHECK(served.node.kept_results() == 0);

  const SessionReply made = served.life->ask(agent, Served::request(Ask::create));
  const auto handle = CallId::from_hex(text_at(json(made.body), "/call"));
  REQUIRE(handle);
  for (int i = 0; i < 2; ++i) {
    const capsules::Value got = json(served.life->about(agent, Ask::result, *handle).body);
    CHECK(text_at(got, "/status") == "completed");
    CHECK(text_at(got, "/result/content/0/text") == said);
    CHECK(*got.at_pointer("/result/is_error")->boolean());
    CHECK(number_at(got, "/result/code") == 606);
    CHECK(number_at(got, "/remaining/bytes") == 100'000 - 2 * words);
  }
  CHECK(served.node.kept_results() == 1);
}

TEST_CASE("the trace of a call stands in its decision", "[broker][upstream][session]") {
  Served served("ok");
  Agent& agent = served.life->open(served.file);
  REQUIRE(agent.opened);
  const auto record = [&](const SessionRequest& request) {
    const SessionReply reply = served.life->ask(agent, request);
    INFO(reply.body);
    const auto id = DecisionId::from_hex(text_at(json(reply.body), "/decision"));
    REQUIRE(id);
    return must(authority::explain_decision(*served.life->owned.store, *id)).record;
  };
  SessionRequest traced = Served::request(Ask::call);
  traced.trace = {kParent, "a=b", "k=v"};
  CHECK(record(traced).find(R"("trace":"0af7651916cd43dd8448eb211c80319c")") != std::string::npos);
  CHECK(record(Served::request(Ask::call)).find("\"trace\"") == std::string::npos);
  traced.arguments = to_bytes(as_bytes(R"({"text":"a","more":1})"));
  CHECK(record(traced).find(R"("trace":"0af7651916cd43dd8448eb211c80319c")") != std::string::npos);
}

}  // namespace
}  // namespace taper::broker
