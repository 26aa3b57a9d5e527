// 2024-11-05 to 2025-11-25: opening, and what each revision knows.
#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

const std::vector<std::string> kAll = {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"};

std::string opened(Peer& peer, std::string_view version) {
  return peer.ask(
      legacy("initialize", R"("protocolVersion":")" + std::string(version) +
                               R"(","capabilities":{},"clientInfo":{"name":"c","version":"1"})"));
}

TEST_CASE("initialize agrees on a revision", "[mcp]") {
  const std::string capabilities =
      R"("tools":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true})";
  const std::string tasks = R"(,"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}})";
  for (const std::string& version : kAll) {
    Peer peer;
    const bool titled = version >= "2025-06-18";
    CHECK(opened(peer, version) ==
          result(R"({"protocolVersion":")" + version + R"(","capabilities":{)" + capabilities +
                 (version == "2025-11-25" ? tasks : "") + R"(},"serverInfo":{"name":"taper",)" +
                 (titled ? R"("title":"Taper",)" : "") +
                 R"("version":"1.0"},"instructions":"Ask for little."})"));
  }
  for (const char* other : {"2026-07-28", "2099-01-01", "1", ""}) {
    Peer peer;
    CHECK(opened(peer, other).find(R"("protocolVersion":"2025-11-25")") != std::string::npos);
  }
}

TEST_CASE("initialize needs what it needs", "[mcp]") {
  const std::string bad =
      error(-32602, "protocolVersion, capabilities and clientInfo are required");
  for (
      const char* params :
      {"", R"("protocolVersion":7,"capabilities":{},"clientInfo":{"name":"c","version":"1"})",
       R"("protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"})",
       R"("protocolVersion":"2025-11-25","capabilities":[],"clientInfo":{"name":"c","version":"1"})",
       R"("protocolVersion":"2025-11-25","capabilities":{})",
       R"("protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c"})",
       R"("protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":1,"version":"1"})"}) {
    Peer peer;
    CHECK(peer.ask(legacy("initialize", params)) == bad);
    CHECK(peer.ask(legacy("tools/list")).find("-32602") != std::string::npos);
  }
}

TEST_CASE("both ways of opening work on one connection\\, in either order", "[mcp]") {
  Peer discovered;
  CHECK(discovered.ask(modern("server/discover")).find("supportedVersions") != std::string::npos);
  CHECK(opened(discovered, "2025-11-25").find("serverInfo") != std::string::npos);
  discovered.ask(legacy("tools/list"));
  CHECK(discovered.reply<Listed<Tool>>(discovered.backend.tools, Listed<Tool>{}) ==
        result(R"({"tools":[]})"));
  Peer initialized;
  initialized.open("2025-06-18");
  CHECK(initialized.ask(modern("server/discover")).find("supportedVersions") != std::string::npos);
  initialized.ask(modern("tools/list"));
  CHECK(initialized.reply<Listed<Tool>>(initialized.backend.tools, Listed<Tool>{})
            .find("resultType") != std::string::npos);
  initialized.ask(legacy("tools/list"));
  CHECK(initialized.reply<Listed<Tool>>(initialized.backend.tools, Listed<Tool>{}) ==
        result(R"({"tools":[]})"));
}

TEST_CASE("before it is opened only ping is answered", "[mcp]") {
  Peer peer;
  CHECK(peer.ask(legacy("ping")) == result("{}"));
  for (const char* method : {"tools/list", "tools/call", "tasks/get", "no/such"}) {
    CHECK(
        peer.ask(legacy(method)) ==
        error(-32602,
              "_meta must have io.modelcontextprotocol/protocolVersion, or initialize come first"));
  }
}

TEST_CASE("each revision has its methods", "[mcp]") {
  for (const std::string& version : kAll) {
    Peer peer;
    peer.open(version);
    CAPTURE(version);
    const std::string none = error(-32601, "Method not found");
    for (const char* method :
         {"logging/setLevel", "tasks/list", "tasks/update", "subscriptions/listen",
          "completion/complete", "notifications/initialized", "no/such"}) {
      CHECK(peer.ask(legacy(method)) == none);
    }
    const bool tasks = version == "2025-11-25";
    for (const char* method : {"tasks/get", "tasks/result", "tasks/cancel"}) {
      CHECK((peer.ask(legacy(method)) == none) == !tasks);
    }
    CHECK(peer.ask(legacy("ping")) == result("{}"));
    CHECK(peer.ask(legacy("prompts/list")) == result(R"({"prompts":[]})"));
    CHECK(peer.ask(legacy("prompts/get", R"("name":"x")")) == error(-32602, "Unknown prompt"));
  }
}

TEST_CASE("a tool has the fields that its revision knows", "[mcp]") {
  const Tool tool{"t",
                  "T",
                  "d",
                  json(R"({"type":"object"})"),
                  json(R"({"type":"object"})"),
                  json(R"({"readOnlyHint":true})"),
                  TaskSupport::optional};
  const Tool list{"u", "", "", json(R"({"type":"object"})"), json(R"({"type":"array"})"), {}, {}};
  const std::string head = R"({"tools":[{"name":"t",)";
  const std::string body = R"("description":"d","inputSchema":{"type":"object"})";
  const std::string tail = R"(},{"name":"u","inputSchema":{"type":"object"}}]})";
  const std::string hint = R"(,"annotations":{"readOnlyHint":true})";
  const std::string out = R"(,"outputSchema":{"type":"object"})";
  const std::map<std::string, std::string> expected = {
      {"2024-11-05", body},
      {"2025-03-26", body + hint},
      {"2025-06-18", R"("title":"T",)" + body + out + hint},
      {"2025-11-25",
       R"("title":"T",)" + body + out + hint + R"(,"execution":{"taskSupport":"optional"})"},
  };
  for (const std::string& version : kAll) {
    Peer peer;
    peer.open(version);
    peer.ask(legacy("tools/list"));
    CHECK(peer.reply<Listed<Tool>>(peer.backend.tools, Listed<Tool>{{tool, list}, 1000}) ==
          result(head + expected.at(version) + tail));
  }
}

TEST_CASE("a result has the fields and blocks that its revision knows", "[mcp]") {
  ToolResult told;
  told.content = json(R"([{"type":"text","text":"x"},{"type":"audio","data":"","mimeType":"a/b"},)"
                      R"({"type":"resource_link","uri":"a:b","name":"n"}])");
  told.structured = json(R"({"s":1})");
  told.remaining = json(R"({"calls":3})");
  const std::string text = R"({"content":[{"type":"text","text":"x"},)";
  const std::string audio = R"({"type":"audio","data":"","mimeType":"a/b"},)";
  const std::string link = R"({"type":"resource_link","uri":"a:b","name":"n"}],)";
  const std::string link_text =
      R"({"type":"text","text":"{\"type\":\"resource_link\",\"uri\":\"a:b\",\"name\":\"n\"}"}],)";
  const std::string audio_text =
      R"({"type":"text","text":"{\"type\":\"audio\",\"data\":\"\",\"mimeType\":\"a/b\"}"},)";
  const std::string rest = R"("isError":false,"_meta":{"dev.taper/remaining":{"calls":3}}})";
  const std::string structured = R"("structuredContent":{"s":1},)";
  const std::map<std::string, std::string> expected = {
      {"2024-11-05", text + audio_text + link_text + rest},
      {"2025-03-26", text + audio + link_text + rest},
      {"2025-06-18", text + audio + link + structured + rest},
      {"2025-11-25", text + audio + link + structured + rest},
  };
  for (const std::string& version : kAll) {
    Peer peer;
    peer.open(version);
    peer.ask(legacy("tools/call", R"("name":"t","arguments":{})"));
    CHECK(peer.reply<Called>(peer.backend.calls, Called(told)) == result(expected.at(version)));
  }
  // What is no object cannot be structured content yet.
  Peer peer;
  peer.open("2025-11-25");
  peer.ask(legacy("tools/call", R"("name":"t")"));
  ToolResult bare;
  bare.structured = json("[1]");
  CHECK(peer.reply<Called>(peer.backend.calls, Called(bare)) ==
        result(R"({"content":[],"isError":false})"));
}

TEST_CASE("a denied call is a result in every revision", "[mcp]") {
  for (const std::string& version : kAll) {
    Peer peer;
    peer.open(version);
    peer.ask(legacy("tools/call", R"("name":"t")"));
    CHECK(peer.reply<Called>(peer.backend.calls, Denial{504, "no", {}}) ==
          result(R"({"content":[{"type":"text","text":"E504: no"}],"isError":true,)"
                 R"("_meta":{"dev.taper/denial":{"code":504}}})"));
    peer.ask(legacy("tools/call", R"("name":"t")"));
    CHECK(peer.reply<Called>(peer.backend.calls, Refusal::unknown_tool) ==
          error(-32602, "Unknown tool"));
    peer.ask(legacy("resources/read", R"("uri":"a:b")"));
    CHECK(peer.reply<ReadResource>(peer.backend.reads, Refusal::unknown_resource) ==
          R"({"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"Resource not found",)"
          R"("data":{"uri":"a:b"}}})");
  }
}

TEST_CASE("resources have the fields that their revision knows", "[mcp]") {
  for (const std::string& version : kAll) {
    Peer peer;
    peer.open(version);
    peer.ask(legacy("resources/list"));
    CHECK(peer.reply<Listed<Resource>>(
              peer.backend.lists, Listed<Resource>{{{"a:b", "n", "T", "", "text/plain"}}, 9}) ==
          result(R"({"resources":[{"uri":"a:b","name":"n",)" +
                 std::string(version >= "2025-06-18" ? R"("title":"T",)" : "") +
                 R"("mimeType":"text/plain"}]})"));
    peer.ask(legacy("resources/read", R"("uri":"a:b")"));
    CHECK(peer.reply<ReadResource>(peer.backend.reads,
                                   ReadResource{{{"a:b", "", std::string("x")}}, 9, {}}) ==
          result(R"({"contents":[{"uri":"a:b","text":"x"}]})"));
  }
}

TEST_CASE("progress has a message since 2025-03-26", "[mcp]") {
  for (const std::string& version : kAll) {
    Peer peer;
    peer.open(version);
    peer.ask(legacy("tools/call", R"("name":"t","_meta":{"progressToken":-3})"));
    CHECK(peer.during([&] { peer.server.progress(peer.backend.last, {1, 2.0, "m"}); }) ==
          R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":-3,)"
          R"("progress":1,"total":2)" +
              std::string(version > "2024-11-05" ? R"(,"message":"m")" : "") + "}}");
  }
}

TEST_CASE("batches are served in 2025-03-26\\, where they are legal\\, and nowhere else", "[mcp]") {
  const std::string batch = "[" + legacy("ping", "", 1) + "," +
                            R"({"jsonrpc":"2.0","method":"notifications/x"},7,)" +
                            legacy("ping", "", 2) + "]";
  for (const std::string& version : kAll) {
    Peer peer;
    peer.open(version);
    if (version != "2025-03-26") {
      CHECK(peer.ask(batch) == R"({"jsonrpc":"2.0","error":{"code":-32600,)"
                               R"("message":"batches are not served"}})");
      continue;
    }
    CHECK(peer.ask(batch) == result("{}", 1) + "\n" +
                                 R"({"jsonrpc":"2.0","error":{"code":-32600,)"
                                 R"("message":"a message is an object"}})" +
                                 "\n" + result("{}", 2));
    CHECK(peer.ask("[" + modern("server/discover") + "]") == error(-32600, "not within a batch"));
    CHECK(peer.ask("[" + legacy("initialize") + "]") == error(-32600, "not within a batch"));
    const std::string bad = R"({"jsonrpc":"2.0","error":{"code":-32600,)"
                            R"("message":"a batch is empty or too long"}})";
    CHECK(peer.ask("[]") == bad);
    std::string many = "[1";
    for (int i = 0; i < 32; ++i) many += ",1";
    CHECK(peer.ask(many + "]") == bad);
  }
  Peer fresh;
  CHECK(fresh.ask("[" + legacy("ping") + "]").find("-32600") != std::string::npos);
}

}  // namespace
}  // namespace taper::mcp
