#include "tools/taper/connect/clients.h"

#include <catch2/catch.hpp>

#include "tools/taper/connect/json_edit.h"

namespace taper::tools {
namespace {

const Entry kEntry{"taper", "/opt/taper", {"connect", "/a b/t.capsule", "--key", "/k\"q.key"}};

const Client& client(std::string_view name) {
  const Client* found = find_client(name);
  REQUIRE(found != nullptr);
  return *found;
}

std::string merged_text(std::string_view name, std::string_view text) {
  Result<std::optional<std::string>> made = merged(client(name), kEntry, text);
  REQUIRE(made.ok());
  REQUIRE(*made);
  return **made;
}

TEST_CASE("Each client's entry has that client's form", "[tools]") {
  const std::string args = R"(["connect", "/a b/t.capsule", "--key", "/k\"q.key"])";
  const std::string words = R"(["/opt/taper", "connect", "/a b/t.capsule", "--key", "/k\"q.key"])";
  const auto typed = [&](std::string_view servers) {
    return "{\n  \"" + std::string(servers) +
           "\": {\n    \"taper\": {\n      \"type\": \"stdio\",\n      \"command\": "
           "\"/opt/taper\",\n      \"args\": " +
           args + "\n    }\n  }\n}\n";
  };
  CHECK(snippet(client("claude"), kEntry) == typed("mcpServers"));
  CHECK(snippet(client("cursor"), kEntry) == typed("mcpServers"));
  CHECK(snippet(client("inspector"), kEntry) == typed("mcpServers"));
  CHECK(snippet(client("vscode"), kEntry) == typed("servers"));
  CHECK(snippet(client("gemini"), kEntry) ==
        "{\n  \"mcpServers\": {\n    \"taper\": {\n      \"command\": \"/opt/taper\",\n      "
        "\"args\": " +
            args + "\n    }\n  }\n}\n");
  CHECK(snippet(client("opencode"), kEntry) ==
        "{\n  \"mcp\": {\n    \"taper\": {\n      \"type\": \"local\",\n      \"command\": " +
            words + ",\n      \"enabled\": true\n    }\n  }\n}\n");
  CHECK(snippet(client("codex"), kEntry) ==
        "[mcp_servers.taper]\ncommand = \"/opt/taper\"\nargs = " + args + "\n");
  CHECK(find_client("emacs") == nullptr);
}

TEST_CASE("Merging keeps every other byte", "[tools]") {
  const std::string before =
      "{\n\t\"z\": [1,  2.50, 1e3],\n\t\"mcpServers\": {\n\t\t\"other\": "
      "{\"url\":\"x\\u0041\"}\n\t},"
      "\n\t\"a\": null\n}\n";
  const std::string after = merged_text("gemini", before);
  const std::size_t at = after.find(",\n\t\t\"taper\": {");
  REQUIRE(at != std::string::npos);
  const std::size_t end = after.find("\n\t\t}", at);
  REQUIRE(end != std::string::npos);
  CHECK(after.substr(0, at) + after.substr(end + 4) == before);
  // Once more changes nothing.
  const auto again = merged(client("gemini"), kEntry, after);
  REQUIRE(again.ok());
  CHECK_FALSE(*again);
}

TEST_CASE("An entry of the same name keeps its other settings", "[tools]") {
  const std::string after = merged_text(
      "claude",
      R"({"mcpServers": {"taper": {"command": "/old", "env": {"A": "b"}, "args": [1]}}, "x": 1})");
  CHECK(after ==
        R"({"mcpServers": {"taper": {"command": "/opt/taper", "env": {"A": "b"}, "args": )"
        R"(["connect", "/a b/t.capsule", "--key", "/k\"q.key"], "type": "stdio"}}, "x": 1})");
}

TEST_CASE("Opencode's newer form is kept where the file is of it", "[tools]") {
  CHECK(merged_text("opencode", R"({"mcp":{"servers":{"a":{}}}})")
            .starts_with(R"({"mcp":{"servers":{"a":{}, "taper": {"type": "local")"));
  CHECK(merged_text("opencode", R"({"mcp":{"servers":{"type":"local"}}})")
            .starts_with(R"({"mcp":{"servers":{"type":"local"}, "taper": {)"));
}

TEST_CASE("Lines end as the file's do", "[tools]") {
  CHECK(with_member("{\r\n  \"a\": 1\r\n}\r\n", {}, "b", "2") ==
        "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n");
  CHECK(with_member("{}", {}, "b", "2") == "{\n  \"b\": 2\n}");
  CHECK(with_member(R"({"a":{}})", std::vector<std::string>{"a", "c"}, "b", "2") ==
        "{\"a\":{\n  \"c\": {\n    \"b\": 2\n  }\n}}");
}

TEST_CASE("What cannot be parsed, or would lose something, is left alone", "[tools]") {
  for (const std::string_view text :
       {"{ // comment\n}", "{\"a\":1,}", "[]", "{\"mcpServers\":[]}", "{\"mcpServers\":null}",
        "{\"mcpServers\":{\"taper\":\"x\"}}", "{\"a\":1,\"a\":2}", "\xEF\xBB\xBF{}", "{} {}"}) {
    INFO(text);
    CHECK(merged(client("claude"), kEntry, text).code() == Code::usage);
  }
  for (const std::string_view text :
       {"a = ", "[mcp_servers.taper]\ncommand = \"/other\"\nargs = []\n",
        "mcp_servers = { x = { command = \"y\" } }\n", "mcp_servers = 1\n", "[a]\n[a]\n"}) {
    INFO(text);
    CHECK(merged(client("codex"), kEntry, text).code() == Code::usage);
  }
}

TEST_CASE("A table of TOML comes behind everything else", "[tools]") {
  const std::string before = "# mine\nmodel = \"m\"\n\n[mcp_servers.other]\ncommand = \"x\"";
  const std::string after = merged_text("codex", before);
  CHECK(after == before + "\n\n" + snippet(client("codex"), kEntry));
  const auto again = merged(client("codex"), kEntry, after);
  REQUIRE(again.ok());
  CHECK_FALSE(*again);
  CHECK(merged_text("codex", "") == snippet(client("codex"), kEntry));
}

TEST_CASE("Nothing is written that a client would read otherwise", "[tools]") {
  CHECK(check_entry(kEntry).ok());
  for (const std::string bad : {"/a/$HOME", "/a/{env:X}", "/a\nb", "/a\x7f", "/a\xff"}) {
    Entry entry = kEntry;
    entry.args.push_back(bad);
    CHECK(check_entry(entry).code() == Code::usage);
  }
  for (const std::string bad : {"", "a.b", "a b", "a]"}) {
    Entry entry = kEntry;
    entry.name = bad;
    CHECK(check_entry(entry).code() == Code::usage);
  }
}

}  // namespace
}  // namespace taper::tools
