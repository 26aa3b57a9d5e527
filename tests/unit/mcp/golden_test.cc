// Every field of every message that is sent, as the specifications of 2025-11-25, of 2026-07-28 and
// of its extension for tasks have it. Written from them, not from the code.
#include <functional>

#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

// What there is to say: as little as a message can have, or everything.
enum class Said : std::uint8_t { least, most };

// The fields of an object: "name:type" with "!" where the specification requires it, and "+" where
// it does not and we always say it. Types: s string, t time in UTC, i integer, z integer or null,
// n number, b boolean, o object, a array, * any, NAME an object below, []NAME an array of such.
struct Shape {
  std::string_view name;
  std::string_view fields;
};
constexpr Shape kShapes[] = {
    {"Frame", "jsonrpc:s! id:i! result:o!"},
    {"Failure", "jsonrpc:s! id:i! error:Error!"},
    {"Told", "jsonrpc:s! method:s! params:o+"},
    {"Bare", "jsonrpc:s! method:s!"},
    {"Error", "code:i! message:s! data:o"},
    {"Person", "name:s! title:s version:s!"},
    // Before 2026-07-28.
    {"old/initialize", "protocolVersion:s! capabilities:Can! serverInfo:Person! instructions:s"},
    {"Can", "tools:Changes! resources:CanRead! tasks:CanTask!"},
    {"Changes", "listChanged:b!"},
    {"CanRead", "subscribe:b! listChanged:b!"},
    {"CanTask", "cancel:o! requests:CanTaskRequests!"},
    {"CanTaskRequests", "tools:CanTaskTools!"},
    {"CanTaskTools", "call:o!"},
    {"old/ping", ""},
    {"old/tools/list", "tools:[]OldTool! nextCursor:s"},
    {"OldTool",
     "name:s! title:s description:s inputSchema:o! outputSchema:o annotations:o "
     "execution:Execution"},
    {"Execution", "taskSupport:s!"},
    {"old/tools/call", "content:a! structuredContent:o isError:b+ _meta:o"},
    {"old/resources/list", "resources:[]Resource! nextCursor:s"},
    {"Resource", "uri:s! name:s! title:s description:s mimeType:s"},
    {"old/resources/templates/list", "resourceTemplates:[]Template! nextCursor:s"},
    {"Template", "uriTemplate:s! name:s! title:s description:s mimeType:s"},
    {"old/resources/read", "contents:[]Contents! _meta:o"},
    {"Contents", "uri:s! mimeType:s text:s!"},
    {"old/prompts/list", "prompts:a!"},
    {"old/resources/subscribe", ""},
    {"old/task", "task:OldTask! _meta:o"},
    {"OldTask",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttl:z! pollInterval:i"},
    {"old/tasks/get",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttl:z! pollInterval:i "
     "_meta:o"},
    {"old/tasks/cancel",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttl:z! pollInterval:i "
     "_meta:o"},
    {"old/tasks/result", "content:a! structuredContent:o isError:b+ _meta:Related!"},
    {"Related", "io.modelcontextprotocol/related-task:RelatedTask! dev.taper/remaining:o"},
    {"RelatedTask", "taskId:s!"},
    {"old/notifications/tasks/status",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttl:z! pollInterval:i "
     "_meta:o"},
    {"old/notifications/resources/updated", "uri:s!"},
    {"old/notifications/progress", "progressToken:s! progress:n! total:n message:s"},
    // 2026-07-28 and its extension.
    {"server/discover",
     "resultType:s! supportedVersions:a! capabilities:NewCan! instructions:s ttlMs:i! "
     "cacheScope:s! _meta:Discovered+"},
    {"NewCan", "tools:Changes! resources:CanRead! extensions:Extensions!"},
    {"Extensions", "io.modelcontextprotocol/tasks:o!"},
    {"Served", "io.modelcontextprotocol/serverInfo:Person! dev.taper/remaining:o"},
    {"Discovered", "io.modelcontextprotocol/serverInfo:Person!"},
    {"tools/list",
     "resultType:s! tools:[]Tool! nextCursor:s ttlMs:i! cacheScope:s! _meta:Discovered+"},
    {"Tool", "name:s! title:s description:s inputSchema:o! outputSchema:o annotations:o"},
    {"tools/call", "resultType:s! content:a! structuredContent:* isError:b+ _meta:Served+"},
    {"tools/call input_required", "resultType:s! inputRequests:o requestState:s! _meta:Served+"},
    {"resources/list",
     "resultType:s! resources:[]Resource! nextCursor:s ttlMs:i! cacheScope:s! _meta:Discovered+"},
    {"resources/templates/list",
     "resultType:s! resourceTemplates:[]Template! nextCursor:s ttlMs:i! cacheScope:s! "
     "_meta:Discovered+"},
    {"resources/read", "resultType:s! contents:[]Contents! ttlMs:i! cacheScope:s! _meta:Served+"},
    {"prompts/list", "resultType:s! prompts:a! ttlMs:i! cacheScope:s! _meta:Discovered+"},
    {"task",
     "resultType:s! taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! "
     "pollIntervalMs:i _meta:Served+"},
    {"tasks/get working",
     "resultType:s! taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! "
     "pollIntervalMs:i _meta:Served+"},
    {"tasks/get input_required",
     "resultType:s! taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! "
     "pollIntervalMs:i inputRequests:o! _meta:Served+"},
    {"tasks/get completed",
     "resultType:s! taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! "
     "pollIntervalMs:i result:tools/call! _meta:Served+"},
    {"tasks/get failed",
     "resultType:s! taskId:s! status:s! statusMessage:s+ createdAt:t! lastUpdatedAt:t! ttlMs:z! "
     "pollIntervalMs:i error:Error! _meta:Served+"},
    {"tasks/get cancelled",
     "resultType:s! taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! "
     "pollIntervalMs:i _meta:Served+"},
    {"tasks/update", "resultType:s! _meta:Discovered+"},
    {"tasks/cancel", "resultType:s! _meta:Discovered+"},
    {"subscriptions/listen", "resultType:s! _meta:Ended!"},
    {"Ended",
     "io.modelcontextprotocol/subscriptionId:i! io.modelcontextprotocol/serverInfo:Person!"},
    {"notifications/subscriptions/acknowledged", "_meta:Subscribed! notifications:Honoured!"},
    {"Subscribed", "io.modelcontextprotocol/subscriptionId:i!"},
    {"Honoured", "toolsListChanged:b resourcesListChanged:b resourceSubscriptions:a taskIds:a"},
    {"notifications/tools/list_changed", "_meta:Subscribed!"},
    {"notifications/resources/list_changed", "_meta:Subscribed!"},
    {"notifications/resources/updated", "_meta:Subscribed! uri:s!"},
    {"notifications/progress", "progressToken:s! progress:n! total:n message:s"},
    {"notifications/tasks working",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! pollIntervalMs:i "
     "_meta:Followed!"},
    {"notifications/tasks input_required",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! pollIntervalMs:i "
     "inputRequests:o! _meta:Followed!"},
    {"notifications/tasks completed",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! pollIntervalMs:i "
     "result:tools/call! _meta:Followed!"},
    {"notifications/tasks failed",
     "taskId:s! status:s! statusMessage:s+ createdAt:t! lastUpdatedAt:t! ttlMs:z! pollIntervalMs:i "
     "error:Error! _meta:Followed!"},
    {"notifications/tasks cancelled",
     "taskId:s! status:s! statusMessage:s createdAt:t! lastUpdatedAt:t! ttlMs:z! pollIntervalMs:i "
     "_meta:Followed!"},
    {"Followed", "io.modelcontextprotocol/subscriptionId:i! dev.taper/remaining:o"},
};

constexpr std::pair<TaskStatus, std::string_view> kStates[] = {
    {TaskStatus::working, "working"},     {TaskStatus::input_required, "input_required"},
    {TaskStatus::completed, "completed"}, {TaskStatus::failed, "failed"},
    {TaskStatus::cancelled, "cancelled"},
};

bool is_time(std::string_view value) {
  const std::string text = read_string(value).value_or("");
  return text.size() == 20 && text[10] == 'T' && text.back() == 'Z';
}

void check(std::string_view shape, std::string_view value, Said said);

void check_type(std::string_view type, std::string_view value, Said said) {
  const Kind kind = kind_of(value);
  if (type.starts_with("[]")) {
    REQUIRE(kind == Kind::array);
    for (const std::string_view item : read_array(value)) check(type.substr(2), item, said);
    return;
  }
  if (type.size() > 1) return check(type, value, said);
  switch (type[0]) {
    case 's': CHECK(kind == Kind::string); break;
    case 't': CHECK(is_time(value)); break;
    case 'i': CHECK(read_integer(value)); break;
    case 'z':
      CHECK((said == Said::least ? value == "null" : read_integer(value).has_value()));
      break;
    case 'n': CHECK(kind == Kind::number); break;
    case 'b': CHECK(kind == Kind::boolean); break;
    case 'o': CHECK(kind == Kind::object); break;
    case 'a': CHECK(kind == Kind::array); break;
    default: CHECK(type == "*");
  }
}

// The object has what it must have; in `most` everything, in `least` nothing more.
void check(std::string_view name, std::string_view value, Said said) {
  const auto* const shape = std::find_if(std::begin(kShapes), std::end(kShapes),
                                         [&](const Shape& one) { return one.name == name; });
  INFO(name << ": " << value);
  REQUIRE(shape != std::end(kShapes));
  const std::optional<Object> object = Object::read(value);
  REQUIRE(object);
  std::size_t known = 0;
  for (std::string_view rest = shape->fields; !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    std::string_view field = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const bool always = field.ends_with('!') || field.ends_with('+');
    if (always) field.remove_suffix(1);
    const std::size_t colon = field.rfind(':');
    INFO(field);
    const auto found = object->find(field.substr(0, colon));
    CHECK(found.has_value() == (always || said == Said::most));
    if (!found) continue;
    ++known;
    check_type(field.substr(colon + 1), *found, said);
  }
  CHECK(known == object->members().size());
}

// The line's frame, and what stands in it.
void check_line(std::string_view name, std::string_view line, Said said) {
  INFO(name << ": " << line);
  const std::optional<Object> object = Object::read(line);
  REQUIRE(object);
  const bool told = object->find("method").has_value();
  if (name == "old/notifications/tools/list_changed") return check("Bare", line, said);
  check(told ? "Told" : "Frame", line, said);
  const auto body = object->find(told ? "params" : "result");
  REQUIRE(body);
  check(name, *body, said);
}

struct Sender {
  Said said;
  bool modern;
  Peer peer;
  Server server{Identity{"taper", "", "1.0", "", 0}, peer.backend, [this](std::string_view line) {
                  least.emplace_back(line.substr(0, line.size() - 1));
                }};
  std::vector<std::string> least;

  Sender(Said what, bool is_modern) : said(what), modern(is_modern) {
    server_of().feed(legacy("initialize", R"("protocolVersion":"2025-11-25","capabilities":{},)"
                                          R"("clientInfo":{"name":"c","version":"1"})") +
                     "\n");
  }
  bool most() const { return said == Said::most; }
  // The one that has nothing to say of itself, or the other.
  Server& server_of() { return most() ? peer.server : server; }
  std::string last() const { return most() ? peer.sent.back() : least.back(); }
  std::size_t sent() const { return most() ? peer.sent.size() : least.size(); }

  std::string ask(std::string_view method, std::string_view params = {}) {
    const std::string line =
        modern ? mcp::modern(method, params, kTasks, 1, R"("progressToken":"p")")
               : legacy(method, std::string(params) + (params.empty() ? "" : ",") +
                                    R"("_meta":{"progressToken":"p"})");
    server_of().feed(line + "\n");
    return last();
  }
  template <class T>
  std::string answered(std::map<Number, Done<T>>& where, Outcome<T> outcome) {
    REQUIRE(where.contains(peer.backend.last));
    where.at(peer.backend.last)(std::move(outcome));
    return last();
  }
  template <class Act>
  std::string told(Act act) {
    const std::size_t before = sent();
    act(server_of());
    REQUIRE(sent() > before);
    return last();
  }

  Json remaining() const { return most() ? json(R"({"calls":3})") : Json(); }
  ToolResult result() const {
    if (!most()) return {};
    ToolResult out;
    out.content = text_content("x");
    out.structured = json(R"({"a":1})");
    out.remaining = remaining();
    return out;
  }
  TaskRecord task(TaskStatus status) const {
    TaskRecord out;
    out.id = "t-1";
    out.status = status;
    if (status == TaskStatus::completed) out.payload = result();
    if (status == TaskStatus::failed)
      out.payload = RpcError{7, "gone", most() ? json("{}") : Json()};
    if (status == TaskStatus::input_required) out.payload = json("{}");
    if (!most()) return out;
    out.message = "so it stands";
    out.ttl_ms = 60'000;
    out.poll_ms = 1000;
    out.remaining = remaining();
    return out;
  }
  // More than one page where everything is said.
  template <class T>
  Listed<T> listed(const T& one) const {
    Listed<T> out{{}, 5};
    for (int i = 0; i < (most() ? 65 : 1); ++i) {
      out.items.push_back(one);
      out.items.back().name += std::to_string(i);
    }
    return out;
  }
  Tool tool() const {
    const Json schema = json(R"({"type":"object"})");
    if (!most()) return {"t", "", "", schema, {}, {}, TaskSupport::forbidden};
    return {"t", "T", "d", schema, schema, json("{}"), TaskSupport::required};
  }
  Resource resource() const {
    if (!most()) return {"a:b", "n", "", "", ""};
    return {"a:b", "n", "T", "d", "text/plain"};
  }
  ReadResource read() const {
    return {{{"a:b", most() ? "text/plain" : "", std::string("x")}}, 5, remaining()};
  }
};

struct Each {
  Said said;
  std::string era;
  void operator()(std::string_view name, const std::string& line) const {
    check_line(era + std::string(name), line, said);
  }
};

void lists_and_calls(Sender& sender, const Each& holds) {
  FakeBackend& backend = sender.peer.backend;
  sender.ask("tools/list");
  holds("tools/list", sender.answered<Listed<Tool>>(backend.tools, sender.listed(sender.tool())));
  sender.ask("tools/call", R"("name":"t")");
  const Number number = backend.last;
  holds("notifications/progress", sender.told([&](Server& server) {
    server.progress(number, sender.most() ? Progress{1, 2.0, "m"} : Progress{1, {}, ""});
  }));
  holds("tools/call", sender.answered<Called>(backend.calls, Called(sender.result())));
  sender.ask("resources/list");
  holds("resources/list",
        sender.answered<Listed<Resource>>(backend.lists, sender.listed(sender.resource())));
  sender.ask("resources/templates/list");
  holds("resources/templates/list",
        sender.answered<Listed<Resource>>(backend.lists, sender.listed(sender.resource())));
  sender.ask("resources/read", R"("uri":"a:b")");
  holds("resources/read", sender.answered<ReadResource>(backend.reads, sender.read()));
  holds("prompts/list", sender.ask("prompts/list"));
}

TEST_CASE("2025-11-25: each message has its fields and no others", "[mcp]") {
  const Said said = GENERATE(Said::least, Said::most);
  Sender sender(said, false);
  FakeBackend& backend = sender.peer.backend;
  const Each holds{said, "old/"};
  holds("initialize", sender.last());
  holds("ping", sender.ask("ping"));
  lists_and_calls(sender, holds);
  sender.ask("resources/subscribe", R"("uri":"a:b")");
  holds("resources/subscribe",
        sender.answered<Interests>(backend.subscriptions, Interests{false, false, {"a:b"}, {}}));
  holds("notifications/resources/updated",
        sender.told([](Server& server) { server.resource_updated("a:b"); }));
  holds("notifications/tools/list_changed",
        sender.told([](Server& server) { server.tools_changed(); }));
  sender.ask("tools/call", R"("name":"t","task":{})");
  holds("task", sender.answered<Called>(backend.calls, Called(sender.task(TaskStatus::working))));
  sender.ask("tasks/get", R"("taskId":"t-1")");
  holds("tasks/get", sender.answered<TaskRecord>(backend.tasks, sender.task(TaskStatus::working)));
  holds("notifications/tasks/status", sender.told([&](Server& server) {
    server.task_changed(sender.task(TaskStatus::completed));
  }));
  sender.ask("tasks/result", R"("taskId":"t-1")");
  holds("tasks/result",
        sender.answered<TaskRecord>(backend.tasks, sender.task(TaskStatus::completed)));
  sender.ask("tasks/cancel", R"("taskId":"t-1")");
  holds("tasks/cancel",
        sender.answered<TaskRecord>(backend.tasks, sender.task(TaskStatus::cancelled)));
}

TEST_CASE("2026-07-28 and its tasks: each message has its fields and no others", "[mcp]") {
  const Said said = GENERATE(Said::least, Said::most);
  Sender sender(said, true);
  FakeBackend& backend = sender.peer.backend;
  const Each holds{said, ""};
  holds("server/discover", sender.ask("server/discover"));
  lists_and_calls(sender, holds);
  sender.ask("tools/call", R"("name":"t")");
  holds("task", sender.answered<Called>(backend.calls, Called(sender.task(TaskStatus::working))));
  sender.server_of().feed(modern("tools/call", R"("name":"t")", R"({"elicitation":{}})") + "\n");
  const Json requests = json(sender.most() ? R"({"1/k":{"method":"elicitation/create"}})" : "{}");
  holds("tools/call input_required",
        sender.answered<Called>(backend.calls,
                                Called(InputRequired{requests, "0a", sender.remaining()})));
  for (const auto& [status, name] : kStates) {
    sender.ask("tasks/get", R"("taskId":"t-1")");
    const std::string line = sender.answered<TaskRecord>(backend.tasks, sender.task(status));
    holds("tasks/get " + std::string(name), line);
    CHECK(line.find(R"("status":")" + std::string(name) + "\"") != line.npos);
  }
  sender.ask("tasks/update", R"("taskId":"t-1","inputResponses":{})");
  holds("tasks/update", sender.answered<std::monostate>(backend.updates, std::monostate()));
  sender.ask("tasks/cancel", R"("taskId":"t-1")");
  holds("tasks/cancel",
        sender.answered<TaskRecord>(backend.tasks, sender.task(TaskStatus::cancelled)));
}

TEST_CASE("2026-07-28: what a subscription is told has its fields and no others", "[mcp]") {
  const Said said = GENERATE(Said::least, Said::most);
  Sender sender(said, true);
  FakeBackend& backend = sender.peer.backend;
  const Each holds{said, ""};
  const auto listen = [&](std::string_view filter) {
    sender.ask("subscriptions/listen", R"("notifications":{)" + std::string(filter) + "}");
  };
  listen(said == Said::least ? ""
                             : R"("toolsListChanged":true,"resourcesListChanged":true,)"
                               R"("resourceSubscriptions":["a:b"],"taskIds":["t-1"])");
  holds("notifications/subscriptions/acknowledged",
        sender.answered<Interests>(backend.subscriptions, Interests{true, true, {"a:b"}, {"t-1"}}));
  holds("subscriptions/listen", sender.told([](Server& server) { server.end_subscriptions(); }));
  listen(R"("toolsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a:b"],)"
         R"("taskIds":["t-1"])");
  sender.answered<Interests>(backend.subscriptions, Interests{true, true, {"a:b"}, {"t-1"}});
  const auto first = [&](auto act) {
    const std::size_t before = sender.sent();
    act(sender.server_of());
    const auto& lines = sender.most() ? sender.peer.sent : sender.least;
    REQUIRE(lines.size() > before);
    return lines[before];  // before what legacy clients are told, too
  };
  holds("notifications/tools/list_changed", first([](Server& server) { server.tools_changed(); }));
  holds("notifications/resources/list_changed",
        first([](Server& server) { server.resources_changed(); }));
  holds("notifications/resources/updated",
        first([](Server& server) { server.resource_updated("a:b"); }));
}

TEST_CASE("2026-07-28: what a task's subscriber is told has its fields and no others", "[mcp]") {
  const Said said = GENERATE(Said::least, Said::most);
  for (const auto& [status, name] : kStates) {
    Sender sender(said, true);
    sender.ask("subscriptions/listen", R"("notifications":{"taskIds":["t-1"]})");
    sender.answered<Interests>(sender.peer.backend.subscriptions,
                               Interests{false, false, {}, {"t-1"}});
    const TaskRecord task = sender.task(status);
    const std::string line = sender.told([&](Server& server) { server.task_changed(task); });
    check_line("notifications/tasks " + std::string(name), line, said);
    CHECK(line.find(R"("status":")" + std::string(name) + "\"") != line.npos);
  }
}

TEST_CASE("an error has its fields and no others", "[mcp]") {
  const Said said = GENERATE(Said::least, Said::most);
  for (const bool modern : {false, true}) {
    Sender sender(said, modern);
    sender.ask("tools/call", R"("name":"t")");
    const Outcome<Called> outcome = RpcError{7, "no", said == Said::most ? json("{}") : Json()};
    check("Failure", sender.answered<Called>(sender.peer.backend.calls, outcome), said);
    if (said == Said::least) continue;
    sender.ask("tools/list");
    check("Failure",
          sender.answered<Listed<Tool>>(sender.peer.backend.tools, Denial{504, "no", json("{}")}),
          said);
  }
}

}  // namespace
}  // namespace taper::mcp
