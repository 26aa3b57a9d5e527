#include "runtime/upstream/value.h"

#include <catch2/catch.hpp>

#include "runtime/base/limits.h"
#include "runtime/upstream/definition.h"
#include "runtime/upstream/errors.h"
#include "runtime/upstream/lines.h"
#include "runtime/upstream/message.h"
#include "runtime/upstream/result.h"

using namespace taper;
using namespace taper::upstream;

TEST_CASE("strict JSON has no name twice, at any depth", "[upstream]") {
  for (const char* good :
       {"{}", "[1,{\"a\":1},{\"a\":2}]", R"({"a":{"a":{"a":1}},"b":1})", "\"x\"", " 1 "}) {
    CAPTURE(good);
    CHECK(is_strict_json(good));
  }
  for (const char* bad :
       {"", "{", "1 2", "{\"a\":1,}", R"({"a":1,"a":1})", R"([{"b":[{"a":1,"\u0061":2}]}])",
        R"({"a":1,"b":{},"a":{}})", "\"\xc3\"", "// x\n1", "[NaN]", "{\"a\":1 \"b\":2}"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_strict_json(bad));
  }
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(is_strict_json(nested(limits::kUpstreamJsonDepthMax)));
  CHECK_FALSE(is_strict_json(nested(limits::kUpstreamJsonDepthMax + 1)));
}

TEST_CASE("how deep a text is nested, whatever its strings hold", "[upstream]") {
  CHECK(depth_of("1") == 0);
  CHECK(depth_of("[]") == 1);
  CHECK(depth_of(R"({"a":[{"b":"[[[["}],"c\"[[[":{}})") == 3);
  CHECK(depth_of(R"(["\\",[["x"]]])") == 3);
  CHECK(depth_of("]]]]") == 0);
}

TEST_CASE("a result's _meta is bounded, and names nothing that is reserved", "[upstream]") {
  const auto meta = [](const std::string& given) {
    const auto result = read_call_result(R"({"content":[],"_meta":)" + given + "}");
    REQUIRE(result.ok());
    const std::string& text = std::get<std::string>(result->fields.front().value);
    const std::size_t at = text.find("\"_meta\":");
    return at == text.npos ? "" : text.substr(at + 8);
  };
  CHECK(meta(R"({"a":1,"b.c/d":[2]})") == R"({"a":1,"b.c/d":[2]}})");
  for (const char* name :
       {"io.modelcontextprotocol/related-task", "dev.taper/denial", "dev.taper.x/y", "dev.mcp/",
        "org.modelcontextprotocol.api/x", "com.mcp.tools/x", "mcp.dev/x", "modelcontextprotocol/x",
        "dev.taper/a/b"}) {
    CAPTURE(name);
    CHECK(meta("{\"" + std::string(name) + R"(":1})").empty());
  }
  for (const char* name :
       {"dev.taper", "mcp", "com.example.mcp/x", "dev.tapers/x", "/x", "progressToken"}) {
    CAPTURE(name);
    CHECK_FALSE(meta("{\"" + std::string(name) + R"(":1})").empty());
  }
  CHECK(meta(R"({"a":")" + std::string(limits::kUpstreamMetaBytesMax, 'x') + "\"}").empty());
}

TEST_CASE("values are the same whatever their spelling", "[upstream]") {
  CHECK(canonical(R"({ "b" : [ 1.0, 2e0 , -0.5 ], "a" : "\u0041\n\u00e9" })") ==
        canonical("{\"a\":\"A\\n\xc3\xa9\",\"b\":[1,2,-5e-1]}"));
  CHECK(canonical("18446744073709551615") == "18446744073709551615");
  CHECK(canonical("[-9223372036854775808, -0, -0.0, 1E2]") == "[-9223372036854775808,0,0,100]");
  // Rounded as a reader of one text and of the other must: to the same double.
  for (const char* number : {"18446744973704073709551619551615", "0.1e-7", "123456789.125e300"}) {
    const std::optional<std::string> once = canonical(number);
    REQUIRE(once);
    CHECK(canonical(*once) == once);
  }
  CHECK(canonical("0.30000000000000004") != canonical("0.3"));
  CHECK(canonical(R"({"":{"":1}, "b":[[],{}]})") == R"({"":{"":1},"b":[[],{}]})");
  CHECK(canonical("[true,false,null,{}]") == "[true,false,null,{}]");
  CHECK(canonical("1") != canonical("\"1\""));
  CHECK(canonical("[1,2]") != canonical("[2,1]"));
  CHECK(canonical("9007199254740993") != canonical("9007199254740992"));
  CHECK_FALSE(canonical("[1e999]"));
}

TEST_CASE("lines are cut wherever they come apart", "[upstream]") {
  for (const std::size_t part : {1U, 2U, 3U, 100U}) {
    LineBuffer lines;
    std::vector<std::string> out;
    const std::string all = "one\n\ntwo\r\nthree\nno";
    for (std::size_t at = 0; at < all.size(); at += part) {
      lines.feed(std::string_view(all).substr(at, part));
      while (const auto line = lines.next()) out.push_back(line->text);
    }
    CHECK(out == std::vector<std::string>{"one", "", "two\r", "three"});
  }
}

TEST_CASE("an overlong line is told once and not kept", "[upstream]") {
  const std::size_t most = limits::kUpstreamLineBytesMax;
  for (const std::size_t size : {most, most + 1, 3 * most}) {
    for (const std::size_t part : {std::size_t{64 * 1024}, 10 * most}) {
      CAPTURE(size, part);
      LineBuffer lines;
      std::vector<Line> out;
      const std::string all = "a\n" + std::string(size, 'x') + "\nb\n";
      for (std::size_t at = 0; at < all.size(); at += part) {
        lines.feed(std::string_view(all).substr(at, part));
        while (const auto line = lines.next()) out.push_back(*line);
        CHECK_FALSE(lines.full());
      }
      REQUIRE(out.size() == 3);
      CHECK(out[1].overlong == (size > most));
      CHECK(out[1].text.size() == (size > most ? 0 : size));
      CHECK(out[2].text == "b");
    }
  }
}

TEST_CASE("messages of JSON-RPC are told apart", "[upstream]") {
  const auto kind = [](const std::string& text) {
    const auto messages = read_messages(text, Batches::refused);
    return messages ? static_cast<int>(messages->front().kind) : -1;
  };
  CHECK(kind(R"({"jsonrpc":"2.0","id":1,"result":{}})") == int(Message::Kind::result));
  CHECK(kind(R"( {"jsonrpc":"2.0","id":"1","error":{"code":-1,"message":"x"}} )") ==
        int(Message::Kind::error));
  CHECK(kind(R"({"jsonrpc":"2.0","id":1,"method":"x"})") == int(Message::Kind::request));
  CHECK(kind(R"({"jsonrpc":"2.0","method":"x","params":{}})") == int(Message::Kind::notification));
  for (const char* bad :
       {R"({"id":1,"result":{}})", R"({"jsonrpc":"2.0"})", R"({"jsonrpc":"2.0","id":1})",
        R"({"jsonrpc":"2.0","result":{}})", R"({"jsonrpc":"2.0","id":null,"result":{}})",
        R"({"jsonrpc":"2.0","id":[],"result":{}})", R"({"jsonrpc":"2.0","id":1,"error":{}})",
        R"({"jsonrpc":"2.0","id":1,"error":{"code":"1"}})", R"({"jsonrpc":"2.0","id":1,"error":1})",
        R"({"jsonrpc":"2.0","id":1,"method":"x","result":{}})",
        R"({"jsonrpc":"2.0","id":null,"method":"x"})", R"({"jsonrpc":"2.0","id":1,"method":1})",
        R"([{"jsonrpc":"2.0","method":"x"}])", "1", "null"}) {
    CAPTURE(bad);
    CHECK(kind(bad) == -1);
  }
  const std::string two =
      R"([{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":1,"result":{}}])";
  const auto batch = read_messages(two, Batches::taken);
  REQUIRE(batch);
  CHECK(batch->size() == 2);
  CHECK_FALSE(read_messages(R"([{"jsonrpc":"2.0","method":"x"},1])", Batches::taken));
  CHECK_FALSE(read_messages("[]", Batches::taken));
}

TEST_CASE("a definition is compared by value, member by member", "[upstream][R18]") {
  const auto offered = [](const std::string& text) {
    auto read = read_definition(text);
    REQUIRE(read.ok());
    return *read;
  };
  const std::string schema = R"("inputSchema":{"type":"object","maxProperties":1})";
  const auto same = [&](const std::string& text, const std::string& pinned) {
    const Status status = same_definition(offered(text), pinned);
    return status.ok() ? "" : status.error().detail().field;
  };
  const std::string plain = R"({"name":"a",)" + schema + "}";
  CHECK(same(plain, plain).empty());
  CHECK(same(R"({"inputSchema": {"maxProperties": 1.0, "type": "object"}, "name": "\u0061",
                 "title": null, "icons": [], "execution": {}})",
             plain)
            .empty());
  CHECK(same(plain, R"({"name":"a","title":"A",)" + schema + "}") == "title");
  CHECK(same(R"({"name":"a","annotations":{},)" + schema + "}", plain) == "annotations");
  CHECK(same(R"({"name":"a","outputSchema":{},)" + schema + "}", plain) == "outputSchema");
  CHECK(same(R"({"name":"a","description":"",)" + schema + "}", plain) == "description");
  CHECK(same(R"({"name":"a","inputSchema":{"maxProperties":1e999}})",
             R"({"name":"a","inputSchema":{"maxProperties":2e999}})") == "inputSchema");
  CHECK(same_definition(offered(plain), "[]").code() == Code::tool_input);
  CHECK(same_definition(offered(plain), "").code() == Code::tool_input);
  for (const char* bad :
       {"[]", "{}", R"({"name":"","inputSchema":{}})", R"({"name":"a"})",
        R"({"name":"a","inputSchema":[]})", R"({"name":"a","inputSchema":{},"title":1})",
        R"({"name":"a","inputSchema":{},"annotations":[]})"}) {
    CAPTURE(bad);
    CHECK(read_definition(bad).code() == Code::upstream_broken);
  }
}

TEST_CASE("a failure's text is cut at a whole character", "[upstream]") {
  std::string text;
  for (int i = 0; i < 1500; ++i) text += "\xc3\xa9";
  const auto result =
      read_call_result(R"({"content":[{"type":"text","text":"x)" + text + R"("}],"isError":true})");
  REQUIRE(result.ok());
  CHECK(std::get<std::string>(result->fields.back().value) == "x" + text.substr(0, 2044) + "…");
  CHECK(one_line("a\nb\xc3\xa9", 5) == "a b\xc3\xa9");
  CHECK(one_line("a\nb\xc3\xa9z", 5) == "a …");
  CHECK(one_line("a\nb\xc3\xa9z\xc3\xa9", 7) == "a b…");
}
