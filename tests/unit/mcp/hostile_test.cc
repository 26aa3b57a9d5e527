// What no client should send.
#include "runtime/base/limits.h"
#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

// An error whose id could not be read: it has none, never null.
std::string without_id(int code, std::string_view text) {
  return R"({"jsonrpc":"2.0","error":{"code":)" + std::to_string(code) + R"(,"message":")" +
         std::string(text) + R"("}})";
}

TEST_CASE("what is not JSON is answered and skipped", "[mcp]") {
  Peer peer;
  const std::string parse = without_id(-32700, "not JSON in UTF-8, or nested too deeply");
  for (const std::string& line : std::vector<std::string>{
           "x", "{", "{\"jsonrpc\":\"2.0\"", "\xff\xfe", "GET / HTTP/1.1",
           R"({"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\ud800"}})",
           std::string("\0", 1), std::string(100'000, '['),
           R"({"jsonrpc":"2.0","id":1,"method":"ping"}{})", "\xef\xbb\xbf{}"}) {
    CHECK(peer.ask(line) == parse);
  }
  CHECK(peer.ask("").empty());
  CHECK(peer.ask(" \t\r").empty());
  CHECK(peer.ask(legacy("ping") + "\r") == result("{}"));
}

TEST_CASE("what is no message is answered with what could be read of it", "[mcp]") {
  Peer peer;
  CHECK(peer.ask("7") == without_id(-32600, "a message is an object"));
  CHECK(peer.ask("null") == without_id(-32600, "a message is an object"));
  CHECK(peer.ask("{}") == without_id(-32600, "jsonrpc must be \\\"2.0\\\""));
  CHECK(peer.ask(R"({"id":5})") == error(-32600, "jsonrpc must be \\\"2.0\\\"", 5));
  CHECK(peer.ask(R"({"jsonrpc":2.0,"id":5,"method":"ping"})") ==
        error(-32600, "jsonrpc must be \\\"2.0\\\"", 5));
  CHECK(peer.ask(R"({"jsonrpc":"2.0","id":5})") == error(-32600, "there is no method", 5));
  for (const char* method : {"7", "null", "[]", "{}"}) {
    CHECK(peer.ask(R"({"jsonrpc":"2.0","id":5,"method":)" + std::string(method) + "}") ==
          error(-32600, "method must be a string, without a result", 5));
  }
  CHECK(peer.ask(R"({"jsonrpc":"2.0","id":5,"method":"ping","result":{}})") ==
        error(-32600, "method must be a string, without a result", 5));
  CHECK(peer.ask(R"({"jsonrpc":"2.0","id":5,"method":"ping","id":6})") ==
        without_id(-32600, "a name stands twice, or there are too many"));
  CHECK(peer.ask(R"({"jsonrpc":"2.0","id":5,"method":"ping","\u006dethod":"ping"})") ==
        without_id(-32600, "a name stands twice, or there are too many"));
}

TEST_CASE("an id is a short string or an integer and comes back as it stood", "[mcp]") {
  Peer peer;
  const auto ping = [&](std::string_view id) {
    return peer.ask(R"({"jsonrpc":"2.0","id":)" + std::string(id) + R"(,"method":"ping"})");
  };
  for (const char* good : {"0", "-0", "-7", "9007199254740993", "123456789012345678901234567890",
                           R"("")", R"("é")", R"("\u00e9\n\"")", R"("null")"}) {
    CHECK(ping(good) == R"({"jsonrpc":"2.0","id":)" + std::string(good) + R"(,"result":{}})");
  }
  for (const std::string& bad :
       std::vector<std::string>{"null", "1.0", "1e3", "1.5", "true", "[]", "{}", "[1]",
                                std::string(257, '1'), "\"" + std::string(255, 'a') + "\""}) {
    CHECK(ping(bad) == without_id(-32600, "id must be a string or an integer, and short"));
  }
}

TEST_CASE("params are an object", "[mcp]") {
  Peer peer;
  for (const char* params : {"null", "[]", "7", "\"x\"", R"({"a":1,"a":2})"}) {
    CHECK(peer.ask(R"({"jsonrpc":"2.0","id":1,"method":"ping","params":)" + std::string(params) +
                   "}") == error(-32602, "params must be an object without a name twice"));
  }
  for (const char* meta : {"null", "[]", "7", R"({"a":1,"a":2})"}) {
    CHECK(peer.ask(legacy("ping", R"("_meta":)" + std::string(meta))) ==
          error(-32602, "_meta must be an object without a name twice"));
  }
  for (const char* token : {"null", "1.5", "{}", "[]", "true"}) {
    CHECK(peer.ask(legacy("ping", R"("_meta":{"progressToken":)" + std::string(token) + "}")) ==
          error(-32602, "progressToken must be a string or an integer, and short"));
  }
}

TEST_CASE("a field of another type is an invalid parameter\\, in both eras", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  const std::vector<std::pair<std::string, std::string>> fields = {
      {"tools/call", R"("name":%)"},
      {"tools/call", R"("name":"t","arguments":%)"},
      {"tools/list", R"("cursor":%)"},
      {"resources/list", R"("cursor":%)"},
      {"resources/templates/list", R"("cursor":%)"},
      {"prompts/list", R"("cursor":%)"},
      {"resources/read", R"("uri":%)"},
      {"tasks/get", R"("taskId":%)"},
      {"tasks/cancel", R"("taskId":%)"},
  };
  for (const auto& [method, params] : fields) {
    for (const char* value : {"null", "7", "true", "[]", "[{}]"}) {
      std::string filled = params;
      filled.replace(filled.find('%'), 1, value);
      CAPTURE(method, filled);
      CHECK(peer.ask(legacy(method, filled)).find(R"("code":-32602)") != std::string::npos);
      CHECK(peer.ask(modern(method, filled, kTasks)).find(R"("code":-32602)") != std::string::npos);
    }
  }
  CHECK(peer.ask(legacy("tools/call", R"("arguments":{})")).find("-32602") != std::string::npos);
  CHECK(peer.ask(legacy("resources/read", R"("uri":")" + std::string(4097, 'a') + "\""))
            .find("-32602") != std::string::npos);
  CHECK(peer.ask(legacy("tools/call", R"("name":"t","arguments":{"a":")" +
                                          std::string(limits::kArgumentBytesMax, 'a') + "\"}")) ==
        error(-32602, "the arguments are too long"));
  CHECK(peer.backend.asked.empty());
}

TEST_CASE("deep arguments pass as far as arguments may go", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  const auto call = [&](std::size_t depth) {
    return peer.ask(legacy("tools/call", R"("name":"t","arguments":{"a":)" +
                                             std::string(depth, '[') + std::string(depth, ']') +
                                             "}"));
  };
  CHECK(call(limits::kJsonDepthMax).empty());
  CHECK(call(limits::kMcpJsonDepthMax) ==
        without_id(-32700, "not JSON in UTF-8, or nested too deeply"));
}

TEST_CASE("one id has one answer", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  CHECK(peer.ask(legacy("tools/call", R"("name":"t")")).empty());
  for (const std::string& again :
       {legacy("ping"), legacy("tools/call", R"("name":"u")"), modern("server/discover")}) {
    CHECK(peer.ask(again) == without_id(-32600, "a request with this id is unanswered"));
  }
  CHECK(peer.backend.tool_calls.size() == 1);
  CHECK(peer.reply<Called>(peer.backend.calls, Called(ToolResult{})) ==
        result(R"({"content":[],"isError":false})"));
  // A second answer is dropped, and the id is free.
  CHECK(peer.reply<Called>(peer.backend.calls, Called(ToolResult{})).empty());
  CHECK(peer.ask(legacy("ping")) == result("{}"));
}

TEST_CASE("unanswered requests are counted", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  int id = 0;
  for (std::size_t i = 0; i < limits::kMcpInFlightMax; ++i) {
    CHECK(peer.ask(legacy("tools/call", R"("name":"t")", ++id)).empty());
  }
  const std::size_t asked = peer.backend.asked.size();
  CHECK(peer.ask(legacy("tools/call", R"("name":"t")", 1000)) ==
        error(-32603, "too many requests are unanswered; wait for an answer", 1000));
  CHECK(peer.backend.asked.size() == asked);
  CHECK(peer.ask(legacy("ping", "", 1000)) == result("{}", 1000));
  peer.ask(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}})");
  CHECK(peer.ask(legacy("tools/call", R"("name":"t")", 1000)).empty());
}

TEST_CASE("a cancelled request is never answered", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  peer.ask(legacy("tools/call", R"("name":"t","_meta":{"progressToken":1})"));
  const Number number = peer.backend.last;
  const auto cancel = [&](std::string_view params) {
    return peer.ask(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":)" +
                    std::string(params) + "}");
  };
  for (const char* other :
       {R"({"requestId":2})", R"({"requestId":"1"})", R"({"requestId":null})",
        R"({"requestId":[1]})", "{}", "[]", "null", R"({"requestId":1,"requestId":1})"}) {
    CHECK(cancel(other).empty());
  }
  CHECK(peer.backend.asked.size() == 1);
  CHECK(cancel(R"({"requestId":1,"reason":"late"})").empty());
  CHECK(peer.backend.asked.back() == "cancel " + std::to_string(number));
  CHECK(cancel(R"({"requestId":1})").empty());
  CHECK(peer.backend.asked.size() == 2);
  CHECK(peer.during([&] { peer.server.progress(number, {1, {}, ""}); }).empty());
  CHECK(peer.reply<Called>(peer.backend.calls, Called(ToolResult{})).empty());
}

TEST_CASE("what needs no answer gets none and does nothing", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  for (const char* line :
       {R"({"jsonrpc":"2.0","method":"tools/call","params":{"name":"t"}})",
        R"({"jsonrpc":"2.0","method":"initialize","params":{}})",
        R"({"jsonrpc":"2.0","method":"notifications/no/such"})",
        R"({"jsonrpc":"2.0","method":"notifications/initialized","params":null})",
        R"({"jsonrpc":"2.0","method":"ping","params":{"a":1,"a":2}})",
        R"({"jsonrpc":"2.0","id":1,"result":{}})", R"({"jsonrpc":"2.0","id":1,"result":null})",
        R"({"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}})",
        R"({"jsonrpc":"2.0","id":null,"result":{}})"}) {
    CAPTURE(line);
    CHECK(peer.ask(line).empty());
  }
  CHECK(peer.backend.asked.empty());
  CHECK(peer.ask(R"({"jsonrpc":"2.0","id":1,"method":"notifications/initialized"})") ==
        error(-32601, "Method not found"));
}

TEST_CASE("a line without end is answered once and never kept", "[mcp]") {
  Peer peer;
  const std::string too_long = without_id(
      -32600, "the line is longer than " + std::to_string(limits::kMcpLineBytesMax) + " bytes");
  const std::string part(64 * 1024, ' ');
  CHECK(peer.during([&] {
    for (std::size_t sent = 0; sent <= 3 * limits::kMcpLineBytesMax; sent += part.size()) {
      peer.server.feed(part);
    }
  }) == too_long);
  CHECK(peer.during([&] { peer.server.feed(legacy("ping") + "\n"); }).empty());
  CHECK(peer.ask(legacy("ping")) == result("{}"));
  CHECK(peer.during([&] {
    peer.server.feed(std::string(limits::kMcpLineBytesMax + 1, ' ') + "\n" + legacy("ping") + "\n");
  }) == too_long + "\n" + result("{}"));
  std::string longest = legacy("ping");
  longest.append(limits::kMcpLineBytesMax - longest.size(), ' ');
  CHECK(peer.ask(longest) == result("{}"));
}

TEST_CASE("any cut of the input is the same input", "[mcp]") {
  const std::string input = legacy("ping", "", 1) + "\n\n" + legacy("ping", "", 2) + "\r\nx\n" +
                            legacy("ping", "", 3) + "\n" + legacy("ping", "", 4);
  Peer whole;
  whole.server.feed(input);
  CHECK(whole.sent.size() == 4);  // the last line has no end
  for (std::size_t size = 1; size < input.size(); ++size) {
    Peer peer;
    for (std::size_t at = 0; at < input.size(); at += size)
      peer.server.feed(input.substr(at, size));
    CHECK(peer.sent == whole.sent);
  }
}

TEST_CASE("the end of the input cancels what is unanswered and says nothing more", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  peer.ask(legacy("tools/call", R"("name":"t","task":{})", 1));
  peer.ask(legacy("tools/list", "", 2));
  peer.ask(legacy("resources/subscribe", R"("uri":"a:1")", 3));
  peer.reply<Interests>(peer.backend.subscriptions, Interests{false, false, {"a:1"}, {}});
  peer.ask(modern("subscriptions/listen", R"("notifications":{"toolsListChanged":true})", "{}", 4));
  peer.reply<Interests>(peer.backend.subscriptions, Interests{true, false, {}, {}});
  peer.server.feed(R"({"jsonrpc":"2.0")");
  peer.backend.asked.clear();
  CHECK(peer.during([&] { peer.server.close(); }).empty());
  CHECK(peer.backend.asked ==
        std::vector<std::string>{"cancel 1", "cancel 2", "unsubscribe 4", "unsubscribe 3"});
  CHECK(peer.during([&] {
              peer.server.feed(legacy("ping") + "\n");
              peer.server.tools_changed();
              peer.server.resource_updated("a:1");
              peer.server.end_subscriptions();
              peer.server.close();
              peer.backend.tools.at(2)(Listed<Tool>{});
            })
            .empty());
}

TEST_CASE("an answer after the connection is gone is nothing", "[mcp]") {
  FakeBackend backend;
  std::size_t sent = 0;
  {
    Server server({"taper", "", "1", "", 0}, backend, [&](std::string_view) { ++sent; });
    server.feed(legacy("ping") + "\n" + modern("tools/list", "", "{}", 2) + "\n");
  }
  CHECK(sent == 1);
  CHECK(backend.asked.back() == "cancel 1");
  backend.tools.at(1)(Listed<Tool>{});
  CHECK(sent == 1);
}

TEST_CASE("text of others cannot break a line", "[mcp]") {
  Peer peer;
  peer.ask(modern("tools/call", R"("name":"t")", kTasks));
  TaskRecord task;
  task.id = "a\nb\"";
  task.message = std::string("x\0y\r\n\xe2\x80\xa8", 8);
  const std::string line = peer.reply<Called>(peer.backend.calls, Called(task));
  CHECK(line.find('\n') == line.npos);  // and the sink has checked that it is JSON
  CHECK(line.find(R"("taskId":"a\nb\"")") != line.npos);
  peer.ask(modern("tools/call", R"("name":"t")", kTasks));
  task.id = "\xff";
  CHECK(peer.reply<Called>(peer.backend.calls, Called(task)).find(R"("taskId":"\\xff")") !=
        std::string::npos);
}

}  // namespace
}  // namespace taper::mcp
