// A server that asks in the middle of a call, behind the real program.
#include <catch2/catch.hpp>

#include "tests/unit/upstream/upstream_for_tests.h"

using namespace taper;
using namespace taper::testing;
using authority::Input;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

constexpr const char* kModern = "2026-07-28";

authority::InputValue offered(Input input) { return {"input", static_cast<std::int64_t>(input)}; }

sandbox::BuiltinReply call(Upstream& upstream, const std::vector<authority::InputValue>& more) {
  return upstream.call(kModern, R"({"text":"a"})", kEcho, 20'000, more);
}

}  // namespace

TEST_CASE("a question that was offered is told whole, and answered", "[upstream][R43]") {
  Upstream upstream(Upstream::fake(kModern, "asks-form"));
  const auto asked = call(upstream, {offered(Input::forms)});
  INFO(told(asked));
  CHECK(field(asked, "asked") ==
        R"({"inputRequests":{"who": {"method": "elicitation/create", "params": {"mode": "form", )"
        R"("message": "Who asks?", "requestedSchema": {"type": "object", "properties": )"
        R"({"name": {"type": "string"}}, "required": ["name"]}}}},)"
        R"("requestState":"s\u00e9cret \"1\""})");
  CHECK(field(asked, "result").empty());
  const std::string responses = R"({"who":{"action":"accept","content":{"name":"B"}}})";
  const auto answered = call(
      upstream,
      {offered(Input::urls), {"responses", responses}, {"state", std::string("sécret \"1\"")}});
  CHECK(echoed(answered) ==
        R"({"arguments": {"text": "a"}, "inputResponses": {"who": {"action": "accept", )"
        R"("content": {"name": "B"}}}, "offered": {"elicitation": {"form": {}, "url": {}}}, )"
        R"("requestState": "s\u00e9cret \"1\""})");
  CHECK(upstream.finish() == 0);
}

TEST_CASE("a server may ask for no more than was offered", "[upstream][R43]") {
  const auto answer = [](const std::string& mode, Input input) {
    Upstream upstream(Upstream::fake(kModern, mode));
    const auto reply = call(upstream, {offered(input)});
    return reply.error.code() == Code::ok ? field(reply, "asked") : told(reply);
  };
  const std::string nobody = "upstream_broken message: got result: it asks for ";
  CHECK_THAT(answer("asks-form", Input::none), StartsWith(nobody + "elicitation/create form"));
  CHECK_THAT(answer("asks-form", Input::retry), StartsWith(nobody + "elicitation/create form"));
  CHECK_THAT(answer("asks-url", Input::forms), StartsWith(nobody + "elicitation/create url"));
  CHECK_THAT(answer("asks-url", Input::urls), Contains("https://x.example"));
  CHECK_THAT(answer("asks-sampling", Input::urls), StartsWith(nobody + "sampling/createMessage"));
  CHECK(answer("asks-state", Input::none) == R"({"requestState":"later"})");
  CHECK(answer("asks-nothing", Input::urls) ==
        "upstream_broken message: got result: input_required with nothing that it requires");
  CHECK_THAT(answer("asks-odd", Input::urls), StartsWith("upstream_broken message"));
  CHECK_THAT(answer("asks-many", Input::urls), StartsWith("upstream_broken message"));
  CHECK_THAT(answer("asks-long", Input::urls), StartsWith("too_large requestState"));
}

TEST_CASE("a server whose tool drifted asks nobody", "[upstream][R43][R18]") {
  Upstream upstream(Upstream::fake(kModern, "asks-form-changed"));
  CHECK_THAT(told(call(upstream, {offered(Input::urls)})),
             StartsWith("upstream_drift description"));
}

TEST_CASE("before 2026-07-28 no server asks", "[upstream][R43]") {
  Upstream upstream(Upstream::fake("2025-11-25", "asks-form"));
  const auto reply = upstream.call("2025-11-25", "{}", kEcho, 20'000, {offered(Input::urls)});
  CHECK(told(reply) == R"(upstream_broken message: got result: resultType "input_required")");
}

TEST_CASE("answers of no form end the helper", "[upstream][R43]") {
  const auto finished = [](const std::vector<authority::InputValue>& more) {
    Upstream upstream(Upstream::fake(kModern, "ok"));
    std::vector<authority::InputValue> inputs = more;
    for (const auto& [name, value] : {std::pair<std::string, std::string>("ask", "call"),
                                      {"name", "echo"},
                                      {"arguments", "{}"},
                                      {"pinned", kEcho},
                                      {"era", kModern}})
      inputs.push_back({name, value});
    inputs.push_back({"timeout_ms", std::int64_t{5000}});
    upstream.ask(std::move(inputs));
    CHECK(upstream.closed());
    return upstream.finish();
  };
  CHECK(finished({{"input", std::int64_t{4}}}) == 2);
  CHECK(finished({{"input", std::int64_t{-1}}}) == 2);
  CHECK(finished({{"responses", std::string("[]")}}) == 2);
  CHECK(finished({{"responses", std::string("{")}}) == 2);
}
