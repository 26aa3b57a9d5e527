// Tasks in both renderings.
#include "tests/unit/mcp/harness.h"

namespace taper::mcp {
namespace {

TaskRecord record(TaskStatus status = TaskStatus::working) {
  TaskRecord task;
  task.id = "t-1";
  task.status = status;
  task.created_s = 1'795'255'200;  // 2026-11-21T10:00:00Z
  task.updated_s = 1'795'255'260;
  task.ttl_ms = 60'000;
  task.poll_ms = 500;
  return task;
}

ToolResult text(std::string_view words, bool is_error = false) {
  ToolResult told;
  told.content = text_content(words);
  told.is_error = is_error;
  return told;
}

const std::string kTimes =
    R"("createdAt":"2026-11-21T10:00:00Z","lastUpdatedAt":"2026-11-21T10:01:00Z",)";
const std::string kNew = kTimes + R"("ttlMs":60000,"pollIntervalMs":500)";
const std::string kOld = kTimes + R"("ttl":60000,"pollInterval":500)";
const std::string kMissing =
    R"({"jsonrpc":"2.0","id":1,"error":{"code":-32021,)"
    R"("message":"Missing required client capability","data":{"requiredCapabilities":)"
    R"({"extensions":{"io.modelcontextprotocol/tasks":{}}}}}})";

TEST_CASE("a new task is flat since 2026-07-28", "[mcp]") {
  Peer peer;
  peer.ask(modern("tools/call", R"("name":"t")", kTasks));
  TaskRecord task = record();
  task.message = "begun";
  task.remaining = json(R"({"calls":3})");
  CHECK(
      peer.reply<Called>(peer.backend.calls, Called(task)) ==
      result(R"({"resultType":"task","taskId":"t-1","status":"working","statusMessage":"begun",)" +
             kNew + "," + served(R"("dev.taper/remaining":{"calls":3})") + "}"));
}

TEST_CASE("tasks/get hands out what each state carries", "[mcp]") {
  const auto told = [](const TaskRecord& task) {
    Peer peer;
    CHECK(peer.ask(modern("tasks/get", R"("taskId":"t-1")", kTasks)).empty());
    CHECK(peer.backend.asked.back() == "get_task payload t-1");
    return peer.reply<TaskRecord>(peer.backend.tasks, task);
  };
  const auto expected = [](std::string_view status, std::string_view more) {
    return result(R"({"resultType":"complete","taskId":"t-1","status":")" + std::string(status) +
                  "\"," + (status == "failed" ? R"("statusMessage":"gone",)" : "") + kNew +
                  std::string(more) + "," + served() + "}");
  };
  CHECK(told(record()) == expected("working", ""));
  CHECK(told(record(TaskStatus::cancelled)) == expected("cancelled", ""));
  TaskRecord task = record(TaskStatus::completed);
  task.payload = text("x", true);
  CHECK(told(task) ==
        expected("completed", R"(,"result":{"resultType":"complete",)"
                              R"("content":[{"type":"text","text":"x"}],"isError":true,)" +
                                  served() + "}"));
  task = record(TaskStatus::failed);
  task.payload = RpcError{-32002, "gone", json("[1]")};
  CHECK(told(task) ==
        expected("failed", R"(,"error":{"code":-32603,"message":"gone","data":[1]})"));
  task = record(TaskStatus::input_required);
  task.payload = json(R"({"k":{"method":"roots/list"}})");
  CHECK(told(task) ==
        expected("input_required", R"(,"inputRequests":{"k":{"method":"roots/list"}})"));
  task = record();
  task.ttl_ms = std::nullopt;
  task.poll_ms = std::nullopt;
  CHECK(told(task) == result(R"({"resultType":"complete","taskId":"t-1","status":"working",)" +
                             kTimes + R"("ttlMs":null,)" + served() + "}"));
}

TEST_CASE("no state lacks what it must carry\\, also when nothing is handed out", "[mcp]") {
  const auto has = [](TaskStatus status, std::string_view field) {
    Peer peer;
    peer.ask(modern("tasks/get", R"("taskId":"t-1")", kTasks));
    return peer.reply<TaskRecord>(peer.backend.tasks, record(status)).find(field) !=
           std::string::npos;
  };
  CHECK(has(TaskStatus::completed, R"("result":{)"));
  CHECK(has(TaskStatus::failed, R"("error":{"code":-32603,"message":"the task failed"})"));
  CHECK(has(TaskStatus::input_required, R"("inputRequests":{})"));
}

TEST_CASE("update and cancel are acknowledged and no more", "[mcp]") {
  Peer peer;
  const std::string done = result(R"({"resultType":"complete",)" + served() + "}");
  peer.ask(modern("tasks/update", R"("taskId":"t-1","inputResponses":{ "k":{"action":"accept"}})",
                  kTasks));
  CHECK(peer.backend.asked.back() == R"(update_task t-1 { "k":{"action":"accept"}})");
  CHECK(peer.reply<std::monostate>(peer.backend.updates, std::monostate()) == done);
  peer.ask(modern("tasks/cancel", R"("taskId":"t-1")", kTasks));
  CHECK(peer.reply<TaskRecord>(peer.backend.tasks, record(TaskStatus::cancelled)) == done);
  peer.ask(modern("tasks/cancel", R"("taskId":"t-1")", kTasks));
  CHECK(peer.reply<TaskRecord>(peer.backend.tasks, Refusal::already_ended) == done);
  for (const char* bad : {"", R"(,"inputResponses":null)", R"(,"inputResponses":[])",
                          R"(,"inputResponses":{"k":1,"k":2})"}) {
    CHECK(peer.ask(modern("tasks/update", R"("taskId":"t-1")" + std::string(bad), kTasks)) ==
          error(-32602, "inputResponses must be an object without a name twice"));
  }
}

TEST_CASE("who does not declare the extension gets no tasks and is told so", "[mcp]") {
  Peer peer;
  for (const char* method : {"tasks/get", "tasks/update", "tasks/cancel"}) {
    CHECK(peer.ask(modern(method, R"("taskId":"t-1","inputResponses":{})")) == kMissing);
  }
  CHECK(peer.ask(modern("subscriptions/listen", R"("notifications":{"taskIds":["t-1"]})")) ==
        kMissing);
  CHECK(peer.backend.asked.empty());
  // Declared once is not declared for the next request.
  peer.ask(modern("tools/call", R"("name":"t")", kTasks, 7));
  peer.ask(modern("tools/call", R"("name":"t")"));
  CHECK(peer.backend.tool_calls.back().task == TaskWish::never);
  CHECK(peer.reply<Called>(peer.backend.calls, Refusal::needs_task) == kMissing);
}

TEST_CASE("2025-11-25: the client asks for a task and gets it wrapped", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  const auto wished = [&](std::string_view task) {
    const std::string now =
        peer.ask(legacy("tools/call", R"("name":"t","task":)" + std::string(task)));
    REQUIRE(now.empty());
    peer.backend.calls.at(peer.backend.last)(Refusal::internal);
    return peer.backend.tool_calls.back();
  };
  CHECK(wished("{}").task == TaskWish::insist);
  CHECK_FALSE(wished("{}").ttl_ms);
  CHECK_FALSE(wished(R"({"ttl":null})").ttl_ms);
  CHECK(wished(R"({"ttl":0})").ttl_ms == 0);
  CHECK(wished(R"({"ttl":90000})").ttl_ms == 90'000);
  for (const char* bad : {"null", "1", "[]", R"({"ttl":-1})", R"({"ttl":1.5})", R"({"ttl":"1"})",
                          R"({"ttl":99999999999999999999})", R"({"ttl":1,"ttl":2})"}) {
    CHECK(peer.ask(legacy("tools/call", R"("name":"t","task":)" + std::string(bad))) ==
          error(-32602, "task must be an object, its ttl a whole number or null"));
  }
  peer.ask(legacy("tools/call", R"("name":"t","task":{})"));
  TaskRecord task = record();
  task.remaining = json("{}");
  CHECK(peer.reply<Called>(peer.backend.calls, Called(task)) ==
        result(R"({"task":{"taskId":"t-1","status":"working",)" + kOld +
               R"(},"_meta":{"dev.taper/remaining":{}}})"));
  peer.ask(legacy("tools/call", R"("name":"t")"));
  CHECK(peer.backend.tool_calls.back().task == TaskWish::never);
}

TEST_CASE("2025-11-25: a tool used the wrong way is a method that is not there", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  peer.ask(legacy("tools/call", R"("name":"t")"));
  CHECK(peer.reply<Called>(peer.backend.calls, Refusal::needs_task) ==
        error(-32601, "this tool runs only as a task"));
  peer.ask(legacy("tools/call", R"("name":"t","task":{})"));
  CHECK(peer.reply<Called>(peer.backend.calls, Refusal::never_task) ==
        error(-32601, "this tool does not run as a task"));
  // Who waits for a task could not read a result.
  peer.ask(legacy("tools/call", R"("name":"t","task":{})"));
  CHECK(peer.reply<Called>(peer.backend.calls, Denial{504, "no", {}}) ==
        R"({"jsonrpc":"2.0","id":1,"error":{"code":504,"message":"E504: no",)"
        R"("data":{"dev.taper/denial":{"code":504}}}})");
  // Before tasks a `task` means nothing, and a tool that needs one says so to the model.
  Peer older;
  older.open("2025-06-18");
  older.ask(legacy("tools/call", R"("name":"t","task":{"ttl":"?"})"));
  CHECK(older.backend.tool_calls.back().task == TaskWish::never);
  CHECK(older.reply<Called>(older.backend.calls, Refusal::needs_task).find("\"isError\":true") !=
        std::string::npos);
}

TEST_CASE("2025-11-25: get tells the state\\, result what came of it", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  const auto get = [&](const TaskRecord& task) {
    peer.ask(legacy("tasks/get", R"("taskId":"t-1","task":{"ttl":5})"));
    CHECK(peer.backend.asked.back() == "get_task status t-1");
    return peer.reply<TaskRecord>(peer.backend.tasks, task);
  };
  const auto outcome = [&](const TaskRecord& task) {
    peer.ask(legacy("tasks/result", R"("taskId":"t-1")"));
    CHECK(peer.backend.asked.back() == "await_task t-1");
    return peer.reply<TaskRecord>(peer.backend.tasks, task);
  };
  const auto state = [](std::string_view status) {
    return result(R"({"taskId":"t-1","status":")" + std::string(status) + "\"," + kOld + "}");
  };
  CHECK(get(record()) == state("working"));
  CHECK(get(record(TaskStatus::input_required)) == state("input_required"));
  TaskRecord task = record(TaskStatus::completed);
  task.payload = text("x");
  CHECK(get(task) == state("completed"));
  const std::string related =
      R"("_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t-1"}}})";
  CHECK(outcome(task) ==
        result(R"({"content":[{"type":"text","text":"x"}],"isError":false,)" + related));
  // Here a tool's error is the task's failure, whether its result is handed out or not.
  task.is_error = true;
  task.payload = std::monostate();
  CHECK(get(task) == state("failed"));
  task.payload = text("x", true);
  CHECK(outcome(task) ==
        result(R"({"content":[{"type":"text","text":"x"}],"isError":true,)" + related));
  task = record(TaskStatus::failed);
  task.payload = RpcError{-7, "gone", {}};
  CHECK(outcome(task) == error(-7, "gone"));
  CHECK(outcome(record(TaskStatus::cancelled)) == error(-32603, "the task was cancelled"));
  peer.ask(legacy("tasks/cancel", R"("taskId":"t-1")"));
  CHECK(peer.reply<TaskRecord>(peer.backend.tasks, record(TaskStatus::cancelled)) ==
        state("cancelled"));
  peer.ask(legacy("tasks/cancel", R"("taskId":"t-1")"));
  CHECK(peer.reply<TaskRecord>(peer.backend.tasks, Refusal::already_ended) ==
        error(-32602, "the task has already ended"));
}

TEST_CASE("unknown\\, foreign and malformed ids are answered with the same bytes", "[mcp][R4]") {
  const std::string unknown = error(-32602, "Unknown task");
  for (const char* method : {"tasks/get", "tasks/update", "tasks/cancel"}) {
    Peer peer;
    peer.ask(modern(method, R"("taskId":"other","inputResponses":{})", kTasks));
    if (std::string_view(method) == "tasks/update") {
      CHECK(peer.reply<std::monostate>(peer.backend.updates, Refusal::unknown_task) == unknown);
    } else {
      CHECK(peer.reply<TaskRecord>(peer.backend.tasks, Refusal::unknown_task) == unknown);
    }
    CHECK(peer.ask(modern(method,
                          R"("taskId":")" + std::string(129, 'x') + R"(","inputResponses":{})",
                          kTasks)) == unknown);
    CHECK(peer.ask(modern(method, R"("taskId":7,"inputResponses":{})", kTasks)) ==
          error(-32602, "taskId must be a string"));
  }
  for (const char* method : {"tasks/get", "tasks/result", "tasks/cancel"}) {
    Peer peer;
    peer.open("2025-11-25");
    peer.ask(legacy(method, R"("taskId":"other")"));
    CHECK(peer.reply<TaskRecord>(peer.backend.tasks, Refusal::unknown_task) == unknown);
  }
}

TEST_CASE("2025-11-25: a task is told of to who made it\\, until it has ended", "[mcp]") {
  Peer peer;
  peer.open("2025-11-25");
  peer.ask(legacy("tools/call", R"("name":"t","task":{},"_meta":{"progressToken":"p"})"));
  const Number number = peer.backend.last;
  peer.during([&] { peer.server.progress(number, {1, {}, ""}); });
  peer.reply<Called>(peer.backend.calls, Called(record()));
  const auto progressed = [&](double done) {
    return peer.during([&] { peer.server.task_progress("t-1", {done, {}, ""}); });
  };
  // The token outlives the answer, and still rises.
  CHECK(progressed(1).empty());
  CHECK(progressed(2) ==
        R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p",)"
        R"("progress":2,"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t-1"}}}})");
  const auto changed = [&](const TaskRecord& task) {
    return peer.during([&] { peer.server.task_changed(task); });
  };
  TaskRecord other = record();
  other.id = "t-2";
  CHECK(changed(other).empty());
  const auto expected = [](std::string_view status) {
    return R"({"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"t-1",)"
           R"("status":")" +
           std::string(status) + "\"," + kOld + "}}";
  };
  CHECK(changed(record()) == expected("working"));
  TaskRecord ended = record(TaskStatus::completed);
  ended.payload = text("x");
  CHECK(changed(ended) == expected("completed"));
  CHECK(changed(ended).empty());
  CHECK(progressed(3).empty());
}

TEST_CASE("cancelling a request never cancels a task", "[mcp]") {
  Peer peer;
  peer.ask(modern("tools/call", R"("name":"t")", kTasks));
  const Number number = peer.backend.last;
  peer.ask(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}})");
  CHECK(peer.backend.asked.back() == "cancel " + std::to_string(number));
  CHECK(peer.reply<Called>(peer.backend.calls, Called(record())).empty());
  for (const std::string& asked : peer.backend.asked) CHECK_FALSE(asked.starts_with("cancel_task"));
}

}  // namespace
}  // namespace taper::mcp
