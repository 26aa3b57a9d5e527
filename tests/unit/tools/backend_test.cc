#include "tests/unit/tools/fake_asker.h"

namespace taper::tools {
namespace {

using broker::Ask;
using mcp::Outcome;
using mcp::TaskWish;

constexpr std::string_view kTools =
    R"({"tools":[{"name":"quick","input_schema":{"type":"object"},"task":"never"},)"
    R"({"name":"long","input_schema":{"type":"object"},"task":"may"}],"fresh_ms":5000})";

// A backend under a server of its own, whose lines are kept.
struct Life {
  FakeAsker asker;
  ManualClock clock{Now{}};
  std::vector<std::string> notes;
  ConnectBackend backend{asker, clock, [this](const std::string& line) { notes.push_back(line); }};
  std::vector<std::string> sent;
  mcp::Server server{mcp::Identity{"taper", "", "1", "", 0}, backend,
                     [this](std::string_view line) { sent.emplace_back(line); }};
  mcp::Number number = 1000;

  Life() { backend.serve(server); }

  template <class T, class Act>
  std::shared_ptr<std::vector<Outcome<T>>> hear(Act act) {
    auto heard = std::make_shared<std::vector<Outcome<T>>>();
    act(++number, mcp::Done<T>([heard](Outcome<T> outcome) { heard->push_back(outcome); }));
    return heard;
  }
  auto call(std::string name, TaskWish wish) {
    return hear<mcp::Called>([&](mcp::Number n, mcp::Done<mcp::Called> done) {
      mcp::ToolCall asked{std::move(name), R"({"a":1})", "", wish, 9000, false};
      backend.call_tool(n, std::move(asked), std::move(done));
    });
  }
  auto get(std::string task, mcp::TaskView view) {
    return hear<mcp::TaskRecord>([&](mcp::Number n, mcp::Done<mcp::TaskRecord> done) {
      backend.get_task(n, std::move(task), view, std::move(done));
    });
  }
  auto list() {
    return hear<mcp::Listed<mcp::Tool>>(
        [&](mcp::Number n, auto done) { backend.list_tools(n, std::move(done)); });
  }
  std::string lines() const {
    std::string all;
    for (const std::string& line : sent) all += line;
    return all;
  }
  // A modern subscription, through the server, as only it keeps whom it told what.
  void listen(std::string_view filter) {
    server.feed(R"({"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{)"
                R"("notifications":)" +
                std::string(filter) +
                R"(,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
                R"("io.modelcontextprotocol/clientCapabilities":)"
                R"({"extensions":{"io.modelcontextprotocol/tasks":{}}}}}})"
                "\n");
  }
};

template <class T>
const T& value(const std::shared_ptr<std::vector<Outcome<T>>>& heard) {
  REQUIRE(heard->size() == 1);
  REQUIRE(std::holds_alternative<T>(heard->front()));
  return std::get<T>(heard->front());
}

template <class T>
mcp::Refusal refusal(const std::shared_ptr<std::vector<Outcome<T>>>& heard) {
  REQUIRE(heard->size() == 1);
  REQUIRE(std::holds_alternative<mcp::Refusal>(heard->front()));
  return std::get<mcp::Refusal>(heard->front());
}

TEST_CASE("A call is one request and its reply the result", "[tools]") {
  Life life;
  const auto heard = life.call("quick", TaskWish::never);
  REQUIRE(life.asker.asked.size() == 1);
  CHECK(life.asker.last().ask == Ask::call);
  CHECK(life.asker.last().tool == "quick");
  CHECK(as_text(life.asker.last().arguments) == R"({"a":1})");
  CHECK_FALSE(life.asker.last().ttl_ms);
  CHECK(heard->empty());
  life.asker.reply(R"({"content":[{"type":"text","text":"hi"}]})");
  CHECK(std::holds_alternative<mcp::ToolResult>(value(heard)));
}

TEST_CASE("Who can take a task gets one from a tool that may run long", "[tools]") {
  const auto [wish, name, ask] = GENERATE(table<TaskWish, std::string, Ask>({
      {TaskWish::may, "quick", Ask::call},
      {TaskWish::may, "long", Ask::create},
      {TaskWish::may, "unlisted", Ask::call},
      {TaskWish::insist, "long", Ask::create},
      {TaskWish::insist, "unlisted", Ask::create},
  }));
  Life life;
  const auto heard = life.call(name, wish);
  REQUIRE(life.asker.last().ask == Ask::discover);
  life.asker.reply(std::string(kTools));
  REQUIRE(life.asker.asked.size() == 2);
  CHECK(life.asker.last().ask == ask);
  CHECK(life.asker.last().tool == name);
  CHECK(life.asker.last().ttl_ms.has_value() == (ask == Ask::create));
  if (ask != Ask::create) return;
  life.asker.reply(task_body("working"));
  CHECK(std::get<mcp::TaskRecord>(value(heard)).id == kCall);
}

TEST_CASE("Who insists on a task hears that the tool makes none", "[tools]") {
  Life life;
  const auto heard = life.call("quick", TaskWish::insist);
  life.asker.reply(std::string(kTools));
  CHECK(life.asker.asked.size() == 1);
  CHECK(refusal(heard) == mcp::Refusal::never_task);
}

TEST_CASE("A call that is cancelled before it began never begins", "[tools]") {
  Life life;
  const auto heard = life.call("long", TaskWish::may);
  life.backend.cancel(life.number);
  life.asker.reply(std::string(kTools));
  CHECK(life.asker.asked.size() == 1);
  CHECK(life.asker.abandoned.empty());
  CHECK(heard->empty());
}

TEST_CASE("Cancelling a question abandons its request, and a late reply is nobody's", "[tools]") {
  Life life;
  const auto heard = life.call("quick", TaskWish::never);
  life.backend.cancel(life.number);
  CHECK(life.asker.abandoned == std::vector{life.asker.asked.back().ticket});
  life.backend.cancel(life.number);
  CHECK(life.asker.abandoned.size() == 1);
  life.asker.reply("{}");
  CHECK(heard->empty());
}

TEST_CASE("Of a request's _meta the trace goes further, and nothing else", "[tools]") {
  Life life;
  const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto sent = [&](const std::string& meta) {
    life.hear<mcp::Called>([&](mcp::Number n, mcp::Done<mcp::Called> done) {
      life.backend.call_tool(n, {"quick", "{}", meta, TaskWish::never, {}, false}, std::move(done));
    });
    return life.asker.last();
  };
  const auto whole = sent(R"({"traceparent":")" + parent +
                          R"(","tracestate":"a=b","baggage":"k=v","authorization":"Bearer x"})");
  CHECK(whole.trace == broker::TraceContext{parent, "a=b", "k=v"});
  CHECK_FALSE(whole.progress);
  CHECK(whole.arguments == to_bytes(as_bytes("{}")));
  CHECK(sent(R"({"traceparent":7,"tracestate":"a=b","baggage":"k"})").trace ==
        broker::TraceContext{});
  CHECK(sent("").trace == broker::TraceContext{});
}

TEST_CASE("Progress of a call reaches its client with the client's own token", "[tools]") {
  Life life;
  const auto open = [&](std::string_view task) {
    life.server.feed(R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{)"
                     R"("protocolVersion":"2025-11-25","capabilities":{},)"
                     R"("clientInfo":{"name":"c","version":"1"}}})"
                     "\n");
    life.server.feed(R"({"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"long",)" +
                     std::string(task) + R"("_meta":{"progressToken":"mine"}}})" + "\n");
    life.sent.clear();
  };
  const auto event = [](std::string_view body) {
    return broker::SessionEvent{*CallId::from_hex(kCall), std::string(body), 0};
  };
  SECTION("a plain call") {
    open("");
    CHECK(life.asker.last().progress);
    const Asker::Ticket ticket = life.asker.asked.back().ticket;
    life.backend.progressed(ticket, event(R"({"progress":0.5,"total":2,"message":"half"})"));
    CHECK(life.lines() ==
          R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine",)"
          R"("progress":0.5,"total":2,"message":"half"}})"
          "\n");
    life.sent.clear();
    life.backend.progressed(ticket, event(R"({"progress":0.5})"));
    life.backend.progressed(ticket + 1, event(R"({"progress":1})"));
    life.backend.progressed(ticket, event(R"({"progress":"x"})"));
    CHECK(life.sent.empty());
    life.asker.reply(R"({"content":[],"is_error":false,"code":1})");
    life.sent.clear();
    life.backend.progressed(ticket, event(R"({"progress":2})"));
    CHECK(life.sent.empty());
  }
  SECTION("a task of before 2026-07-28") {
    open(R"("task":{},)");
    life.asker.reply(std::string(kTools));
    CHECK(life.asker.last().progress);
    life.asker.reply(task_body("working"));
    life.sent.clear();
    life.backend.happened(event(R"({"progress":0.5})"));
    CHECK(life.lines().find(R"("progressToken":"mine","progress":0.5)") != std::string::npos);
    CHECK(life.sent.size() == 1);
    life.backend.happened(event(task_body("completed", R"("is_error":false)")));
    life.sent.clear();
    life.backend.happened(event(R"({"progress":1})"));
    CHECK(life.sent.empty());
  }
}

TEST_CASE("A task of 2026-07-28 is told no progress of", "[tools]") {
  Life life;
  for (const TaskWish wish : {TaskWish::may, TaskWish::insist, TaskWish::never}) {
    life.hear<mcp::Called>([&](mcp::Number n, mcp::Done<mcp::Called> done) {
      life.backend.call_tool(n, {"long", "{}", "", wish, {}, true}, std::move(done));
    });
    if (life.asker.last().ask == Ask::discover) life.asker.reply(std::string(kTools));
    CHECK(life.asker.last().ask == (wish == TaskWish::never ? Ask::call : Ask::create));
    CHECK(life.asker.last().progress == (wish != TaskWish::may));
  }
}

TEST_CASE("A refused call is told by number, and the holder reads why", "[tools]") {
  Life life;
  const auto heard = life.call("quick", TaskWish::never);
  life.asker.refuse(Code::argument_refused,
                    R"({"decision":"0011223344556677","remaining":{"calls":1}})");
  REQUIRE(heard->size() == 1);
  const auto& denial = std::get<mcp::Denial>(heard->front());
  CHECK(denial.code == 504);
  CHECK(denial.remaining.text() == R"({"calls":1})");
  REQUIRE(life.notes.size() == 1);
  CHECK(life.notes[0] ==
        "refused: call of quick: E504 argument_refused, decision 0011223344556677");
}

TEST_CASE("A failed call is told to the holder by number, too", "[tools]") {
  Life life;
  life.call("quick", TaskWish::never);
  life.asker.reply(R"({"content":[],"is_error":true,"code":622,"decision":"0011223344556677"})");
  REQUIRE(life.notes.size() == 1);
  CHECK(life.notes[0] == "failed: call of quick: E622 upstream_broken, decision 0011223344556677");
}

TEST_CASE("A tool that is not granted does not exist, and the number says why", "[tools]") {
  Life life;
  const auto heard = life.call("secret", TaskWish::never);
  life.asker.refuse(Code::tool_not_granted);
  REQUIRE(heard->size() == 1);
  const auto& error = std::get<mcp::RpcError>(heard->front());
  CHECK(error.code == -32602);
  CHECK(error.message == "Unknown tool");
  CHECK(error.data.text() == R"({"dev.taper/denial":{"code":502}})");
}

TEST_CASE("The list of tools is asked for once while it is fresh", "[tools]") {
  Life life;
  const auto first = life.list();
  const auto second = life.list();
  REQUIRE(life.asker.asked.size() == 1);
  life.asker.reply(std::string(kTools));
  CHECK(value(first).items.size() == 2);
  CHECK(value(second).fresh_ms == 5000);
  life.clock.advance_ms(4999);
  CHECK(value(life.list()).fresh_ms == 1);
  life.clock.advance_ms(1);
  const auto later = life.list();
  CHECK(later->empty());
  REQUIRE(life.asker.asked.size() == 2);
  life.asker.refuse(Code::lease_over);
  CHECK(std::holds_alternative<mcp::Denial>(later->front()));
  life.list();
  CHECK(life.asker.asked.size() == 3);
}

TEST_CASE("The state of a task is a poll, its payload a reading of its own", "[tools][R27]") {
  Life life;
  const auto bare = life.get(std::string(kCall), mcp::TaskView::status);
  CHECK(life.asker.last().ask == Ask::poll);
  CHECK(life.asker.last().call.hex() == kCall);
  life.asker.reply(task_body("completed"));
  CHECK(std::holds_alternative<std::monostate>(value(bare).payload));
  REQUIRE(life.asker.asked.size() == 1);

  const auto whole = life.get(std::string(kCall), mcp::TaskView::with_payload);
  life.asker.reply(task_body("completed"));
  REQUIRE(life.asker.asked.size() == 3);
  CHECK(life.asker.last().ask == Ask::result);
  CHECK(whole->empty());
  life.asker.reply(task_body("completed", R"("result":{"content":[]})"));
  CHECK(std::holds_alternative<mcp::ToolResult>(value(whole).payload));

  const auto early = life.get(std::string(kCall), mcp::TaskView::with_payload);
  life.asker.reply(task_body("working"));
  CHECK(value(early).status == mcp::TaskStatus::working);
  CHECK(life.asker.asked.size() == 4);
}

TEST_CASE("Who may poll but not read is told so in the result's place", "[tools][R27]") {
  Life life;
  const auto heard = life.get(std::string(kCall), mcp::TaskView::with_payload);
  life.asker.reply(task_body("completed"));
  life.asker.refuse(Code::verb_not_granted);
  const auto& result = std::get<mcp::ToolResult>(value(heard).payload);
  CHECK(result.is_error);
  CHECK(result.denial == 503U);
}

TEST_CASE("Only the handle as it was given out names a task", "[tools]") {
  Life life;
  for (const std::string task :
       {"", "x", "00112233445566778899AABBCCDDEEFF", "00000000000000000000000000000000",
        "00112233445566778899aabbccddeeff00", " 00112233445566778899aabbccddeeff"}) {
    CHECK(refusal(life.get(task, mcp::TaskView::status)) == mcp::Refusal::unknown_task);
  }
  CHECK(life.asker.asked.empty());
  const auto foreign = life.get(std::string(kCall), mcp::TaskView::with_payload);
  life.asker.refuse(Code::handle_unknown);
  CHECK(refusal(foreign) == mcp::Refusal::unknown_task);
}

TEST_CASE("Waiting, answering and ending a task are requests of their own", "[tools][R27]") {
  Life life;
  const auto awaited = life.hear<mcp::TaskRecord>([&](mcp::Number n, auto done) {
    life.backend.await_task(n, std::string(kCall), std::move(done));
  });
  CHECK(life.asker.last().ask == Ask::result);
  life.asker.reply(task_body("cancelled"));
  CHECK(value(awaited).status == mcp::TaskStatus::cancelled);

  const auto updated = life.hear<std::monostate>([&](mcp::Number n, auto done) {
    life.backend.update_task(n, std::string(kCall), R"({"word":{"action":"accept"}})",
                             mcp::Input::forms, std::move(done));
  });
  CHECK(life.asker.last().ask == Ask::update);
  CHECK(life.asker.last().input == authority::Input::forms);
  CHECK(as_text(life.asker.last().arguments) == R"({"word":{"action":"accept"}})");
  life.asker.reply(task_body("working"));
  value(updated);

  const auto cancel = [&] {
    return life.hear<mcp::TaskRecord>([&](mcp::Number n, auto done) {
      life.backend.cancel_task(n, std::string(kCall), std::move(done));
    });
  };
  const auto cancelled = cancel();
  CHECK(life.asker.last().ask == Ask::cancel);
  life.asker.reply(task_body("cancelled"));
  CHECK(value(cancelled).status == mcp::TaskStatus::cancelled);
  const auto again = cancel();
  life.asker.reply(task_body("cancelled"));
  CHECK(refusal(again) == mcp::Refusal::already_ended);
  const auto late = cancel();
  life.asker.reply(task_body("completed"));
  CHECK(refusal(late) == mcp::Refusal::already_ended);
}

constexpr std::string_view kRequests = R"({"1/who":{"method":"elicitation/create","params":{}}})";

TEST_CASE("A plain call that asks is told with its requests, and made again", "[tools][R43]") {
  Life life;
  const auto call = [&](std::optional<std::string> state) {
    return life.hear<mcp::Called>([&](mcp::Number n, mcp::Done<mcp::Called> done) {
      mcp::ToolCall asked{"long", R"({"a":1})", "", TaskWish::may, std::nullopt, false};
      asked.input = mcp::Input::urls;
      asked.state = std::move(state);
      asked.responses = R"({"1/who":{"action":"decline"}})";
      life.backend.call_tool(n, std::move(asked), std::move(done));
    });
  };
  const auto first = life.call("quick", TaskWish::never);
  life.asker.reply(task_body("input_required", R"("requests":)" + std::string(kRequests)));
  const auto& input = std::get<mcp::InputRequired>(value(first));
  CHECK(input.state == kCall);
  CHECK(input.requests.text() == kRequests);
  // It goes on as a plain call, also where the client could take a task now.
  const auto again = call(std::string(kCall));
  CHECK(life.asker.last().ask == Ask::call);
  CHECK(life.asker.last().call.hex() == kCall);
  CHECK(life.asker.last().input == authority::Input::urls);
  CHECK(as_text(life.asker.last().responses) == R"({"1/who":{"action":"decline"}})");
  life.asker.reply(R"({"content":[{"type":"text","text":"hi"}]})");
  CHECK(std::holds_alternative<mcp::ToolResult>(value(again)));
}

TEST_CASE("A state that names no waiting call of this client is one error", "[tools][R43][R48]") {
  Life life;
  std::vector<std::string> heard;
  for (const std::string& state : {std::string(kCall), std::string("nonsense"), std::string()}) {
    const auto again = life.hear<mcp::Called>([&](mcp::Number n, mcp::Done<mcp::Called> done) {
      mcp::ToolCall asked{"quick", "{}", "", TaskWish::never, std::nullopt, false};
      asked.state = state;
      life.backend.call_tool(n, std::move(asked), std::move(done));
    });
    if (state == kCall) life.asker.refuse(Code::handle_unknown);
    REQUIRE(again->size() == 1);
    const auto& error = std::get<mcp::RpcError>(again->front());
    CHECK(error.code == -32602);
    heard.push_back(error.message);
  }
  CHECK(heard == std::vector<std::string>(3, std::string(mcp::kForeignState)));
}

TEST_CASE("An answer of the wrong form is told with its field", "[tools][R43]") {
  Life life;
  const auto updated = life.hear<std::monostate>([&](mcp::Number n, auto done) {
    life.backend.update_task(n, std::string(kCall), "{}", mcp::Input::forms, std::move(done));
  });
  life.asker.refuse(Code::input_malformed,
                    R"({"field":"inputResponses.1/who","expected":"an answer"})");
  REQUIRE(updated->size() == 1);
  const auto& error = std::get<mcp::RpcError>(updated->front());
  CHECK(error.code == -32602);
  CHECK(error.message == "inputResponses.1/who must be an answer");
}

TEST_CASE("A lost session is an error that says whether anything was asked", "[tools]") {
  Life life;
  const auto heard = life.call("quick", TaskWish::never);
  life.asker.lose(Unanswered::When::in_flight);
  REQUIRE(heard->size() == 1);
  CHECK(std::get<mcp::RpcError>(heard->front()).code == -32603);
  CHECK(life.notes.empty());
}

TEST_CASE("A subscription is granted for the holder's own tasks alone", "[tools]") {
  Life life;
  const std::string other(32, 'f');
  life.listen(R"({"taskIds":[")" + std::string(kCall) + R"(",")" + other +
              R"(","nonsense"],"resourceSubscriptions":["taper://task","file:///etc/passwd"]})");
  REQUIRE(life.asker.asked.size() == 2);
  CHECK(life.sent.empty());
  life.asker.reply(0, Code::ok, task_body("working"));
  life.asker.reply(1, Code::handle_unknown, "");
  REQUIRE(life.sent.size() == 1);
  CHECK(life.sent[0].find(R"("taskIds":[")" + std::string(kCall) + R"("])") != std::string::npos);
  CHECK(life.sent[0].find(R"("resourceSubscriptions":["taper://task"])") != std::string::npos);
}

TEST_CASE("A subscriber is told the end of a task with what it made", "[tools]") {
  Life life;
  life.listen(R"({"taskIds":[")" + std::string(kCall) + R"("]})");
  life.asker.reply(task_body("working"));
  life.sent.clear();
  broker::SessionEvent event;
  event.call = *CallId::from_hex(kCall);
  event.body = task_body("completed");
  life.backend.happened(event);
  CHECK(life.lines().empty());
  CHECK(life.asker.last().ask == Ask::result);
  life.asker.reply(task_body("completed", R"("result":{"content":[{"type":"text","text":"x"}]})"));
  CHECK(life.lines().find(R"("method":"notifications/tasks")") != std::string::npos);
  CHECK(life.lines().find(R"("text":"x")") != std::string::npos);
}

TEST_CASE("A task that ended before it was subscribed to is told at once", "[tools]") {
  Life life;
  life.listen(R"({"taskIds":[")" + std::string(kCall) + R"("]})");
  life.asker.reply(task_body("cancelled"));
  REQUIRE(life.sent.size() == 2);
  CHECK(life.sent[0].find("acknowledged") != std::string::npos);
  CHECK(life.sent[1].find(R"("status":"cancelled")") != std::string::npos);
}

TEST_CASE("After another session opened, what was kept is asked for anew", "[tools]") {
  Life life;
  life.list();
  life.asker.reply(std::string(kTools));
  life.listen(R"({"toolsListChanged":true,"taskIds":[")" + std::string(kCall) + R"("]})");
  life.asker.reply(task_body("working"));
  life.sent.clear();
  life.backend.reopened();
  CHECK(life.lines().find("tools/list_changed") != std::string::npos);
  CHECK(life.asker.last().ask == Ask::poll);
  life.asker.reply(task_body("cancelled"));
  CHECK(life.lines().find(R"("status":"cancelled")") != std::string::npos);
  const std::size_t before = life.asker.asked.size();
  life.list();
  CHECK(life.asker.asked.size() == before + 1);
}

TEST_CASE("The one resource is what the task may do", "[tools]") {
  Life life;
  const auto read = [&](std::string uri) {
    return life.hear<mcp::ReadResource>([&](mcp::Number n, auto done) {
      life.backend.read_resource(n, std::move(uri), std::move(done));
    });
  };
  CHECK(refusal(read("taper://other")) == mcp::Refusal::unknown_resource);
  CHECK(life.asker.asked.empty());
  const auto heard = read("taper://task");
  CHECK(life.asker.last().ask == Ask::describe);
  life.asker.reply(R"({"purpose":"p"})");
  CHECK(value(heard).contents.size() == 2);
  const auto listed = life.hear<mcp::Listed<mcp::Resource>>(
      [&](mcp::Number n, auto done) { life.backend.list_resources(n, std::move(done)); });
  REQUIRE(value(listed).items.size() == 1);
  CHECK(value(listed).items[0].uri == "taper://task");
}

}  // namespace
}  // namespace taper::tools
