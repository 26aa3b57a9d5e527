// Calls and tasks that ask for input, as clients of each era hear of them and answer.
#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

constexpr std::string_view kRequests =
    R"({"1/name":{"method":"elicitation/create","params":{"message":"Who?"}}})";
constexpr std::string_view kAnswered = R"({"1/name":{"action":"accept","content":{"n":2.50}}})";

std::string call(std::string_view more = {}) {
  return R"("name":"t","arguments":{"a":1})" + std::string(more);
}
std::string again(std::string_view state, std::string_view responses) {
  return modern("tools/call", call(R"(,"requestState":)" + std::string(state) +
                                   R"(,"inputResponses":)" + std::string(responses)));
}

TEST_CASE("what a client can answer is what it declares with the request", "[mcp][R43]") {
  const auto [capabilities, input] = GENERATE(table<std::string, Input>({
      {"{}", Input::retry},
      {R"({"elicitation":{}})", Input::forms},
      {R"({"elicitation":{"form":{}}})", Input::forms},
      {R"({"elicitation":{"form":{},"url":{}}})", Input::urls},
      {R"({"elicitation":{"url":{}}})", Input::retry},
      {R"({"elicitation":true})", Input::retry},
      {R"({"sampling":{},"roots":{}})", Input::retry},
  }));
  Peer peer;
  peer.ask(modern("tools/call", call(), capabilities));
  CHECK(peer.backend.tool_calls.back().input == input);
  CHECK_FALSE(peer.backend.tool_calls.back().state);
  // Not for the next request.
  peer.ask(modern("tools/call", call(), "{}", 2));
  CHECK(peer.backend.tool_calls.back().input == Input::retry);
}

TEST_CASE("before 2026-07-28 a client answers nothing", "[mcp][R43]") {
  Peer peer;
  peer.open("2025-11-25");
  peer.ask(legacy("tools/call", call()));
  CHECK(peer.backend.tool_calls.back().input == Input::none);
  CHECK(peer.ask(legacy("tools/call", call(R"(,"requestState":"s","inputResponses":{})"), 2)) ==
        error(-32602, kForeignState, 2));
  // It hears of no question, whatever the backend thinks of it.
  CHECK(peer.reply<Called>(peer.backend.calls, Called(InputRequired{json("{}"), "s", {}})) ==
        error(-32603, "Internal error"));
}

TEST_CASE("a plain call that asks is answered with its requests and a state", "[mcp][R43]") {
  Peer peer;
  peer.ask(modern("tools/call", call(), R"({"elicitation":{}})"));
  CHECK(peer.reply<Called>(peer.backend.calls, Called(InputRequired{json(kRequests), "0a", {}})) ==
        result(R"({"resultType":"input_required","inputRequests":)" + std::string(kRequests) +
               R"(,"requestState":"0a",)" + served() + "}"));
  peer.ask(modern("tools/call", call()));
  CHECK(
      peer.reply<Called>(peer.backend.calls, Called(InputRequired{json("{}"), "0a", json("{}")})) ==
      result(R"({"resultType":"input_required","requestState":"0a",)" +
             served(R"("dev.taper/remaining":{})") + "}"));
}

TEST_CASE("the call made again takes its state and answers along", "[mcp][R43]") {
  Peer peer;
  peer.ask(again(R"("0a")", kAnswered));
  const ToolCall& made = peer.backend.tool_calls.back();
  CHECK(made.state == "0a");
  CHECK(made.responses == kAnswered);
  CHECK(made.arguments == R"({"a":1})");
  peer.reply<Called>(peer.backend.calls, Called(ToolResult{}));
  peer.ask(modern("tools/call", call(R"(,"requestState":"0b")"), "{}", 2));
  CHECK(peer.backend.tool_calls.back().responses == "{}");
  const std::size_t asked = peer.backend.asked.size();
  const std::string form = "inputResponses must be an object without a name twice";
  for (const char* bad : {"null", "[]", R"({"k":1,"k":2})", "\"x\""})
    CHECK(peer.ask(again(R"("0c")", bad)) == error(-32602, form));
  for (const std::string& bad : {std::string("7"), std::string("null"), std::string("{}"),
                                 '"' + std::string(200, 'a') + '"'})
    CHECK(peer.ask(again(bad, "{}")) == error(-32602, kForeignState));
  CHECK(peer.ask(modern("tools/call", call(R"(,"inputResponses":{})"))) ==
        error(-32602, "inputResponses without the requestState they answer"));
  CHECK(peer.backend.asked.size() == asked);
}

TEST_CASE("a task that waits shows its requests in one era and its state in both", "[mcp][R43]") {
  TaskRecord task{"t-1",           TaskStatus::input_required,
                  false,           "",
                  1'700'000'000,   1'700'000'005,
                  60'000,          500,
                  json(kRequests), {}};
  const std::string dates =
      R"("createdAt":"2023-11-14T22:13:20Z","lastUpdatedAt":"2023-11-14T22:13:25Z",)";
  Peer peer;
  peer.ask(modern("tasks/get", R"("taskId":"t-1")", kTasks));
  CHECK(peer.reply<TaskRecord>(peer.backend.tasks, task) ==
        result(R"({"resultType":"complete","taskId":"t-1","status":"input_required",)" + dates +
               R"("ttlMs":60000,"pollIntervalMs":500,"inputRequests":)" + std::string(kRequests) +
               "," + served() + "}"));
  Peer old;
  old.open("2025-11-25");
  old.ask(legacy("tasks/get", R"("taskId":"t-1")"));
  CHECK(old.reply<TaskRecord>(old.backend.tasks, task) ==
        result(R"({"taskId":"t-1","status":"input_required",)" + dates +
               R"("ttl":60000,"pollInterval":500})"));
  old.ask(legacy("tasks/result", R"("taskId":"t-1")"));
  CHECK(old.reply<TaskRecord>(old.backend.tasks, task) ==
        error(-32603, "the task waits for input, which clients of 2026-07-28 give"));
}

}  // namespace
}  // namespace taper::mcp
