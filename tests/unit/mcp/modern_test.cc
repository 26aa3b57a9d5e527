// 2026-07-28: every field of what is sent, as the specification has it.
#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

TEST_CASE("server/discover tells revisions\\, capabilities and who serves", "[mcp]") {
  Peer peer;
  CHECK(peer.ask(modern("server/discover")) ==
        result(R"({"resultType":"complete","supportedVersions":["2026-07-28"],)"
               R"("capabilities":{"tools":{"listChanged":true},)"
               R"("resources":{"subscribe":true,"listChanged":true},)"
               R"("extensions":{"io.modelcontextprotocol/tasks":{}}},)"
               R"("instructions":"Ask for little.","ttlMs":0,"cacheScope":"private",)" +
               served() + "}"));
  CHECK(peer.backend.asked.empty());
}

TEST_CASE("each request says for itself what it speaks", "[mcp]") {
  Peer peer;
  const auto asked = [&](std::string_view method, std::string_view meta) {
    return peer.ask(legacy(method, meta.empty() ? "" : "\"_meta\":" + std::string(meta)));
  };
  const std::string_view version = R"("io.modelcontextprotocol/protocolVersion":"2026-07-28")";
  const std::string no_version =
      error(-32602, "_meta io.modelcontextprotocol/protocolVersion must be a string");
  const std::string no_capabilities =
      error(-32602, "_meta io.modelcontextprotocol/clientCapabilities must be an object");
  CHECK(asked("server/discover", "") == no_version);
  CHECK(asked("server/discover", "{}") == no_version);
  CHECK(asked("tools/list", R"({"io.modelcontextprotocol/protocolVersion":7})") == no_version);
  CHECK(asked("tools/list", "{" + std::string(version) + "}") == no_capabilities);
  for (const char* capabilities :
       {"null", "[]", "7", R"({"extensions":[]})", R"({"roots":{},"roots":{}})"}) {
    CHECK(asked("tools/list", "{" + std::string(version) +
                                  ",\"io.modelcontextprotocol/clientCapabilities\":" +
                                  capabilities + "}") == no_capabilities);
  }
  CHECK(
      peer.ask(modern("tools/list", "", R"({"extensions":{"io.modelcontextprotocol/tasks":1}})")) ==
      error(-32602, "the settings of an extension must be an object"));
  CHECK(peer.ask(modern("tools/list", "", "{}", 1, R"("io.modelcontextprotocol/clientInfo":1)")) ==
        error(-32602, "_meta io.modelcontextprotocol/clientInfo must be an object"));
  // Nothing is remembered from one request to the next.
  peer.ask(modern("server/discover"));
  CHECK(asked("tools/list", "") ==
        error(-32602,
              "_meta must have io.modelcontextprotocol/protocolVersion, or initialize come first"));
  CHECK(peer.backend.asked.empty());
}

TEST_CASE("an unknown revision is answered with those that are served", "[mcp]") {
  Peer peer;
  for (const char* version : {"1900-01-01", "2025-11-25", "", "2026-07-28 "}) {
    CHECK(peer.ask(legacy("tools/list", R"("_meta":{"io.modelcontextprotocol/protocolVersion":")" +
                                            std::string(version) + "\"}")) ==
          R"({"jsonrpc":"2.0","id":1,"error":{"code":-32022,)"
          R"("message":"Unsupported protocol version",)"
          R"("data":{"supported":["2026-07-28"],"requested":")" +
              std::string(version) + "\"}}}");
  }
}

TEST_CASE("what the revision removed is not there", "[mcp]") {
  Peer peer;
  for (const char* method :
       {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
        "tasks/list", "tasks/result", "completion/complete", "no/such", "",
        "notifications/cancelled", "Tools/List"}) {
    CAPTURE(method);
    CHECK(peer.ask(modern(method, "", kTasks)) == error(-32601, "Method not found"));
  }
  CHECK(peer.backend.asked.empty());
}

TEST_CASE("tools/list has every field of a tool", "[mcp]") {
  Peer peer;
  CHECK(peer.ask(modern("tools/list")).empty());
  Tool tool{"file.read",
            "Read",
            "reads a file",
            json(R"({"type":"object"})"),
            json(R"({"type":"array"})"),
            json(R"({"readOnlyHint":true})"),
            TaskSupport::required};
  Tool bare{"b", "", "", json(R"({"type":"object"})"), {}, {}, TaskSupport::forbidden};
  CHECK(peer.reply<Listed<Tool>>(peer.backend.tools, Listed<Tool>{{tool, bare}, 5000}) ==
        result(R"({"resultType":"complete","tools":[{"name":"file.read","title":"Read",)"
               R"("description":"reads a file","inputSchema":{"type":"object"},)"
               R"("outputSchema":{"type":"array"},"annotations":{"readOnlyHint":true}},)"
               R"({"name":"b","inputSchema":{"type":"object"}}],)"
               R"("ttlMs":5000,"cacheScope":"private",)" +
               served() + "}"));
}

TEST_CASE("lists come in pages behind opaque cursors", "[mcp]") {
  Peer peer;
  Listed<Tool> all;
  for (int i = 0; i < 130; ++i) {
    all.items.push_back(
        {"t" + std::to_string(i), "", "", json(R"({"type":"object"})"), {}, {}, {}});
  }
  const auto page = [&](std::string_view params) {
    const std::string now = peer.ask(modern("tools/list", params));
    if (!now.empty()) return now;
    return peer.reply<Listed<Tool>>(peer.backend.tools, Outcome<Listed<Tool>>(all));
  };
  const auto count = [](std::string_view text) {
    std::size_t tools = 0;
    for (std::size_t at = text.find("inputSchema"); at != text.npos;
         at = text.find("inputSchema", at + 1)) {
      ++tools;
    }
    return tools;
  };
  const std::string first = page("");
  CHECK(count(first) == 64);
  CHECK(first.find(R"("nextCursor":"743633")") != first.npos);  // t63
  CHECK(page(R"("cursor":"")") == first);
  const std::string second = page(R"("cursor":"743633")");
  CHECK(count(second) == 64);
  CHECK(second.find(R"([{"name":"t64")") != second.npos);
  const std::string third = page(R"("cursor":"74313237")");
  CHECK(count(third) == 2);
  CHECK(third.find("nextCursor") == third.npos);
  const std::string bad = error(-32602, "the cursor is not one of this list");
  for (const char* cursor : {R"("74")", R"("zz")", "7", "null", R"(["743633"])", R"("7436333")"}) {
    CHECK(page(R"("cursor":)" + std::string(cursor)) == bad);
  }
}

TEST_CASE("a call's arguments and _meta reach the backend as they stood", "[mcp]") {
  Peer peer;
  const std::string arguments = R"({ "b" : 1.50 ,"a":["é",{"b":1e2}], "b":123456789012345678901 })";
  const std::string line =
      R"({"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t","arguments":)" +
      arguments +
      R"(,"_meta":{"traceparent":"00-1-2-01", "io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
      R"("io.modelcontextprotocol/clientCapabilities":{} ,"progressToken":9}}})";
  CHECK(peer.ask(line).empty());
  REQUIRE(peer.backend.tool_calls.size() == 1);
  const ToolCall& call = peer.backend.tool_calls[0];
  CHECK(call.arguments == arguments);
  CHECK(call.meta ==
        R"({"traceparent":"00-1-2-01", "io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
        R"("io.modelcontextprotocol/clientCapabilities":{} ,"progressToken":9})");
  CHECK(call.wants_progress);
  CHECK(call.task == TaskWish::never);
  peer.ask(modern("tools/call", R"("name":"t","task":{"ttl":1})", kTasks));
  CHECK(peer.backend.tool_calls[1].arguments == "{}");
  CHECK(peer.backend.tool_calls[1].task == TaskWish::may);
  CHECK_FALSE(peer.backend.tool_calls[1].ttl_ms);
  CHECK_FALSE(peer.backend.tool_calls[1].wants_progress);
}

TEST_CASE("a call's result has every field", "[mcp]") {
  Peer peer;
  peer.ask(modern("tools/call", R"("name":"t")"));
  ToolResult told;
  told.content =
      json(R"([{"type":"text","text":"x"},{"type":"resource_link","uri":"a:b","name":"n"}])");
  told.structured = json("[1]");
  told.meta =
      json(R"({"com.example/a":{"b":1},"io.modelcontextprotocol/related-task":{"taskId":"x"},)"
           R"("dev.taper/denial":{"code":0},"plain":2})");
  told.remaining = json(R"({"calls":3})");
  CHECK(peer.reply<Called>(peer.backend.calls, Called(told)) ==
        result(R"({"resultType":"complete","content":[{"type":"text","text":"x"},)"
               R"({"type":"resource_link","uri":"a:b","name":"n"}],"structuredContent":[1],)"
               R"("isError":false,)" +
               served(R"("com.example/a":{"b":1},"plain":2,"dev.taper/remaining":{"calls":3})") +
               "}"));
}

TEST_CASE("a denied call is a result that the model can read", "[mcp]") {
  Peer peer;
  peer.ask(modern("tools/call", R"("name":"t")"));
  CHECK(peer.reply<Called>(peer.backend.calls,
                           Denial{504, "an argument is not allowed", json(R"({"calls":3})")}) ==
        result(R"({"resultType":"complete",)"
               R"("content":[{"type":"text","text":"E504: an argument is not allowed"}],)"
               R"("isError":true,)" +
               served(R"("dev.taper/denial":{"code":504},"dev.taper/remaining":{"calls":3})") +
               "}"));
  peer.ask(modern("tools/list"));
  CHECK(peer.reply<Listed<Tool>>(peer.backend.tools, Denial{401, "not now", {}}) ==
        R"({"jsonrpc":"2.0","id":1,"error":{"code":401,"message":"E401: not now",)"
        R"("data":{"dev.taper/denial":{"code":401}}}})");
}

TEST_CASE("unknown tools and resources are errors", "[mcp]") {
  Peer peer;
  const std::string unknown = error(-32602, "Unknown tool");
  peer.ask(modern("tools/call", R"("name":"other")"));
  CHECK(peer.reply<Called>(peer.backend.calls, Refusal::unknown_tool) == unknown);
  const std::size_t before = peer.backend.asked.size();
  CHECK(peer.ask(modern("tools/call", R"("name":"")")) == unknown);
  CHECK(peer.ask(modern("tools/call", R"("name":"a b")")) == unknown);
  CHECK(peer.ask(modern("tools/call", R"("name":"é")")) == unknown);
  CHECK(peer.ask(modern("tools/call", R"("name":")" + std::string(129, 'a') + "\"")) == unknown);
  CHECK(peer.backend.asked.size() == before);
  peer.ask(modern("resources/read", R"("uri":"a:\"b")"));
  CHECK(peer.reply<ReadResource>(peer.backend.reads, Refusal::unknown_resource) ==
        R"({"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Resource not found",)"
        R"("data":{"uri":"a:\"b"}}})");
}

TEST_CASE("errors of others never use the protocol's own numbers", "[mcp]") {
  Peer peer;
  const auto told = [&](std::int64_t code) {
    peer.ask(modern("tools/call", R"("name":"t")"));
    return peer.reply<Called>(peer.backend.calls, RpcError{code, "no", json("{\"a\":1}")});
  };
  for (const int code : {-32002, -32042, -32021, -32000, -32099}) {
    CHECK(told(code) == R"({"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"no",)"
                        R"("data":{"a":1}}})");
  }
  CHECK(told(-31999).find("-31999") != std::string::npos);
  CHECK(told(7).find("\"code\":7,") != std::string::npos);
}

TEST_CASE("resources\\, templates and prompts have every field", "[mcp]") {
  Peer peer;
  peer.ask(modern("resources/list"));
  const Listed<Resource> listed{{{"taper://task", "task", "Task", "what it may do", "text/plain"}},
                                9};
  const std::string rest =
      R"(,"name":"task","title":"Task","description":"what it may do","mimeType":"text/plain"}],)"
      R"("ttlMs":9,"cacheScope":"private",)" +
      served() + "}";
  CHECK(peer.reply<Listed<Resource>>(peer.backend.lists, listed) ==
        result(R"({"resultType":"complete","resources":[{"uri":"taper://task")" + rest));
  peer.ask(modern("resources/templates/list"));
  CHECK(peer.reply<Listed<Resource>>(peer.backend.lists, listed) ==
        result(R"({"resultType":"complete","resourceTemplates":[{"uriTemplate":"taper://task")" +
               rest));
  peer.ask(modern("resources/read", R"("uri":"taper://task")"));
  CHECK(peer.reply<ReadResource>(
            peer.backend.reads,
            ReadResource{{{"a:b", "text/plain", std::string("x\ny")}, {"a:c", "", Bytes{1, 2, 3}}},
                         7,
                         json("{}")}) ==
        result(R"({"resultType":"complete","contents":[{"uri":"a:b","mimeType":"text/plain",)"
               R"("text":"x\ny"},{"uri":"a:c","blob":"AQID"}],"ttlMs":7,"cacheScope":"private",)" +
               served(R"("dev.taper/remaining":{})") + "}"));
  CHECK(peer.ask(modern("prompts/list")) ==
        result(R"({"resultType":"complete","prompts":[],"ttlMs":0,"cacheScope":"private",)" +
               served() + "}"));
  CHECK(peer.ask(modern("prompts/get", R"("name":"x")")) == error(-32602, "Unknown prompt"));
}

TEST_CASE("progress carries the token as it stood\\, rises\\, and ends with the answer", "[mcp]") {
  Peer peer;
  peer.ask(modern("tools/call", R"("name":"t")", "{}", 1, R"("progressToken":"a\u0062")"));
  const Number number = peer.backend.last;
  const auto told = [&](Progress progress) {
    return peer.during([&] { peer.server.progress(number, progress); });
  };
  CHECK(told({0.5, 2.0, "half"}) ==
        R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a\u0062",)"
        R"("progress":0.5,"total":2,"message":"half"}})");
  CHECK(told({0.5, {}, ""}).empty());
  CHECK(told({0.1, {}, ""}).empty());
  CHECK(told({std::numeric_limits<double>::infinity(), {}, ""}).empty());
  CHECK(told({1, {}, ""}) ==
        R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a\u0062",)"
        R"("progress":1}})");
  peer.reply<Called>(peer.backend.calls, Called(ToolResult{}));
  CHECK(told({2, {}, ""}).empty());
  // Nobody asked for any.
  peer.ask(modern("tools/call", R"("name":"t")"));
  CHECK(peer.during([&] { peer.server.progress(peer.backend.last, {1, {}, ""}); }).empty());
}

}  // namespace
}  // namespace taper::mcp
