// What is told without being asked for each time.
#include "runtime/base/limits.h"
#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

constexpr std::string_view kEverything =
    R"("notifications":{"toolsListChanged":true,"promptsListChanged":true,)"
    R"("resourcesListChanged":true,"resourceSubscriptions":["a:1","a:2"],"taskIds":["t-1","t-2"]})";

std::string told(std::string_view method, std::string_view params) {
  return R"({"jsonrpc":"2.0","method":"notifications/)" + std::string(method) + R"(","params":{)" +
         std::string(params) + "}}";
}

const std::string kFirst = R"("_meta":{"io.modelcontextprotocol/subscriptionId":1})";

TEST_CASE("a subscription is acknowledged with what is honoured\\, and then told of it", "[mcp]") {
  Peer peer;
  CHECK(peer.ask(modern("subscriptions/listen", kEverything, kTasks)).empty());
  CHECK(peer.backend.wanted.tools);
  CHECK(peer.backend.wanted.resources);
  CHECK(peer.backend.wanted.uris == std::vector<std::string>{"a:1", "a:2"});
  CHECK(peer.backend.wanted.tasks == std::vector<std::string>{"t-1", "t-2"});
  // Nothing goes before the acknowledgement.
  CHECK(peer.during([&] { peer.server.tools_changed(); }).empty());
  // The backend may not grant what nobody asked for.
  CHECK(peer.reply<Interests>(peer.backend.subscriptions,
                              Interests{true, true, {"a:1", "a:9"}, {"t-2"}}) ==
        told("subscriptions/acknowledged",
             kFirst + R"(,"notifications":{"toolsListChanged":true,"resourcesListChanged":true,)"
                      R"("resourceSubscriptions":["a:1"],"taskIds":["t-2"]})"));
  CHECK(peer.during([&] { peer.server.tools_changed(); }) == told("tools/list_changed", kFirst));
  CHECK(peer.during([&] { peer.server.resources_changed(); }) ==
        told("resources/list_changed", kFirst));
  CHECK(peer.during([&] { peer.server.resource_updated("a:1"); }) ==
        told("resources/updated", kFirst + R"(,"uri":"a:1")"));
  CHECK(peer.during([&] { peer.server.resource_updated("a:2"); }).empty());
  CHECK(peer.during([&] { peer.server.resource_updated("a:9"); }).empty());
  TaskRecord task;
  task.id = "t-2";
  task.created_s = task.updated_s = 1'795'255'200;
  task.status = TaskStatus::cancelled;
  CHECK(peer.during([&] { peer.server.task_changed(task); }) ==
        told("tasks", R"("taskId":"t-2","status":"cancelled","createdAt":"2026-11-21T10:00:00Z",)"
                      R"("lastUpdatedAt":"2026-11-21T10:00:00Z","ttlMs":null,)" +
                          kFirst));
  // An end is told once; nothing later contradicts it.
  task.status = TaskStatus::completed;
  CHECK(peer.during([&] { peer.server.task_changed(task); }).empty());
  task.id = "t-1";
  CHECK(peer.during([&] { peer.server.task_changed(task); }).empty());
}

TEST_CASE("only what was asked for is told", "[mcp]") {
  Peer peer;
  peer.ask(modern("subscriptions/listen", R"("notifications":{"toolsListChanged":false})"));
  CHECK(peer.reply<Interests>(peer.backend.subscriptions, Interests{true, true, {"a:1"}, {"t"}}) ==
        told("subscriptions/acknowledged", kFirst + R"(,"notifications":{})"));
  CHECK(peer.during([&] {
              peer.server.tools_changed();
              peer.server.resources_changed();
              peer.server.resource_updated("a:1");
            })
            .empty());
}

TEST_CASE("each subscription has its own id\\, as it was spelled", "[mcp]") {
  Peer peer;
  for (const char* id : {"7", R"("a\u0062")"}) {
    std::string line =
        modern("subscriptions/listen", R"("notifications":{"toolsListChanged":true})");
    line.replace(line.find("\"id\":1"), 6, "\"id\":" + std::string(id));
    peer.ask(line);
    peer.reply<Interests>(peer.backend.subscriptions, Interests{true, false, {}, {}});
  }
  CHECK(peer.during([&] { peer.server.tools_changed(); }) ==
        told("tools/list_changed", R"("_meta":{"io.modelcontextprotocol/subscriptionId":7})") +
            "\n" +
            told("tools/list_changed",
                 R"("_meta":{"io.modelcontextprotocol/subscriptionId":"a\u0062"})"));
  // The other spelling is the same id.
  peer.ask(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"ab"}})");
  CHECK(peer.backend.asked.back() == "unsubscribe 2");
  CHECK(peer.during([&] { peer.server.tools_changed(); }) ==
        told("tools/list_changed", R"("_meta":{"io.modelcontextprotocol/subscriptionId":7})"));
}

TEST_CASE("an orderly end is a result with the subscription's id", "[mcp]") {
  Peer peer;
  peer.ask(modern("subscriptions/listen", R"("notifications":{"toolsListChanged":true})"));
  peer.reply<Interests>(peer.backend.subscriptions, Interests{true, false, {}, {}});
  CHECK(peer.during([&] { peer.server.end_subscriptions(); }) ==
        result(R"({"resultType":"complete",)" +
               served(R"("io.modelcontextprotocol/subscriptionId":1)") + "}"));
  CHECK(peer.backend.asked.back() == "unsubscribe 1");
  CHECK(peer.during([&] { peer.server.tools_changed(); }).empty());
}

TEST_CASE("a filter of other types is refused", "[mcp]") {
  Peer peer;
  for (const char* filter :
       {"", R"("notifications":null)", R"("notifications":[])",
        R"("notifications":{"toolsListChanged":1})",
        R"("notifications":{"promptsListChanged":"x"})",
        R"("notifications":{"resourcesListChanged":null})",
        R"("notifications":{"resourceSubscriptions":"a:1"})",
        R"("notifications":{"resourceSubscriptions":[1]})", R"("notifications":{"taskIds":{}})",
        R"("notifications":{"taskIds":[],"taskIds":[]})"}) {
    CHECK(peer.ask(modern("subscriptions/listen", filter, kTasks)) ==
          error(-32602, "notifications must be a filter as specified"));
  }
  std::string many = R"("notifications":{"resourceSubscriptions":["a:0")";
  for (std::size_t i = 0; i < limits::kMcpInterestsMax; ++i) many += ",\"a:1\"";
  CHECK(peer.ask(modern("subscriptions/listen", many + "]}")).find("-32602") != std::string::npos);
  CHECK(peer.backend.asked.empty());
}

TEST_CASE("a refused subscription is answered with an error", "[mcp]") {
  Peer peer;
  peer.ask(modern("subscriptions/listen", R"("notifications":{})"));
  CHECK(peer.reply<Interests>(peer.backend.subscriptions, Denial{401, "not now", {}})
            .starts_with(R"({"jsonrpc":"2.0","id":1,"error":{"code":401,)"));
  // Its id is free again.
  CHECK(peer.ask(modern("subscriptions/listen", R"("notifications":{})")).empty());
}

TEST_CASE("subscriptions are counted", "[mcp]") {
  Peer peer;
  int id = 0;
  for (std::size_t i = 0; i < limits::kMcpSubscriptionsMax; ++i) {
    CHECK(peer.ask(modern("subscriptions/listen", R"("notifications":{})", "{}", ++id)).empty());
  }
  CHECK(peer.ask(modern("subscriptions/listen", R"("notifications":{})", "{}", 1000)) ==
        error(-32603, "too many subscriptions; end one first", 1000));
}

TEST_CASE("before 2026-07-28 a resource is subscribed to by its own method", "[mcp]") {
  Peer peer;
  peer.open("2025-06-18");
  const auto updated = [&] { return peer.during([&] { peer.server.resource_updated("a:1"); }); };
  CHECK(peer.ask(legacy("resources/subscribe", R"("uri":"a:1")")).empty());
  CHECK(updated().empty());
  CHECK(peer.reply<Interests>(peer.backend.subscriptions, Interests{false, false, {"a:1"}, {}}) ==
        result("{}"));
  CHECK(peer.ask(legacy("resources/subscribe", R"("uri":"a:1")")) == result("{}"));
  CHECK(updated() == told("resources/updated", R"("uri":"a:1")"));
  CHECK(peer.ask(legacy("resources/unsubscribe", R"("uri":"a:1")")) == result("{}"));
  CHECK(peer.backend.asked.back() == "unsubscribe 1");
  CHECK(updated().empty());
  CHECK(peer.ask(legacy("resources/unsubscribe", R"("uri":"a:1")")) == result("{}"));
  CHECK(peer.ask(legacy("resources/subscribe", R"("uri":"a:2")")).empty());
  CHECK(peer.reply<Interests>(peer.backend.subscriptions, Interests{}) ==
        R"({"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"Resource not found",)"
        R"("data":{"uri":"a:2"}}})");
  CHECK(peer.ask(legacy("resources/subscribe", R"("uri":7)")).find("-32602") != std::string::npos);
}

TEST_CASE("list changes are told to legacy clients that have opened", "[mcp]") {
  Peer peer;
  CHECK(peer.during([&] { peer.server.tools_changed(); }).empty());
  peer.open("2024-11-05");
  CHECK(peer.during([&] { peer.server.tools_changed(); }) ==
        R"({"jsonrpc":"2.0","method":"notifications/tools/list_changed"})");
  CHECK(peer.during([&] { peer.server.resources_changed(); }) ==
        R"({"jsonrpc":"2.0","method":"notifications/resources/list_changed"})");
}

}  // namespace
}  // namespace taper::mcp
