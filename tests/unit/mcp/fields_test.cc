// Every field of every request that is read, as the specifications of 2025-11-25, of 2026-07-28 and
// of its extension for tasks have it: what must be there, what may be, of which type.
#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

enum class Era : std::uint8_t { old, modern, both };

struct Field {
  std::string_view name;
  std::string_view value;
  bool required = false;
};
struct Asked {
  std::string_view method;
  Era era;
  std::vector<Field> fields;
};

const std::vector<Asked>& requests() {
  constexpr bool kRequired = true;
  static const std::vector<Asked> kAll = {
      {"initialize",
       Era::old,
       {{"protocolVersion", R"("2025-11-25")", kRequired},
        {"capabilities", R"({"roots":{}})", kRequired},
        {"clientInfo", R"({"name":"c","version":"1","title":"C"})", kRequired}}},
      {"ping", Era::old, {}},
      {"server/discover", Era::modern, {}},
      {"tools/list", Era::both, {{"cursor", R"("")"}}},
      {"resources/list", Era::both, {{"cursor", R"("")"}}},
      {"resources/templates/list", Era::both, {{"cursor", R"("")"}}},
      {"prompts/list", Era::both, {{"cursor", R"("")"}}},
      {"tools/call", Era::both, {{"name", R"("t")", kRequired}, {"arguments", R"({"a":1})"}}},
      {"tools/call",
       Era::old,
       {{"name", R"("t")", kRequired}, {"arguments", "{}"}, {"task", R"({"ttl":5})"}}},
      {"tools/call",
       Era::modern,
       {{"name", R"("t")", kRequired},
        {"arguments", "{}"},
        {"requestState", R"("0a")"},
        {"inputResponses", R"({"1/k":{"action":"cancel"}})"}}},
      {"resources/read", Era::both, {{"uri", R"("a:b")", kRequired}}},
      {"resources/subscribe", Era::old, {{"uri", R"("a:b")", kRequired}}},
      {"resources/unsubscribe", Era::old, {{"uri", R"("a:b")", kRequired}}},
      {"subscriptions/listen", Era::modern, {{"notifications", "{}", kRequired}}},
      {"tasks/get", Era::both, {{"taskId", R"("t-1")", kRequired}}},
      {"tasks/result", Era::old, {{"taskId", R"("t-1")", kRequired}}},
      {"tasks/cancel", Era::both, {{"taskId", R"("t-1")", kRequired}}},
      {"tasks/update",
       Era::modern,
       {{"taskId", R"("t-1")", kRequired}, {"inputResponses", "{}", kRequired}}},
  };
  return kAll;
}

std::string joined(const std::vector<Field>& fields) {
  std::string out;
  for (const Field& field : fields)
    out +=
        (out.empty() ? "\"" : ",\"") + std::string(field.name) + "\":" + std::string(field.value);
  return out;
}

class Reader {
 public:
  explicit Reader(Era era) : era_(era) {
    if (era == Era::old) peer_.open("2025-11-25");
  }
  std::string ask(const Asked& asked, const std::vector<Field>& fields) {
    const std::string params = joined(fields);
    return peer_.ask(era_ == Era::old ? legacy(asked.method, params, ++id_)
                                      : modern(asked.method, params, kTasks, ++id_));
  }
  static bool is_refused(const std::string& line) {
    return line.find(R"("error":{"code":-32602,)") != line.npos;
  }

 private:
  Era era_;
  Peer peer_;
  int id_ = 0;
};

template <class Use>
void each_of(Era era, Use use) {
  for (const Asked& asked : requests()) {
    if (asked.era != era && asked.era != Era::both) continue;
    CAPTURE(asked.method);
    use(asked);
  }
}

TEST_CASE("a request is served with all its fields\\, and with those alone that it needs",
          "[mcp]") {
  const Era era = GENERATE(Era::old, Era::modern);
  Reader reader(era);
  each_of(era, [&](const Asked& asked) {
    std::vector<Field> needed = asked.fields;
    std::erase_if(needed, [](const Field& field) { return !field.required; });
    for (const auto& fields : {asked.fields, needed})
      CHECK(reader.ask(asked, fields).find("\"error\"") == std::string::npos);
    // A revision that adds a field takes nothing away.
    std::vector<Field> more = asked.fields;
    more.push_back({"com.example/later", R"({"a":[1]})"});
    CHECK(reader.ask(asked, more).find("\"error\"") == std::string::npos);
  });
}

TEST_CASE("a request without a field that it needs is an invalid one", "[mcp]") {
  const Era era = GENERATE(Era::old, Era::modern);
  Reader reader(era);
  each_of(era, [&](const Asked& asked) {
    for (std::size_t i = 0; i < asked.fields.size(); ++i) {
      if (!asked.fields[i].required) continue;
      std::vector<Field> fields = asked.fields;
      fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(i));
      INFO("without " << asked.fields[i].name);
      CHECK(Reader::is_refused(reader.ask(asked, fields)));
    }
  });
}

TEST_CASE("a request with a field of another type is an invalid one", "[mcp]") {
  const Era era = GENERATE(Era::old, Era::modern);
  Reader reader(era);
  each_of(era, [&](const Asked& asked) {
    for (std::size_t i = 0; i < asked.fields.size(); ++i) {
      const char right = asked.fields[i].value.front();
      for (const std::string_view wrong : {"7", "true", "null", "[]", R"("x")", "{}"}) {
        if (wrong.front() == right) continue;
        std::vector<Field> fields = asked.fields;
        fields[i].value = wrong;
        INFO(fields[i].name << " as " << wrong);
        CHECK(Reader::is_refused(reader.ask(asked, fields)));
      }
    }
  });
}

// The members of objects within: of the filter, of a wish for a task, of the client's description.
TEST_CASE("what a request's objects hold is looked at too", "[mcp]") {
  struct Inner {
    std::string_view method;
    Era era;
    std::string_view good;  // params with a %
    std::vector<std::string_view> bad;
  };
  const std::vector<Inner> kInner = {
      {"tools/call", Era::old, R"("name":"t","task":{"ttl":%})", {"-1", "1.5", R"("1")", "{}"}},
      {"initialize",
       Era::old,
       R"("protocolVersion":"1","capabilities":{},"clientInfo":{"name":%,"version":"1"})",
       {"7", "null", "{}"}},
      {"initialize",
       Era::old,
       R"("protocolVersion":"1","capabilities":{},"clientInfo":{"name":"c","version":%})",
       {"7", "null", "{}"}},
      {"subscriptions/listen",
       Era::modern,
       R"("notifications":{"toolsListChanged":%})",
       {"1", R"("true")", "null"}},
      {"subscriptions/listen",
       Era::modern,
       R"("notifications":{"promptsListChanged":%})",
       {"1", R"("true")", "null"}},
      {"subscriptions/listen",
       Era::modern,
       R"("notifications":{"resourcesListChanged":%})",
       {"1", R"("true")", "null"}},
      {"subscriptions/listen",
       Era::modern,
       R"("notifications":{"resourceSubscriptions":%})",
       {"1", R"("a:b")", "[1]", "[null]", "null"}},
      {"subscriptions/listen",
       Era::modern,
       R"("notifications":{"taskIds":%})",
       {"1", R"("t-1")", "[1]", "[{}]", "null"}},
  };
  const std::map<std::string_view, std::vector<std::string_view>> kGood = {
      {"tools/call", {"0", "5", "null"}}, {"initialize", {R"("c")"}}};
  for (const Inner& inner : kInner) {
    Peer peer;
    if (inner.era == Era::old) peer.open("2025-11-25");
    int id = 0;
    const auto ask = [&](std::string_view value) {
      std::string params(inner.good);
      params.replace(params.find('%'), 1, value);
      CAPTURE(params);
      return peer.ask(inner.era == Era::old ? legacy(inner.method, params, ++id)
                                            : modern(inner.method, params, kTasks, ++id));
    };
    for (const std::string_view bad : inner.bad) CHECK(Reader::is_refused(ask(bad)));
    const auto good = kGood.find(inner.method);
    if (good == kGood.end()) continue;
    for (const std::string_view value : good->second) CHECK_FALSE(Reader::is_refused(ask(value)));
  }
}

TEST_CASE("what the client says of itself with each request is looked at", "[mcp]") {
  const std::string kKey = "io.modelcontextprotocol/";
  const std::string kVersion = "\"" + kKey + R"(protocolVersion":"2026-07-28")";
  const std::string kCan = "\"" + kKey + R"(clientCapabilities":{})";
  const auto answer = [](const std::string& meta) {
    Peer peer;
    return peer.ask(legacy("server/discover", "\"_meta\":{" + meta + "}"));
  };
  CHECK(answer(kVersion + "," + kCan).find("\"result\"") != std::string::npos);
  for (const std::string& more :
       {R"("progressToken":"p")", R"("progressToken":7)", R"("traceparent":"00-1-2-01")",
        R"("com.example/x":[])", R"("io.modelcontextprotocol/logLevel":"debug")",
        R"("io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"})"}) {
    CHECK(answer(kVersion + "," + kCan + "," + more).find("\"result\"") != std::string::npos);
  }
  for (const std::string& bad :
       {kCan, kVersion, kVersion + ",\"" + kKey + R"(clientCapabilities":7)",
        kVersion + ",\"" + kKey + R"(clientCapabilities":{"extensions":7})",
        kVersion + ",\"" + kKey + R"(clientCapabilities":{"extensions":{")" + kKey +
            R"(tasks":true}})",
        kVersion + "," + kCan + ",\"" + kKey + R"(clientInfo":"c")",
        kVersion + "," + kCan + R"(,"progressToken":null)",
        kVersion + "," + kCan + R"(,"progressToken":1.5)", "\"" + kKey + R"(protocolVersion":7)"}) {
    INFO(bad);
    CHECK(Reader::is_refused(answer(bad)));
  }
}

}  // namespace
}  // namespace taper::mcp
