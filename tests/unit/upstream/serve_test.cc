// The program with real processes behind it.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "runtime/base/clock.h"
#include "runtime/base/limits.h"
#include "tests/unit/upstream/upstream_for_tests.h"

using namespace taper;
using namespace taper::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

const std::vector<std::string> kEras = {"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26",
                                        "2024-11-05"};
// One of each kind of handshake, and the only one that knows batches.
const std::vector<std::string> kKinds = {"2026-07-28", "2025-11-25", "2025-03-26"};

// A file that does not exist yet, removed at the end.
class Log {
 public:
  Log() {
    REQUIRE(::mkdtemp(folder_.data()) != nullptr);
    path = folder_ + "/log";
  }
  ~Log() { std::filesystem::remove_all(folder_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  std::string text() const {
    const Result<Bytes> bytes = read_file(path, 1'000'000);
    return bytes.ok() ? std::string(as_text(*bytes)) : "";
  }
  int count(const std::string& word) const {
    const std::string all = text();
    int found = 0;
    for (auto at = all.find(word); at != all.npos; at = all.find(word, at + 1)) ++found;
    return found;
  }
  std::string path;

 private:
  std::string folder_ = "/tmp/taper-upstream-XXXXXX";
};

}  // namespace

TEST_CASE("a pinned tool of a server is called, in every era", "[upstream]") {
  for (const std::string& era : kEras) {
    CAPTURE(era);
    Upstream upstream(Upstream::fake(era, "ok"));
    const auto reply = upstream.call(era, R"({"text":"é\n\"x\""})");
    CHECK(echoed(reply) == R"({"text": "\u00e9\n\"x\""})");
    CHECK(field(reply, "is_error") == "false");
    CHECK(field(reply, "text").empty());
    CHECK(reply.cpu_ms == 0);
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
    CHECK(upstream.finish() == 0);
  }
}

TEST_CASE("a server's tools are told as they are pinned", "[upstream]") {
  for (const std::string& era : kEras) {
    CAPTURE(era);
    Upstream upstream(Upstream::fake(era, "pages"));
    const auto reply = upstream.definitions(era);
    INFO(told(reply));
    CHECK(field(reply, "version") == era);
    CHECK(field(reply, "server") == "fake 1");
    const std::string list = field(reply, "definitions");
    CHECK_THAT(list, StartsWith(R"([{"name":"t0","inputSchema":{"type": "object"}},{"name":"t1")"));
    CHECK_THAT(list, Contains(R"("description":"Says it again.")") && !Contains("icons"));
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
  }
}

TEST_CASE("auto takes the newest that the server speaks", "[upstream]") {
  const auto version = [](const std::string& eras, const std::string& mode) {
    Upstream upstream(Upstream::fake(eras, mode));
    const auto reply = upstream.definitions("auto");
    INFO(told(reply));
    return field(reply, "version");
  };
  CHECK(version("2025-11-25,2026-07-28", "ok") == "2026-07-28");
  CHECK(version("2026-07-28", "ok") == "2026-07-28");
  CHECK(version("2025-06-18,2025-11-25", "ok") == "2025-11-25");
  CHECK(version("2024-11-05", "ok") == "2024-11-05");
  CHECK(version("2025-03-26", "exits-before-initialize") == "2025-03-26");
  Upstream mute(Upstream::fake("2025-06-18", "mute-before-initialize"));
  CHECK(echoed(mute.call("auto", "{}", kEcho, 8'000)) == "{}");
}

TEST_CASE("a server of another era is drift of the era", "[upstream][R18]") {
  const auto call = [](const std::string& eras, const std::string& era) {
    Upstream upstream(Upstream::fake(eras, "ok"));
    const std::string text = told(upstream.call(era));
    CHECK(upstream.closed());
    CHECK(upstream.finish() == 1);
    return text;
  };
  CHECK(call("2025-06-18", "2025-11-25") ==
        "upstream_drift era: expected 2025-11-25: got 2025-06-18");
  CHECK_THAT(call("2025-11-25", "2026-07-28"), StartsWith("upstream_drift era"));
  Upstream other(Upstream::fake("2026-07-28", "other-modern"));
  CHECK_THAT(told(other.call("2026-07-28")), StartsWith("upstream_drift era"));
  CHECK_THAT(call("2026-07-28", "2025-11-25"), StartsWith("upstream_drift era"));
  CHECK(call("1999-01-01", "auto") == "upstream_drift era: expected 2025-11-25: got 1999-01-01");
}

TEST_CASE("a tool that is not the pinned one is not called", "[upstream][R18]") {
  const auto swap = [](const std::string& from, const std::string& to) {
    std::string text = kEcho;
    REQUIRE(text.find(from) != text.npos);
    return text.replace(text.find(from), from.size(), to);
  };
  const std::vector<std::pair<std::string, std::string>> drifts = {
      {"title", swap("Echo", "Echoes")},
      {"description", swap("Says it again.", "Says it.")},
      {"inputSchema", swap(R"("string")", R"("integer")")},
      {"outputSchema", swap(R"("title")", R"("outputSchema":{},"title")")},
      {"annotations", swap("true", "false")}};
  for (const std::string& era : kKinds) {
    for (const auto& [part, pinned] : drifts) {
      CAPTURE(era, part);
      Log log;
      Upstream upstream(Upstream::fake(era, "ok", log.path));
      const auto reply = upstream.call(era, "{}", pinned);
      CHECK(reply.error.code() == Code::upstream_drift);
      CHECK(reply.error.detail().field == part);
      CHECK(upstream.closed());
      CHECK(log.count("tools/call") == 0);
    }
    Upstream gone(Upstream::fake(era, "gone"));
    CHECK(told(gone.call(era)) == "upstream_drift name: expected echo: got no such tool");
  }
}

TEST_CASE("a tool that changes while it is called gives no result", "[upstream][R18]") {
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    Upstream upstream(Upstream::fake(era, "changed"));
    CHECK(told(upstream.call(era)) ==
          "upstream_drift description: expected Says it again.: got Says it to everybody.");
    CHECK(upstream.closed());
    CHECK(upstream.finish() == 1);
    Log log;
    Upstream same(Upstream::fake(era, "changed-same", log.path));
    CHECK(echoed(same.call(era, "{}")) == "{}");
    CHECK(log.count("tools/list") >= 2);
  }
}

TEST_CASE("a tool that changes between two calls is found out", "[upstream][R18]") {
  // "silent": the server does not say when its tools change, so they are listed before each call.
  for (const std::string mode : {"idle-changed", "silent"}) {
    for (const std::string& era : kKinds) {
      CAPTURE(era, mode);
      Upstream upstream(Upstream::fake(era, mode));
      CHECK(echoed(upstream.call(era, "{}")) == "{}");
      CHECK_THAT(told(upstream.call(era)), StartsWith("upstream_drift description"));
    }
  }
}

TEST_CASE("tools are listed again only where they may have changed", "[upstream]") {
  Log told_log, silent_log, refused_log, ended_log;
  const auto call_twice = [](Log& log, const std::string& era, const std::string& mode) {
    Upstream upstream(Upstream::fake(era, mode, log.path));
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
    return log.count("tools/list\"");
  };
  CHECK(call_twice(told_log, "2025-11-25", "ok") == 1);
  CHECK(call_twice(refused_log, "2026-07-28", "no-subscriptions") == 3);
  CHECK(call_twice(ended_log, "2026-07-28", "subscription-ends") >= 3);
  CHECK(call_twice(silent_log, "2026-07-28", "ok") <= 2);
}

TEST_CASE("lists that change or do not end", "[upstream]") {
  const auto error = [](const std::string& mode, const std::string& era) {
    Upstream upstream(Upstream::fake(era, mode));
    const auto reply = upstream.call(era, "{}");
    return reply.error.code() == Code::ok ? echoed(reply) : told(reply);
  };
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    CHECK(error("list-grows", era) == "{}");
    CHECK(error("endless", era) == "upstream_broken message: got tools/list: no end");
    CHECK(error("many", era) == "upstream_broken message: got more than 256 tools");
    CHECK(error("twice", era) == "upstream_broken message: got tools/list: tool echo stands twice");
    CHECK(error("list-error", era) ==
          "upstream_broken message: got tools/list: error -32603 cannot list");
  }
  CHECK_THAT(error("list-never-rests", "2025-11-25"), StartsWith("upstream_broken flood"));
}

TEST_CASE("what a server writes is JSON-RPC, or the server is ended", "[upstream]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"garbage", "no message of JSON-RPC: Loading plugins... done"},
      {"greets", "no message of JSON-RPC: Welcome to fake 1.0"},
      {"not-rpc", "no message of JSON-RPC"},
      {"wrong-version", "no message of JSON-RPC"},
      {"two-kinds", "no message of JSON-RPC"},
      {"wrong-id", "an answer to nothing that was asked: id "},
      {"text-id", "an answer to nothing that was asked: id \""},
      {"duplicate", "no message of JSON-RPC"},
      {"duplicate-deep", "no message of JSON-RPC"},
      {"deep", "nested more than 256 deep"},
      {"null-id", "error without an id: Parse error"},
      {"no-list", "result: content is no list"},
      {"no-type", "result: a block of content without a type"},
      {"odd-flag", "result: isError is no boolean"},
      {"task", "result: "}};
  for (const std::string& era : kKinds) {
    for (const auto& [mode, got] : cases) {
      CAPTURE(era, mode);
      Upstream upstream(Upstream::fake(era, mode));
      CHECK_THAT(told(upstream.call(era)), StartsWith("upstream_broken message: got " + got));
      CHECK(upstream.closed());
      CHECK(upstream.finish() == 1);
    }
  }
}

TEST_CASE("a second answer to one question is refused", "[upstream]") {
  Upstream upstream(Upstream::fake("2025-11-25", "twice-answered"));
  CHECK(echoed(upstream.call("2025-11-25", "{}")) == "{}");
  CHECK(upstream.closed());
  CHECK(upstream.finish() == 1);
}

TEST_CASE("only 2025-03-26 knows batches", "[upstream]") {
  Upstream taken(Upstream::fake("2025-03-26", "batch"));
  CHECK(echoed(taken.call("2025-03-26", "{}")) == "{}");
  Upstream refused(Upstream::fake("2025-11-25", "batch-refused"));
  CHECK_THAT(told(refused.call("2025-11-25")), StartsWith("upstream_broken message"));
}

TEST_CASE("a server that goes, hangs or floods", "[upstream]") {
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    const auto error = [&](const std::string& mode, std::int64_t timeout_ms = 20'000) {
      Upstream upstream(Upstream::fake(era, mode));
      const std::string text = told(upstream.call(era, "{}", kEcho, timeout_ms));
      CHECK(upstream.closed());
      return text;
    };
    CHECK(error("killed") == "upstream_broken ended: got killed by signal 9: about to go");
    CHECK(error("exits") ==
          "upstream_broken ended: got it ended with status 3: first line no licence");
    // Where its words were cut, at either end, a mark stands.
    const std::string cut = error("babbles");
    CHECK_THAT(cut, StartsWith("upstream_broken ended: got it ended with status 3: …eeee"));
    CHECK(cut.ends_with("eeee…"));
    CHECK_THAT(error("flood"), StartsWith("upstream_broken flood: got more than 10000"));
    CHECK_THAT(error("broken-handshake"), StartsWith("upstream_broken initialize"));
    const SystemClock clock;
    const std::int64_t begin = clock.now().boot_ms;
    CHECK(error("slow", 1'500) == "upstream_broken timeout: got no answer to tools/call");
    CHECK(clock.now().boot_ms - begin >= 1'500);
    Upstream deaf(Upstream::fake(era, "deaf"));
    const std::string more = R"({"text":")" + std::string(900'000, 'x') + "\"}";
    CHECK_THAT(told(deaf.call(era, more, kEcho, 1'500)),
               StartsWith("upstream_broken timeout: got no answer to tools/"));
  }
}

TEST_CASE("what a server may do without being asked", "[upstream]") {
  for (const std::string& era : kKinds) {
    for (const std::string mode : {"noisy", "wordy", "stuffed", "idle-noise"}) {
      CAPTURE(era, mode);
      Upstream upstream(Upstream::fake(era, mode));
      CHECK(echoed(upstream.call(era, "{}")) == "{}");
      // More than any pipe holds, each way.
      const std::string text(900'000, 'x');
      CHECK(echoed(upstream.call(era, R"({"text":")" + text + "\"}")) ==
            R"({"text": ")" + text + "\"}");
      CHECK(upstream.finish() == 0);
    }
    Upstream asks(Upstream::fake(era, "asks"));
    CHECK(echoed(asks.call(era)) ==
          R"([{"error": {"code": -32601, "message": "Method not found"}, "id": "s-1", )"
          R"("jsonrpc": "2.0"}, {"id": 7, "jsonrpc": "2.0", "result": {}}])");
  }
}

TEST_CASE("an answer that is too large is dropped, and the server goes on", "[upstream]") {
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    Upstream upstream(Upstream::fake(era, "huge"));
    CHECK(upstream.call(era).error.code() == Code::too_large);
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
  }
}

TEST_CASE("the news of a change is not missed for its size", "[upstream][R18]") {
  Upstream asked(Upstream::fake("2025-11-25", "huge-change"));
  CHECK(asked.call("2025-11-25").error.code() == Code::too_large);
  CHECK_THAT(told(asked.call("2025-11-25")), StartsWith("upstream_drift description"));
  Upstream idle(Upstream::fake("2025-11-25", "huge-idle-change"));
  CHECK(echoed(idle.call("2025-11-25", "{}")) == "{}");
  // It comes before this call, or while it runs.
  auto reply = idle.call("2025-11-25");
  if (reply.error.code() == Code::too_large) reply = idle.call("2025-11-25");
  CHECK_THAT(told(reply), StartsWith("upstream_drift description"));
}

TEST_CASE("a server's failures are told as the tool's", "[upstream]") {
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    Upstream failed(Upstream::fake(era, "failed"));
    const auto reply = failed.call(era);
    CHECK(field(reply, "is_error") == "true");
    CHECK(field(reply, "text") == "no such\nfile");
    Upstream error(Upstream::fake(era, "error"));
    CHECK(told(error.call(era)) == "tool_failed error -32000: got the disk is full");
    CHECK(told(error.call(era)) == "tool_failed error -32000: got the disk is full");
    Upstream invalid(Upstream::fake(era, "invalid"));
    CHECK(told(invalid.call(era)) == "tool_input: got text is required");
  }
}

TEST_CASE("of a result what its readers need is passed on", "[upstream]") {
  Upstream upstream(Upstream::fake("2025-11-25", "meta"));
  const auto reply = upstream.call("2025-11-25", "{}");
  CHECK(field(reply, "result") ==
        R"({"content":[{"type": "text", "text": "{}"}],"structuredContent":{"b": [1, 2.5]},)"
        R"("_meta":{"a":1,"com.example.mcp/y":2}})");
}

TEST_CASE("progress of a call is told as it rises, and not too often", "[upstream]") {
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    Log log;
    Upstream upstream(Upstream::fake(era, "progress", log.path));
    CHECK(echoed(upstream.call_with_meta(era, R"({"progress":true})")) == "{}");
    REQUIRE(upstream.progress.size() == 3);
    CHECK(upstream.progress[0].done == 0.5);
    CHECK(upstream.progress[0].total == 4);
    CHECK(upstream.progress[0].message == "one two");
    CHECK(upstream.progress[1].done == 2.5);
    CHECK_FALSE(upstream.progress[1].total);
    const std::string& cut = upstream.progress[1].message;
    CHECK(cut.ends_with("…"));
    CHECK(cut.size() <= limits::kProgressTextBytesMax);
    CHECK(cut.size() + 4 > limits::kProgressTextBytesMax);
    CHECK(upstream.progress[2].done == 3);
    CHECK_FALSE(upstream.progress[2].total);
    // Who does not ask is told nothing, and the server is not asked.
    CHECK(log.count("progressToken") == 1);
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
    CHECK(echoed(upstream.call_with_meta(era, R"({"progress":false})")) == "{}");
    CHECK(upstream.progress.size() == 3);
    CHECK(log.count("progressToken") == 1);
    CHECK(upstream.finish() == 0);
  }
}

TEST_CASE("much progress is no flood until it is one", "[upstream]") {
  Upstream much(Upstream::fake("2025-11-25", "progress-much"));
  CHECK(echoed(much.call_with_meta("2025-11-25", R"({"progress":true})")) == "{}");
  CHECK(much.progress.size() >= 1);
  CHECK(much.progress.size() < 100);
  Upstream flood(Upstream::fake("2025-11-25", "progress-flood"));
  const auto reply = flood.call_with_meta("2025-11-25", R"({"progress":true})");
  CHECK(told(reply) ==
        "upstream_broken flood: got more than 1000 notifications of progress in a second");
  CHECK(flood.closed());
}

TEST_CASE("a call's trace goes to the server, and nothing else of its _meta", "[upstream]") {
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    Log log;
    Upstream upstream(Upstream::fake(era, "ok", log.path));
    const std::string parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    CHECK(echoed(upstream.call_with_meta(
              era, R"({"traceparent":")" + parent +
                       R"(","tracestate":"a=b","baggage":"k=v","authorization":"Bearer x",)"
                       R"("io.modelcontextprotocol/protocolVersion":"1"})")) == "{}");
    CHECK_THAT(log.text(),
               Contains(R"("traceparent":")" + parent + R"(","tracestate":"a=b","baggage":"k=v")"));
    CHECK(log.count("Bearer") == 0);
    CHECK(log.count(R"("io.modelcontextprotocol/protocolVersion":"1")") == 0);
    CHECK(log.count("progressToken") == 0);
  }
}

TEST_CASE("a tool that cannot be pinned is left out by name, and others are called", "[upstream]") {
  for (const std::string& era : kKinds) {
    CAPTURE(era);
    Upstream upstream(Upstream::fake(era, "unfit"));
    const auto reply = upstream.definitions(era);
    INFO(told(reply));
    CHECK_THAT(field(reply, "definitions"),
               Contains(R"("name":"echo")") && !Contains("deep") && !Contains("1e400"));
    CHECK(field(reply, "left_out") ==
          R"([{"name":"deep","why":"nested more than 30 deep"},)"
          R"({"name":"far","why":"inputSchema has a number beyond what can be compared"}])");
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
  }
}

TEST_CASE("the server has nothing of the broker's", "[upstream][R53]") {
  Upstream upstream(Upstream::fake("2025-11-25", "descriptors"));
  // The fourth is the listing's own.
  CHECK(echoed(upstream.call("2025-11-25")) == "[0, 1, 2, 3]");
}

TEST_CASE("a server is sent what its era asks for, and no more", "[upstream][R53]") {
  const auto sent = [](const std::string& era) {
    Log log;
    Upstream upstream(Upstream::fake(era, "ok", log.path));
    CHECK(echoed(upstream.call(era, "{}")) == "{}");
    return log.text();
  };
  const std::string client = R"({"name":"taper","version":")" TAPER_VERSION R"("})";
  CHECK(
      sent("2025-06-18") ==
      R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",)"
      R"("capabilities":{},"clientInfo":)" +
          client +
          "}}\n"
          R"({"jsonrpc":"2.0","method":"notifications/initialized"})"
          "\n"
          R"({"jsonrpc":"2.0","id":2,"method":"tools/list"})"
          "\n"
          R"({"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo","arguments":{}}})"
          "\n");
  const std::string meta = R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
                           R"("io.modelcontextprotocol/clientInfo":)" +
                           client + R"(,"io.modelcontextprotocol/clientCapabilities":{}}})";
  const std::string modern = sent("2026-07-28");
  CHECK_THAT(modern,
             StartsWith(R"({"jsonrpc":"2.0","id":1,"method":"server/discover","params":{)" + meta +
                        "}\n"
                        R"({"jsonrpc":"2.0","id":2,"method":"subscriptions/listen",)"
                        R"("params":{"notifications":{"toolsListChanged":true},)" +
                        meta +
                        "}\n"
                        R"({"jsonrpc":"2.0","id":3,"method":"tools/list","params":{)" +
                        meta + "}\n"));
  CHECK_THAT(modern, Contains(R"("method":"tools/call","params":{"name":"echo","arguments":{},)" +
                              meta + "}\n"));
}

TEST_CASE("a server that is no program, or ends between two calls", "[upstream]") {
  Upstream plain({TAPER_SOURCE_DIR "/README.md"});
  CHECK(told(plain.call("auto")) == "upstream_broken start: got Permission denied");
  Upstream gone(Upstream::fake("2025-11-25", "idle-exit"));
  CHECK(echoed(gone.call("2025-11-25", "{}")) == "{}");
  CHECK(gone.closed());
  CHECK(gone.finish() == 1);
}

TEST_CASE("the broker asks what can be asked, or the process ends", "[upstream]") {
  const std::vector<std::vector<authority::InputValue>> bad = {
      {},
      {{"ask", std::string("else")}, {"era", std::string("auto")}, {"timeout_ms", std::int64_t{1}}},
      {{"ask", std::string("definitions")}, {"timeout_ms", std::int64_t{1}}},
      {{"ask", std::string("definitions")},
       {"era", std::string("2026")},
       {"timeout_ms", std::int64_t{1}}},
      {{"ask", std::string("definitions")},
       {"era", std::string("auto")},
       {"timeout_ms", std::int64_t{-1}}},
      {{"ask", std::string("call")}, {"era", std::string("auto")}, {"timeout_ms", std::int64_t{1}}},
      {{"ask", std::string("call")},
       {"era", std::string("auto")},
       {"timeout_ms", std::int64_t{1}},
       {"name", std::string("echo")},
       {"pinned", kEcho},
       {"arguments", std::string("{}\n{}")}},
      {{"ask", std::string("call")},
       {"era", std::string("auto")},
       {"timeout_ms", std::int64_t{1}},
       {"name", std::string("echo")},
       {"pinned", kEcho},
       {"arguments", std::string("{}")},
       {"meta", std::string("[]")}}};
  for (const auto& inputs : bad) {
    Upstream upstream(Upstream::fake("2025-11-25", "ok"));
    upstream.ask(inputs);
    CHECK(upstream.closed());
    CHECK(upstream.finish() == 2);
  }
  Upstream other(Upstream::fake("2025-11-25", "ok"));
  CHECK(echoed(other.call("2025-11-25", "{}")) == "{}");
  other.ask({{"ask", std::string("definitions")},
             {"era", std::string("auto")},
             {"timeout_ms", std::int64_t{1}}});
  CHECK(other.closed());
  CHECK(other.finish() == 2);
  Upstream cut(Upstream::fake("2025-11-25", "ok"));
  cut.send(as_bytes("\xff\xff\xff\xff"));
  CHECK(cut.closed());
  CHECK(cut.finish() == 2);
}
