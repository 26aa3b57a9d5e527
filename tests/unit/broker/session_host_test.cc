// Sessions on real tasks: what a holder is given, what is refused, and what outlives a connection.
#include "runtime/broker/session_host.h"

#include <csignal>
#include <filesystem>

#include "capsules/value.h"
#include "crypto/crypto.h"
#include "runtime/broker/session_bodies.h"
#include "tests/unit/broker/session_life.h"

namespace taper::broker {
namespace {

using authority::CallState;
using authority::TaskState;
using As = testing::NodeForTests::As;

constexpr const char* kSleep = R"(kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/sleep", { arg = "seconds" }]
[input]
seconds = { type = "string" }
)";

capsules::Block sleeping_block() {
  capsules::Block block;
  block.grants = {{"mine", "sleep", {}, {}}};
  return block;
}

// A session whose holder may read files of the node's data, and sleep.
struct Served {
  testing::NodeForTests node;
  std::string file;
  std::optional<SessionLife> life;

  explicit Served(const std::function<void(capsules::Capsule&)>& change = {}) {
    node.write("in.txt", "hello");
    node.put_tool("sleep", kSleep);
    capsules::Capsule capsule = node.capsule();
    capsule.entry = capsules::EntryKind::session;
    capsule.plan = {};
    capsule.grants = {node.grant({.tool = "file.read", .paths = {"path"}, .any = {}, .calls = 5}),
                      node.grant({.tool = "sleep", .paths = {}, .any = {"seconds"}})};
    for (capsules::Grant& grant : capsule.grants)
      grant.verbs = {capsules::Verb::discover, capsules::Verb::call,   capsules::Verb::poll,
                     capsules::Verb::result,   capsules::Verb::update, capsules::Verb::cancel};
    if (change) change(capsule);
    file = node.sign(capsule);
    life.emplace(node);
  }
  std::string path() const { return R"({"path":")" + node.data() + "/in.txt\"}"; }
  TaskState state(const TaskId& task) {
    return must(authority::show_task(*life->owned.store, task, life->clock.now())).state;
  }
  CallId create(Agent& agent, const std::string& seconds) {
    const SessionReply made =
        life->call(agent, "sleep", R"({"seconds":")" + seconds + "\"}", Ask::create);
    REQUIRE(made.code == Code::ok);
    CHECK(text_at(json(made.body), "/status") == "working");
    const auto call = CallId::from_hex(text_at(json(made.body), "/call"));
    REQUIRE(call);
    return *call;
  }
};

TEST_CASE("a holder calls, is refused, and is told what is left", "[broker][session][R8]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  REQUIRE(agent.opened);
  const SessionReply read = served.life->call(agent, "file.read", served.path());
  CHECK(read.code == Code::ok);
  const capsules::Value body = json(read.body);
  CHECK(text_at(body, "/content/0/text") == "hello");
  CHECK(text_at(body, "/structured/text") == "hello");
  CHECK(number_at(body, "/remaining/lease_ms") > 0);
  CHECK(number_at(body, "/remaining/calls") == 4);
  const SessionReply refused = served.life->call(agent, "file.read", R"({"path":"/etc/passwd"})");
  CHECK(refused.code == Code::argument_refused);
  // By number alone: what was expected is the operator's to know.
  CHECK(refused.body.find("passwd") == std::string::npos);
  CHECK(text_at(json(refused.body), "/decision").size() == 16);
  CHECK(served.life->call(agent, "file.write", "{}").code == Code::tool_not_granted);
}

TEST_CASE("a result is kept where somebody may ask for it later", "[broker][session][R4]") {
  const bool readers = GENERATE(false, true);
  Served served([readers](capsules::Capsule& capsule) {
    if (readers) capsule.result = {{Hash{crypto::key_id(capsule.holder).bytes}}, 60'000, 1};
  });
  Agent& agent = served.life->open(served.file);
  const std::string kept = served.node.state() + "/results/" + agent.opened->answer.task.hex();
  CHECK(served.life->call(agent, "file.read", served.path()).code == Code::ok);
  CHECK(std::filesystem::exists(kept) == readers);
  const CallId handle = served.create(agent, "0");
  CHECK(served.life->about(agent, Ask::result, handle).code == Code::ok);
  CHECK(std::filesystem::exists(kept + "/" + handle.hex()));
}

TEST_CASE("discovery and use are parted", "[broker][session][R34]") {
  Served served(
      [](capsules::Capsule& capsule) { capsule.grants[1].verbs = {capsules::Verb::discover}; });
  Agent& agent = served.life->open(served.file);
  const SessionReply found = served.life->about(agent, Ask::discover);
  REQUIRE(found.code == Code::ok);
  CHECK(found.body.find("\"sleep\"") != std::string::npos);
  CHECK(found.body.find("\"file.write\"") == std::string::npos);
  CHECK(served.life->call(agent, "sleep", R"({"seconds":"0"})").code != Code::ok);
  const SessionReply described = served.life->about(agent, Ask::describe);
  CHECK(text_at(json(described.body), "/purpose") != "");
}

TEST_CASE("a call with a handle outlives its connection", "[broker][session][R28][R4]") {
  Served served;
  Agent& first = served.life->open(served.file);
  const CallId handle = served.create(first, "0.3");
  first.link.reset();
  served.life->agents.clear();
  Agent& second = served.life->open(served.file);
  REQUIRE(second.opened);
  CHECK(second.opened->answer.resumed);
  const SessionReply result = served.life->about(second, Ask::result, handle);
  CHECK(result.code == Code::ok);
  CHECK(text_at(json(result.body), "/status") == "completed");
  CHECK(json(result.body).at_pointer("/result/content") != nullptr);
  REQUIRE(second.events.size() == 1);
  CHECK(second.events[0].call == handle);
}

TEST_CASE("a cancel kills at once, and is told when that is durable", "[broker][session][R27]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  const CallId handle = served.create(agent, "30");
  CHECK(text_at(json(served.life->about(agent, Ask::poll, handle).body), "/status") == "working");
  const std::int64_t began = served.life->clock.now().boot_ms;
  const SessionReply cancelled = served.life->about(agent, Ask::cancel, handle);
  CHECK(served.life->clock.now().boot_ms - began < 5000);
  CHECK(text_at(json(cancelled.body), "/status") == "cancelled");
  const SessionReply result = served.life->about(agent, Ask::result, handle);
  CHECK(text_at(json(result.body), "/status") == "cancelled");
  CHECK(number_at(json(result.body), "/result/code") == describe(Code::call_cancelled).number);
}

TEST_CASE("without the verb nothing is told of a call", "[broker][session][R26][R27]") {
  Served served([](capsules::Capsule& capsule) {
    capsule.grants[1].verbs = {capsules::Verb::call, capsules::Verb::poll};
  });
  Agent& agent = served.life->open(served.file);
  const CallId handle = served.create(agent, "0");
  CHECK(served.life->about(agent, Ask::poll, handle).code == Code::ok);
  for (const Ask ask : {Ask::result, Ask::update, Ask::cancel})
    CHECK(served.life->about(agent, ask, handle).code != Code::ok);
}

TEST_CASE("another's handle is as unknown as none", "[broker][session][R4][R49]") {
  Served served([](capsules::Capsule& capsule) {
    capsule.max_depth = 2;
    capsule.end_on.denials = 100;
  });
  const std::string narrowed = served.node.narrow(served.file, sleeping_block());
  Agent& owner = served.life->open(served.file);
  Agent& other = served.life->open(narrowed, As::narrowed);
  REQUIRE(other.opened);
  const CallId handle = served.create(owner, "30");
  for (const Ask ask : {Ask::poll, Ask::result, Ask::update, Ask::cancel}) {
    const SessionReply theirs = served.life->about(other, ask, handle);
    const SessionReply none =
        served.life->about(other, ask, CallId::from_hex(std::string(32, '7')).value());
    CHECK(theirs.code != Code::ok);
    CHECK(theirs.code == none.code);
    CHECK(theirs.body.size() == none.body.size());
  }
  CHECK(other.events.empty());
  CHECK(text_at(json(served.life->about(owner, Ask::poll, handle).body), "/status") == "working");
}

TEST_CASE("one whom a capsule was handed to leaves room for the others", "[broker][session]") {
  Served served([](capsules::Capsule& capsule) { capsule.max_depth = 2; });
  const std::string narrowed = served.node.narrow(served.file, sleeping_block());
  for (std::size_t i = 0; i < limits::kAgentSessionsPerBranchMax; ++i)
    REQUIRE(served.life->open(narrowed, As::narrowed).opened);
  CHECK(served.life->open(narrowed, As::narrowed).ended == Code::session_busy);
  CHECK(served.life->open(served.file).opened);
}

TEST_CASE("a task's first holder has all the sessions that he left to nobody",
          "[broker][session][R47]") {
  Served served([](capsules::Capsule& capsule) { capsule.max_depth = 2; });
  const std::string narrowed = served.node.narrow(served.file, sleeping_block());
  REQUIRE(served.life->open(narrowed, As::narrowed).opened);
  for (std::size_t i = 1; i < limits::kAgentSessionsPerTaskMax; ++i)
    REQUIRE(served.life->open(served.file).opened);
  CHECK(served.life->open(served.file).ended == Code::session_busy);
  CHECK(served.life->open(narrowed, As::narrowed).ended == Code::session_busy);
}

TEST_CASE("one task's calls leave cells for others", "[broker][session]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  for (std::size_t i = 0; i < limits::kCallsPerTaskMax; ++i) served.create(agent, "30");
  const char* arguments = R"({"seconds":"0"})";
  CHECK(served.life->call(agent, "sleep", arguments).code == Code::session_busy);
  CHECK(served.life->call(agent, "sleep", arguments, Ask::create).code == Code::session_busy);
  CHECK(served.state(agent.opened->answer.task) == TaskState::active);
}

TEST_CASE("one whom a capsule was handed to leaves calls to the others", "[broker][session][R47]") {
  Served served([](capsules::Capsule& capsule) { capsule.max_depth = 2; });
  const std::string narrowed = served.node.narrow(served.file, sleeping_block());
  Agent& owner = served.life->open(served.file);
  Agent& other = served.life->open(narrowed, As::narrowed);
  REQUIRE(other.opened);
  const char* arguments = R"({"seconds":"30"})";
  for (std::size_t i = 0; i < limits::kCallsPerBranchMax; ++i) served.create(other, "30");
  CHECK(served.life->call(other, "sleep", arguments).code == Code::session_busy);
  // Those that are over count no more.
  const CallId quick = served.create(owner, "30");
  CHECK(served.life->about(owner, Ask::cancel, quick).code == Code::ok);
  for (std::size_t i = limits::kCallsPerBranchMax; i < limits::kCallsPerTaskMax; ++i)
    served.create(owner, "30");
  CHECK(served.life->call(owner, "sleep", arguments).code == Code::session_busy);
}

TEST_CASE("a branch's place is free again when its call is over", "[broker][session]") {
  Served served([](capsules::Capsule& capsule) { capsule.max_depth = 2; });
  Agent& other = served.life->open(served.node.narrow(served.file, sleeping_block()), As::narrowed);
  REQUIRE(other.opened);
  for (std::size_t i = 0; i < 2 * limits::kCallsPerBranchMax; ++i)
    REQUIRE(served.life->call(other, "sleep", R"({"seconds":"0"})").code == Code::ok);
}

TEST_CASE("long results of one task do not hold up another", "[broker][session]") {
  Served served([](capsules::Capsule& capsule) { capsule.serial += 1; });
  capsules::Capsule second = served.node.capsule();
  second.entry = capsules::EntryKind::session;
  second.plan = {};
  second.grants = {served.node.grant({.tool = "sleep", .paths = {}, .any = {"seconds"}})};
  served.node.put_tool("long", R"(kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/head", "-c", "60000", "/dev/zero"]
)");
  second.grants.push_back(served.node.grant({.tool = "long", .paths = {}, .any = {}}));
  Agent& many = served.life->open(served.node.sign(second));
  Agent& one = served.life->open(served.file);
  REQUIRE((many.opened && one.opened));
  std::size_t told = 0;
  bool answered = false;
  const auto ask = [](Agent& agent, const char* tool, const char* arguments, auto told) {
    SessionRequest request;
    request.ask = Ask::call;
    request.tool = tool;
    request.arguments = to_bytes(as_bytes(std::string_view(arguments)));
    agent.link->client().ask(request, told);
    for (int i = 0; i < 2; ++i) agent.link->pump();
  };
  constexpr std::size_t kMany = 24;
  ask(one, "sleep", R"({"seconds":"0"})", [&](const Result<SessionReply>&) { answered = true; });
  for (std::size_t i = 0; i < kMany; ++i)
    ask(many, "long", "{}", [&told](const Result<SessionReply>& reply) { told += reply.ok(); });
  // All have done what they do before anybody looks.
  for (int i = 0; i < 20; ++i) {
    ::poll(nullptr, 0, 50);
    REQUIRE(served.life->spawner->beat().ok());
  }
  served.life->until([&answered] { return answered; });
  CHECK(told < kMany / 2);
  served.life->until([&told] { return told == kMany; });
}

TEST_CASE("all calls of a task that ends are answered before its session ends",
          "[broker][session]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  std::size_t answered = 0;
  constexpr std::size_t kMany = limits::kSettledAtOnce + 4;
  for (std::size_t i = 0; i < kMany; ++i) {
    SessionRequest request;
    request.ask = Ask::call;
    request.tool = "sleep";
    request.arguments = to_bytes(as_bytes(std::string_view(R"({"seconds":"30"})")));
    agent.link->client().ask(
        request, [&answered](const Result<SessionReply>& reply) { answered += reply.ok(); });
  }
  const TaskId task = agent.opened->answer.task;
  served.life->until([&] { return served.life->tasks->life(task)->calls() == kMany; });
  REQUIRE(served.life->tasks->end(task, authority::EndReason::cancelled, {}).ok());
  served.life->until([&agent] { return agent.ended.has_value(); });
  CHECK(answered == kMany);
}

TEST_CASE("quick polls are held, and make no more records", "[broker][session]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  const CallId handle = served.create(agent, "30");
  served.life->about(agent, Ask::poll, handle);
  const std::int64_t began = served.life->clock.now().boot_ms;
  for (int i = 0; i < 2; ++i) CHECK(served.life->about(agent, Ask::poll, handle).code == Code::ok);
  CHECK(served.life->clock.now().boot_ms - began >= 2 * limits::kHandlePollMs - 100);
}

TEST_CASE("an abandoned question frees its place", "[broker][session]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  const CallId handle = served.create(agent, "30");
  served.life->about(agent, Ask::poll, handle);
  std::size_t answered = 0;
  const auto question = [&](Ask kind) {
    SessionRequest request;
    request.ask = kind;
    request.call = handle;
    return agent.link->client().ask(request, [&](const Result<SessionReply>&) { ++answered; });
  };
  for (std::size_t i = 0; i <= limits::kSessionAsksMax; ++i) {
    SessionRequest abandon;
    abandon.ask = Ask::abandon;
    abandon.request = question(i % 2 == 0 ? Ask::poll : Ask::result);
    agent.link->client().ask(abandon, {});
    served.life->until([&] { return answered == i + 1; });
  }
  CHECK(served.life->call(agent, "file.read", served.path()).code == Code::ok);
}

TEST_CASE("a question abandoned after the task's end is no fault", "[broker][session]") {
  Served served([](capsules::Capsule& capsule) { capsule.end_on.denials = 1; });
  Agent& agent = served.life->open(served.file);
  const CallId handle = served.create(agent, "30");
  served.life->about(agent, Ask::poll, handle);
  const auto send = [&](Ask kind, std::uint64_t about) {
    SessionRequest request;
    request.ask = kind;
    request.tool = kind == Ask::call ? "file.write" : "";
    request.call = kind == Ask::poll ? handle : CallId();
    request.request = about;
    return agent.link->client().ask(request, [](const Result<SessionReply>&) {});
  };
  const std::uint64_t held = send(Ask::poll, 0);
  send(Ask::call, 0);
  send(Ask::abandon, held);
  served.life->until([&] { return agent.ended.has_value(); });
  CHECK(*agent.ended == Code::denials_ended);
}

TEST_CASE("a result waited for beyond its handle's time is no denial", "[broker][session]") {
  Served served([](capsules::Capsule& capsule) { capsule.end_on.denials = 1; });
  Agent& agent = served.life->open(served.file);
  SessionRequest create;
  create.ask = Ask::create;
  create.tool = "sleep";
  create.arguments = to_bytes(as_bytes(R"({"seconds":"30"})"));
  create.ttl_ms = 200;
  const SessionReply made = served.life->ask(agent, create);
  REQUIRE(made.code == Code::ok);
  const auto handle = CallId::from_hex(text_at(json(made.body), "/call"));
  CHECK(served.life->about(agent, Ask::result, *handle).code == Code::handle_unknown);
  CHECK(served.state(agent.opened->answer.task) == TaskState::active);
}

TEST_CASE("only the chain that activated the task completes it", "[broker][session][R45]") {
  Served served([](capsules::Capsule& capsule) {
    capsule.max_depth = 2;
    capsule.end_on.completion = true;
  });
  const std::string narrowed = served.node.narrow(served.file, sleeping_block());
  Agent& owner = served.life->open(served.file);
  Agent& other = served.life->open(narrowed, As::narrowed);
  const TaskId task = owner.opened->answer.task;
  CHECK(served.life->about(other, Ask::close).code == Code::ok);
  CHECK(served.state(task) == TaskState::active);
  CHECK(served.life->about(owner, Ask::close).code == Code::ok);
  served.life->until([&] { return owner.ended.has_value(); });
  CHECK(served.state(task) == TaskState::completed);
}

TEST_CASE("what runs is settled when the service stops, and its task lives on",
          "[broker][session][R50]") {
  Served served([](capsules::Capsule& capsule) { capsule.end_on.failure = true; });
  Agent& agent = served.life->open(served.file);
  const TaskId task = agent.opened->answer.task;
  served.create(agent, "30");
  served.life->host->interrupted();
  served.life->until([&] { return served.life->host->over(); });
  CHECK(served.state(task) == TaskState::active);
  const auto calls = served.life->owned.authority->past_calls(task);
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].state == CallState::killed);
  // What is asked from then on begins nothing.
  CHECK(served.life->call(agent, "file.read", R"({"path":"/etc/passwd"})").code ==
        Code::session_busy);
  CHECK(served.life->about(agent, Ask::close).code == Code::session_busy);
  CHECK(served.life->host->over());
  CHECK(served.state(task) == TaskState::active);
}

TEST_CASE("a service whose spawner died is over, and its task waits", "[broker][session][R50]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  const TaskId task = agent.opened->answer.task;
  std::optional<Code> answered;
  SessionRequest request;
  request.ask = Ask::call;
  request.tool = "sleep";
  request.arguments = to_bytes(as_bytes(R"({"seconds":"30"})"));
  agent.link->client().ask(request, [&](Result<SessionReply> reply) { answered = reply.code(); });
  served.life->until([&] { return served.life->spawner->cells_alive(task) == 1; });
  ::kill(served.life->spawner->pid(), SIGKILL);
  served.life->until([&] { return served.life->host->over(); });
  CHECK(served.state(task) == TaskState::active);
  const auto calls = served.life->owned.authority->past_calls(task);
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].state == CallState::interrupted);
  served.life->host->advance();
  served.life->agents.front().link->pump();
  CHECK(answered);
}

TEST_CASE("a denial too many ends the task and its sessions", "[broker][session][R14]") {
  Served served([](capsules::Capsule& capsule) { capsule.end_on.denials = 2; });
  Agent& agent = served.life->open(served.file);
  const TaskId task = agent.opened->answer.task;
  for (int i = 0; i < 2; ++i) served.life->call(agent, "file.read", R"({"path":"/etc/passwd"})");
  served.life->until([&] { return agent.ended.has_value(); });
  CHECK(*agent.ended == Code::denials_ended);
  CHECK(served.state(task) == TaskState::revoked);
}

Bytes bytes_of(const std::string& path) { return must(read_file(path, limits::kCapsuleBytesMax)); }
Hash chain_of(const std::string& path) {
  return must(capsules::read_untrusted(bytes_of(path), {})).chain;
}

TEST_CASE("the proof of an activation opens no session", "[broker][session][R3]") {
  for (const auto entry : {capsules::EntryKind::plan, capsules::EntryKind::agent}) {
    Served served([entry](capsules::Capsule& capsule) {
      capsule.entry = entry;
      capsule.agent_entry.program = "planner";
      capsule.agent_entry.digest.bytes[0] = 1;
      capsule.plan.steps = {testing::plan_step("a", "sleep", R"({"seconds":"0"})")};
      if (entry == capsules::EntryKind::agent) capsule.plan = {};
    });
    SessionHost& host = *served.life->host;
    const Challenge given = host.challenge();
    Open open;
    open.capsule = bytes_of(served.file);
    open.exchange.bytes[0] = 9;
    open.signature =
        served.node.options(served.file)
            .prove(authority::activation_statement(given.fleet, given.node, given.incarnation,
                                                   chain_of(served.file), given.challenge, {}));
    Session session(host, [](const Bytes&) {});
    CHECK(host.admit(session, given, open).code() == Code::entry_other);
    CHECK(served.life->owned.authority->live_tasks().empty());
  }
}

TEST_CASE("a channel to an agent is over with its run, and what it becomes is known",
          "[broker][session]") {
  Served served;
  Agent& agent = served.life->open(served.file);
  REQUIRE(agent.opened);
  const TaskId task = agent.opened->answer.task;
  const std::shared_ptr<TaskLife> life = served.life->tasks->life(task);
  const auto attached = [&](SessionHost& host, auto use) {
    std::vector<Bytes> sent;
    {
      Session session(host, task, [&sent](Bytes message) { sent.push_back(std::move(message)); });
      host.attach(session, life, chain_of(served.file));
      use(session);
    }
    return sent;
  };
  SessionRequest request;
  request.ask = Ask::describe;
  const Bytes asked = encode(SessionMessage(request));
  {
    SessionHost host(served.life->owned, *served.life->tasks);
    CHECK(attached(host, [&](Session& session) { session.take(asked); }).size() == 1);
    CHECK(host.attached() == SessionHost::Attached::gone);
  }
  {
    SessionHost host(served.life->owned, *served.life->tasks);
    const Bytes garbage = {1, 2, 3};
    CHECK(attached(host, [&](Session& session) { session.take(garbage); }).empty());
    CHECK(host.attached() == SessionHost::Attached::misused);
  }
  life->fail(Error(Code::internal));
  SessionHost host(served.life->owned, *served.life->tasks);
  const auto sent = attached(host, [&](Session& session) { session.take(asked); });
  REQUIRE(sent.size() == 1);
  const Result<SessionMessage> reply = decode_session_message(sent[0]);
  REQUIRE(reply.ok());
  CHECK(std::get<SessionReply>(*reply).code == Code::task_terminal);
}

}  // namespace
}  // namespace taper::broker
