// Calls of a real server that asks for input: parked, answered, or ended. tests/unit/upstream has
// it.
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "capsules/value.h"
#include "crypto/crypto.h"
#include "tests/unit/broker/session_life.h"

namespace taper::broker {
namespace {

using authority::Input;
using As = testing::NodeForTests::As;

constexpr const char* kEcho =
    R"({"annotations":{"readOnlyHint":true},"description":"Says it again.",)"
    R"("inputSchema":{"properties":{"text":{"type":"string"}},"type":"object"},)"
    R"("name":"echo","title":"Echo"})";
constexpr const char* kText = R"({"text":"a"})";
constexpr const char* kAnswer = R"({"1/who":{"action":"accept","content":{"name":"B"}}})";

struct Asking {
  testing::NodeForTests node;
  std::string file;
  std::optional<SessionLife> life;

  explicit Asking(const std::string& mode = "asks-form",
                  const std::function<void(capsules::Capsule&)>& change = {}) {
    const std::string folder = std::string(TAPER_SOURCE_DIR) + "/tests/unit/upstream";
    node.put_tool("fake", "kind = \"mcp\"\nargv = [\"/usr/bin/python3\", \"" + folder +
                              "/fake_server.py\", \"2026-07-28\", \"" + mode +
                              "\"]\nera = \"2026-07-28\"\nfiles = [\"" + folder +
                              "\"]\neffect = \"write\"\n");
    const std::string pins = node.state() + "/tools.d/fake.pins.json";
    std::ofstream(pins) << R"({"format":1,"era":"2026-07-28","tools":[)" << kEcho << "]}";
    REQUIRE(::chmod(pins.c_str(), 0644) == 0);
    capsules::Capsule capsule = node.capsule();
    capsule.entry = capsules::EntryKind::session;
    capsule.plan = {};
    capsule.end_on.denials = 100;
    capsule.max_depth = 2;
    capsules::Grant grant =
        node.grant({.tool = "fake.echo", .paths = {}, .any = {"text"}, .calls = 9});
    grant.effect = capsules::Effect::write;
    grant.digest_kind = capsules::DigestKind::pinned;
    grant.digest = must(tools_list(node.state())).at("fake.echo").digest;
    capsule.grants = {grant};
    if (change) change(capsule);
    file = node.sign(capsule);
    life.emplace(node);
  }

  // Everything is killed but the state, and begins anew.
  Agent& again() {
    life.reset();
    life.emplace(node);
    Agent& agent = life->open(file);
    REQUIRE(agent.opened);
    return agent;
  }
  SessionReply call(Agent& agent, Ask ask, Input input = Input::forms,
                    const std::string& arguments = kText) {
    SessionRequest request;
    request.ask = ask;
    request.tool = "fake.echo";
    request.arguments = to_bytes(as_bytes(arguments));
    request.input = input;
    return life->ask(agent, std::move(request));
  }
  // A call with a handle that has come to wait.
  CallId parked(Agent& agent) {
    const SessionReply made = call(agent, Ask::create);
    REQUIRE(made.code == Code::ok);
    const std::size_t before = agent.events.size();
    life->until([&] { return agent.events.size() > before; });
    CHECK(status(agent.events.back().body) == "input_required");
    return CallId::from_hex(text_at(json(made.body), "/call")).value();
  }
  // A plain call that was asked back.
  CallId asked(Agent& agent) {
    return CallId::from_hex(text_at(json(call(agent, Ask::call).body), "/call")).value();
  }
  SessionReply update(Agent& agent, const CallId& call, const std::string& responses = kAnswer) {
    SessionRequest request;
    request.ask = Ask::update;
    request.call = call;
    request.arguments = to_bytes(as_bytes(responses));
    request.input = Input::forms;
    return life->ask(agent, std::move(request));
  }
  // A plain call that goes on.
  SessionReply retry(Agent& agent, const CallId& call, const std::string& arguments = kText) {
    SessionRequest request;
    request.ask = Ask::call;
    request.tool = "fake.echo";
    request.arguments = to_bytes(as_bytes(arguments));
    request.call = call;
    request.responses = to_bytes(as_bytes(kAnswer));
    request.input = Input::forms;
    return life->ask(agent, std::move(request));
  }
  static std::string status(const std::string& body) { return text_at(json(body), "/status"); }
  std::string about(Agent& agent, Ask ask, const CallId& call) {
    return life->about(agent, ask, call).body;
  }
  std::string path(const Agent& agent, const CallId& call) const {
    return node.state() + "/results/" + agent.opened->answer.task.hex() + "/" + call.hex();
  }
  bool kept(const Agent& agent, const CallId& call) const {
    return std::filesystem::exists(path(agent, call));
  }
  // Everything but what sessions are told, until `done`.
  void untold_until(Agent& agent, const std::function<bool()>& done) {
    const std::int64_t end = life->clock.now().boot_ms + 10'000;
    while (!done() && life->clock.now().boot_ms < end) {
      agent.link->pump();
      pollfd news{life->spawner->wait_fd(), POLLIN, 0};
      if (::poll(&news, 1, 1) > 0) life->tasks->spawner_reported();
    }
    REQUIRE(done());
  }
};

TEST_CASE("a call that asks waits through a new life of everything, and goes on when answered",
          "[broker][session][upstream][R43]") {
  Asking node;
  Agent* agent = &node.life->open(node.file);
  REQUIRE(agent->opened);
  const CallId call = node.parked(*agent);
  const bool again = GENERATE(false, true);
  if (again) agent = &node.again();
  const capsules::Value shown = json(node.about(*agent, Ask::poll, call));
  CHECK(text_at(shown, "/status") == "input_required");
  CHECK(text_at(shown, "/requests/1~1who/method") == "elicitation/create");
  CHECK(node.status(node.about(*agent, Ask::result, call)) == "input_required");
  CHECK_FALSE(node.life->tasks->busy());
  CHECK(shown.at_pointer("/requests/requestState") == nullptr);
  const SessionReply updated = node.update(*agent, call);
  CHECK(updated.code == Code::ok);
  CHECK(node.status(updated.body) == "working");
  const capsules::Value result = json(node.about(*agent, Ask::result, call));
  CHECK(text_at(result, "/status") == "completed");
  CHECK(text_at(result, "/result/content/0/text") ==
        R"({"arguments": {"text": "a"}, "inputResponses": {"who": {"action": "accept", "content": )"
        R"({"name": "B"}}}, "offered": {"elicitation": {"form": {}}}, "requestState": )"
        R"("s\u00e9cret \"1\""})");
  CHECK(number_at(result, "/remaining/calls") == 7);
  CHECK(node.update(*agent, call).code == Code::input_unwanted);
}

TEST_CASE("answers of the wrong form are refused with their field, and the call waits on",
          "[broker][session][upstream][R43]") {
  Asking node;
  Agent& agent = node.life->open(node.file);
  const CallId call = node.parked(agent);
  const SessionReply wrong = node.update(agent, call, R"({"1/who":{"action":"perhaps"}})");
  CHECK(wrong.code == Code::input_malformed);
  CHECK(text_at(json(wrong.body), "/field") == "inputResponses.1/who.action");
  CHECK(node.update(agent, call, "{}").code == Code::input_malformed);
  CHECK(node.status(node.about(agent, Ask::poll, call)) == "input_required");
  CHECK(number_at(json(node.about(agent, Ask::result, call)), "/remaining/calls") == 8);
  CHECK(node.update(agent, call).code == Code::ok);
}

TEST_CASE("of two updates at once one wins", "[broker][session][upstream][R43]") {
  Asking node;
  Agent& first = node.life->open(node.file);
  Agent& second = node.life->open(node.file);
  const CallId call = node.parked(first);
  std::vector<Code> codes;
  for (Agent* agent : {&first, &second}) {
    SessionRequest request;
    request.ask = Ask::update;
    request.call = call;
    request.arguments = to_bytes(as_bytes(kAnswer));
    agent->link->client().ask(request,
                              [&](Result<SessionReply> reply) { codes.push_back(reply->code); });
  }
  node.life->until([&] { return codes.size() == 2; });
  std::ranges::sort(codes);
  CHECK(codes == std::vector<Code>{Code::ok, Code::input_unwanted});
}

TEST_CASE("a cancel ends what waits, and what it asked is gone",
          "[broker][session][upstream][R43]") {
  Asking node;
  Agent& agent = node.life->open(node.file);
  const CallId call = node.parked(agent);
  CHECK(node.kept(agent, call));
  CHECK(node.status(node.about(agent, Ask::cancel, call)) == "cancelled");
  CHECK_FALSE(node.kept(agent, call));
  CHECK(node.update(agent, call).code == Code::input_unwanted);
  CHECK(node.status(node.about(agent, Ask::result, call)) == "cancelled");
}

TEST_CASE("a handle that ends takes along what its call asked",
          "[broker][session][upstream][R43]") {
  const bool readers = GENERATE(false, true);
  const bool cancelled = GENERATE(false, true);
  Asking node("asks-form", [readers](capsules::Capsule& capsule) {
    if (readers) capsule.result = {{Hash{crypto::key_id(capsule.holder).bytes}}, 60'000, 1};
  });
  Agent& agent = node.life->open(node.file);
  SessionRequest request;
  request.ask = Ask::create;
  request.tool = "fake.echo";
  request.arguments = to_bytes(as_bytes(kText));
  request.input = Input::forms;
  request.ttl_ms = 2'000;
  const SessionReply made = node.life->ask(agent, request);
  const CallId call = CallId::from_hex(text_at(json(made.body), "/call")).value();
  node.life->until([&] { return !agent.events.empty(); });
  CHECK(node.kept(agent, call));
  if (cancelled) {
    const Bytes kept = must(read_file(node.path(agent, call), limits::kResultBytesMax));
    node.about(agent, Ask::cancel, call);
    std::ofstream(node.path(agent, call)) << as_text(kept);  // as where it could not be erased
  }
  node.life->until([&] {
    node.life->tasks->look_at_time();
    return !node.kept(agent, call);
  });
  CHECK(node.update(agent, call).code == Code::handle_unknown);
}

TEST_CASE("a new life erases what no call waits for", "[broker][session][upstream][R43][R10]") {
  Asking node("asks-form", [](capsules::Capsule& capsule) {
    capsule.result = {{Hash{crypto::key_id(capsule.holder).bytes}}, 60'000, 1};
  });
  Agent* agent = &node.life->open(node.file);
  const CallId call = node.parked(*agent);
  const std::string path = node.path(*agent, call);
  const Bytes kept = must(read_file(path, limits::kResultBytesMax));
  node.about(*agent, Ask::cancel, call);
  CHECK_FALSE(node.kept(*agent, call));
  std::ofstream(path) << as_text(kept);  // as after a crash before it was erased
  agent = &node.again();
  CHECK_FALSE(node.kept(*agent, call));
}

TEST_CASE("a task's end takes along what its calls asked, also where results are kept",
          "[broker][session][upstream][R43][R12]") {
  Asking node("asks-form", [](capsules::Capsule& capsule) {
    capsule.result = {{Hash{crypto::key_id(capsule.holder).bytes}}, 60'000, 1};
  });
  Agent& agent = node.life->open(node.file);
  const CallId call = node.parked(agent);
  REQUIRE(node.kept(agent, call));
  REQUIRE(
      node.life->tasks->end(agent.opened->answer.task, authority::EndReason::cancelled, {}).ok());
  node.life->until([&] { return agent.ended.has_value(); });
  CHECK_FALSE(node.kept(agent, call));
}

TEST_CASE("one task's waiting calls are bounded, and its first holder keeps places",
          "[broker][session][upstream][R43][R47]") {
  Asking node("asks-form",
              [](capsules::Capsule& capsule) { capsule.grants[0].budget.calls = 1000; });
  capsules::Block block;
  block.grants = {{"mine", "fake.echo", {}, {}}};
  Agent& owner = node.life->open(node.file);
  Agent& other = node.life->open(node.node.narrow(node.file, block), As::narrowed);
  REQUIRE(other.opened);
  for (std::size_t i = 0; i < limits::kCallsPerBranchMax; ++i) node.parked(other);
  // Who can be asked makes no call whose question finds no place; others may.
  CHECK(node.call(other, Ask::create).code == Code::session_busy);
  CHECK(node.call(other, Ask::call).code == Code::session_busy);
  CHECK(node.call(other, Ask::create, Input::none).code == Code::ok);
  const CallId first = node.parked(owner);
  for (std::size_t i = limits::kCallsPerBranchMax + 1; i < limits::kCallsPerTaskMax; ++i)
    node.parked(owner);
  CHECK(node.call(owner, Ask::create).code == Code::session_busy);
  CHECK(number_at(json(node.update(owner, first).body), "/remaining/calls") > 0);
}

TEST_CASE("a question that finds no place any more says so", "[broker][session][upstream][R43]") {
  Asking node("asks-form",
              [](capsules::Capsule& capsule) { capsule.grants[0].budget.calls = 1000; });
  Agent& agent = node.life->open(node.file);
  for (std::size_t i = 1; i < limits::kCallsPerTaskMax; ++i) node.parked(agent);
  std::vector<std::string> ended;
  for (int i = 0; i < 2; ++i) {  // begun when there was one
    SessionRequest request;
    request.ask = Ask::call;
    request.tool = "fake.echo";
    request.arguments = to_bytes(as_bytes(kText));
    request.input = Input::forms;
    agent.link->client().ask(
        request, [&](Result<SessionReply> reply) { ended.push_back(must(std::move(reply)).body); });
  }
  node.life->until([&] { return ended.size() == 2; });
  const bool second = node.status(ended[0]) == "input_required";
  CHECK(node.status(ended[second ? 0 : 1]) == "input_required");
  const capsules::Value none = json(ended[second ? 1 : 0]);
  CHECK(number_at(none, "/code") == describe(Code::input_unanswered).number);
  CHECK(ended[second ? 1 : 0].find("a place to wait") != std::string::npos);
}

TEST_CASE("an answer is not lost where there is no room for a cell",
          "[broker][session][upstream][R43][R52]") {
  Asking node;
  Agent* agent = &node.life->open(node.file);
  const bool plain = GENERATE(false, true);
  const CallId call = plain ? node.asked(*agent) : node.parked(*agent);
  agent = &node.again();  // its server's cell is gone
  bool seen = false;
  std::optional<SessionReply> reply;
  for (std::size_t left = 0; left < 64 && !(reply && reply->code == Code::ok); ++left) {
    const FewDescriptors few(::getpid(), left);
    reply = plain ? node.retry(*agent, call) : node.update(*agent, call);
    seen = seen || reply->code == Code::sandbox_setup;
  }
  CHECK(seen);
}

TEST_CASE("nor where its cell could not be made", "[broker][session][upstream][R43][R52]") {
  Asking node;
  Agent* agent = &node.life->open(node.file);
  const bool plain = GENERATE(false, true);
  const CallId call = plain ? node.asked(*agent) : node.parked(*agent);
  agent = &node.again();  // its server's cell is gone
  {
    const FewDescriptors short_of(spawner_process(), 4);  // those of the order, with the script
    if (!short_of.looked) return;
    const SessionReply reply = plain ? node.retry(*agent, call) : node.update(*agent, call);
    CHECK(reply.code == Code::ok);
    const auto told = [&] {
      if (plain) return node.status(reply.body);
      return agent->events.empty() ? "" : node.status(agent->events.back().body);
    };
    node.life->until([&] { return told() == "input_required"; });
  }
  CHECK(node.status(node.about(*agent, Ask::poll, call)) == "input_required");
  const SessionReply reply = plain ? node.retry(*agent, call) : node.update(*agent, call);
  CHECK(reply.code == Code::ok);
  const capsules::Value result = json(plain ? reply.body : node.about(*agent, Ask::result, call));
  CHECK(text_at(result, plain ? "/content/0/text" : "/result/content/0/text")
            .find(R"("name": "B")") != std::string::npos);
  CHECK(number_at(result, "/remaining/calls") == 7);  // nothing was charged for what never ran
}

TEST_CASE("a plain call that asks when nobody is left to hear it ends at once",
          "[broker][session][upstream][R43][R17]") {
  Asking node;
  Agent& agent = node.life->open(node.file);
  SessionLife& life = *node.life;
  SessionRequest request;
  request.ask = Ask::call;
  request.tool = "fake.echo";
  request.arguments = to_bytes(as_bytes(kText));
  request.input = Input::forms;
  std::optional<SessionReply> reply;
  const std::uint64_t number = agent.link->client().ask(
      request, [&](Result<SessionReply> got) { reply = must(std::move(got)); });
  const TaskId task = agent.opened->answer.task;
  authority::Authority& authority = *life.owned.authority;
  SECTION("its client has gone") {
    agent.link->pump();
    REQUIRE(life.tasks->busy());
    life.agents.clear();
    life.until([&] { return !life.tasks->busy() && !life.host->ready(); });
  }
  SECTION("its client gave it up") {
    node.untold_until(agent, [&] { return life.host->ready(); });
    SessionRequest abandon;
    abandon.ask = Ask::abandon;
    abandon.request = number;
    agent.link->client().ask(abandon, [](const Result<SessionReply>&) {});
    agent.link->pump();
    life.until([&] { return reply.has_value(); });
    CHECK(number_at(json(reply->body), "/code") == describe(Code::input_unanswered).number);
  }
  const auto calls = authority.past_calls(task);
  REQUIRE(calls.size() == 1);
  CHECK(calls[0].state == authority::CallState::killed);
  CHECK(calls[0].code == Code::input_unanswered);
  CHECK_FALSE(authority.handle_view(task, calls[0].call));
  CHECK_FALSE(std::filesystem::exists(node.node.state() + "/results/" + task.hex() + "/" +
                                      calls[0].call.hex()));
}

TEST_CASE("what a plain call gave after it was asked is given once",
          "[broker][session][upstream][R43][R12]") {
  const bool readers = GENERATE(false, true);
  Asking node("asks-form", [readers](capsules::Capsule& capsule) {
    if (readers) capsule.result = {{Hash{crypto::key_id(capsule.holder).bytes}}, 60'000, 1};
  });
  Agent& agent = node.life->open(node.file);
  const CallId call = node.asked(agent);
  REQUIRE(node.retry(agent, call).code == Code::ok);
  CHECK(node.kept(agent, call) == readers);
  CHECK(node.life->about(agent, Ask::result, call).code == Code::handle_unknown);
}

TEST_CASE("a plain call is asked back, and its state fits no other call",
          "[broker][session][upstream][R43][R36]") {
  Asking node;
  Agent* agent = &node.life->open(node.file);
  const SessionReply asked = node.call(*agent, Ask::call);
  REQUIRE(asked.code == Code::ok);
  CHECK(node.status(asked.body) == "input_required");
  const CallId call = CallId::from_hex(text_at(json(asked.body), "/call")).value();
  if (GENERATE(false, true)) agent = &node.again();
  CHECK(node.retry(*agent, call, R"({"text":"b"})").code == Code::handle_unknown);
  CHECK(node.retry(*agent, CallId{{9}}).code == Code::handle_unknown);
  const SessionReply result = node.retry(*agent, call);
  CHECK(result.code == Code::ok);
  CHECK(text_at(json(result.body), "/content/0/text").find(R"("name": "B")") != std::string::npos);
  CHECK(node.retry(*agent, call).code == Code::handle_unknown);
}

TEST_CASE("a plain call that asked and was ended before that was told is told as ended",
          "[broker][session][upstream][R43][R51]") {
  Asking node;
  Agent& agent = node.life->open(node.file);
  SessionLife& life = *node.life;
  SessionRequest request;
  request.ask = Ask::call;
  request.tool = "fake.echo";
  request.arguments = to_bytes(as_bytes(kText));
  request.input = Input::forms;
  std::optional<SessionReply> reply;
  agent.link->client().ask(request,
                           [&](Result<SessionReply> got) { reply = must(std::move(got)); });
  node.untold_until(agent, [&] { return life.host->ready(); });
  const TaskId task = agent.opened->answer.task;
  authority::Authority& authority = *life.owned.authority;
  const CallId call = authority.past_calls(task).back().call;
  Code wanted = Code::input_unanswered;
  SECTION("by a cancel") {
    wanted = Code::call_cancelled;
    const auto cancelled = authority.access(
        {task, authority.capsule(task)->chain(), capsules::Verb::cancel, call}, life.clock.now());
    REQUIRE(cancelled.ok());
  }
  SECTION("with its task") {
    REQUIRE(life.tasks->end(task, authority::EndReason::cancelled, {}).ok());
    node.untold_until(agent, [&] {
      life.tasks->look_at_time();
      return !authority.handle_view(task, call);
    });
  }
  life.until([&] { return reply.has_value(); });
  CHECK(reply->code == Code::ok);
  CHECK(number_at(json(reply->body), "/code") == describe(wanted).number);
  CHECK(json(reply->body).find("call") == nullptr);  // a result, no handle
}

TEST_CASE("who lets a call go on hears what is left to himself",
          "[broker][session][upstream][R43]") {
  Asking node("asks-form", [](capsules::Capsule& capsule) {
    capsules::Grant other = capsule.grants[0];
    other.id = "other";
    other.args.clear();
    capsule.grants.insert(capsule.grants.begin(), other);
  });
  // A block of the maker's own, where the grant stands in another place and gives less.
  capsules::Block block;
  block.grants = {{"mine", "fake.echo", {}, {.calls = 3}}};
  const std::string narrowed = node.node.narrow(node.file, block, As::holder);
  Agent& maker = node.life->open(node.file);
  Agent& other = node.life->open(narrowed);
  REQUIRE(other.opened);
  const CallId call = node.parked(maker);
  const SessionReply updated = node.update(other, call);
  CHECK(updated.code == Code::ok);
  CHECK(number_at(json(updated.body), "/remaining/calls") == 2);
}

TEST_CASE("who can answer nothing is told so, and nothing waits",
          "[broker][session][upstream][R43]") {
  Asking node("asks-state");
  Agent& agent = node.life->open(node.file);
  const SessionReply plain = node.call(agent, Ask::call, Input::none);
  CHECK(number_at(json(plain.body), "/code") == describe(Code::input_unanswered).number);
  const SessionReply made = node.call(agent, Ask::create, Input::none);
  const CallId call = CallId::from_hex(text_at(json(made.body), "/call")).value();
  const capsules::Value ended = json(node.about(agent, Ask::result, call));
  CHECK(text_at(ended, "/status") == "completed");
  CHECK(number_at(ended, "/code") == describe(Code::input_unanswered).number);
  CHECK_FALSE(node.kept(agent, call));
}

TEST_CASE("each question of a call has keys of its own", "[broker][session][upstream][R43]") {
  Asking node("asks-form-twice");
  Agent& agent = node.life->open(node.file);
  const CallId call = node.parked(agent);
  CHECK(node.update(agent, call).code == Code::ok);
  const std::size_t before = agent.events.size();
  node.life->until([&] { return agent.events.size() > before; });
  const capsules::Value shown = json(node.about(agent, Ask::result, call));
  CHECK(text_at(shown, "/requests/2~1who/method") == "elicitation/create");
  CHECK(node.update(agent, call).code == Code::input_malformed);
  CHECK(node.update(agent, call, R"({"2/who":{"action":"cancel"}})").code == Code::ok);
  CHECK(node.status(node.about(agent, Ask::result, call)) == "completed");
}

TEST_CASE("another's call that waits is an unknown one", "[broker][session][upstream][R43][R48]") {
  Asking node;
  capsules::Block block;
  block.grants = {{"mine", "fake.echo", {}, {}}};
  const std::string narrowed = node.node.narrow(node.file, block);
  Agent& owner = node.life->open(node.file);
  Agent& other = node.life->open(narrowed, As::narrowed);
  REQUIRE(other.opened);
  const CallId call = node.parked(owner);
  const CallId none = CallId::from_hex(std::string(32, '7')).value();
  for (const std::string& responses : {std::string(kAnswer), std::string("{}")}) {
    const SessionReply theirs = node.update(other, call, responses);
    const SessionReply unknown = node.update(other, none, responses);
    CHECK(theirs.code == Code::handle_unknown);
    CHECK(unknown.code == theirs.code);
    CHECK(unknown.body.size() == theirs.body.size());
  }
  CHECK(node.retry(other, call).code == Code::handle_unknown);
  CHECK(node.status(node.about(owner, Ask::poll, call)) == "input_required");
}

TEST_CASE("whom the verbs were handed on to sees that a call waits, and not what for",
          "[broker][session][upstream][R43][R45]") {
  Asking node;
  capsules::Block block;
  block.grants = {{"theirs",
                   "fake.echo",
                   {},
                   {},
                   {},
                   {},
                   {capsules::Verb::call, capsules::Verb::poll, capsules::Verb::update}}};
  Agent& owner = node.life->open(node.file);
  Agent& other = node.life->open(node.node.narrow(node.file, block), As::narrowed);
  REQUIRE(other.opened);
  const CallId call = node.parked(owner);
  const capsules::Value seen = json(node.about(other, Ask::poll, call));
  CHECK(text_at(seen, "/status") == "input_required");
  CHECK(seen.find("requests") == nullptr);
  CHECK(node.update(other, call).code == Code::handle_unknown);
  CHECK(node.update(owner, call).code == Code::ok);
}

TEST_CASE("a question that was changed on the disk lets nothing go on",
          "[broker][session][upstream][R43]") {
  Asking node;
  Agent& agent = node.life->open(node.file);
  const CallId call = node.parked(agent);
  std::ofstream(node.path(agent, call), std::ios::app) << "x";
  CHECK(node.update(agent, call).code == Code::store_corrupt);
  CHECK(node.life->about(agent, Ask::poll, call).code == Code::store_corrupt);
  CHECK_FALSE(node.life->tasks->busy());
}

}  // namespace
}  // namespace taper::broker
