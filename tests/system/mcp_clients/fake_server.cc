// Serves the MCP connection on stdin and stdout over a few made-up tools, so that clients of others
// can be tried against the codec alone. Nothing here is decided or confined.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <random>

#include "runtime/base/text.h"
#include "runtime/edge/mcp/server.h"

namespace {

using namespace taper;
using namespace taper::mcp;

std::int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

Json parsed(std::string_view text) { return Json::parse(text).value_or(Json()); }

Json remaining() { return parsed(R"({"calls":41,"lease_ms":600000})"); }

ToolResult said(std::string_view text, bool is_error = false) {
  ToolResult result;
  result.content = text_content(text);
  result.is_error = is_error;
  result.remaining = remaining();
  return result;
}

std::vector<Tool> tools() {
  const Json text = parsed(R"({"type":"object","properties":{"text":{"type":"string"}},
                               "required":["text"],"additionalProperties":false})");
  const Json time =
      parsed(R"({"type":"object","properties":{"ms":{"type":"integer","minimum":0}}})");
  const Json none = parsed(R"({"type":"object"})");
  const Json sum =
      parsed(R"({"type":"object","properties":{"sum":{"type":"integer"}},"required":["sum"]})");
  const Json read = parsed(R"({"readOnlyHint":true})");
  return {
      {"ask", "", "is a task that asks for a word", none, {}, {}, TaskSupport::required},
      {"denied", "", "is never allowed", none, {}, {}, TaskSupport::forbidden},
      {"echo", "Echo", "says its text again", text, {}, read, TaskSupport::forbidden},
      {"failing", "", "reports an error", none, {}, {}, TaskSupport::optional},
      {"job", "", "runs only as a task", time, {}, {}, TaskSupport::required},
      {"slow", "", "takes its time", time, {}, read, TaskSupport::optional},
      {"sum", "", "is structured", none, sum, read, TaskSupport::forbidden},
  };
}

class Fake : public Backend {
 public:
  Server* server = nullptr;

  // Milliseconds until the next thing to do; -1: none.
  int wait_ms() const {
    if (due_.empty()) return -1;
    return static_cast<int>(std::max<std::int64_t>(0, due_.begin()->first - now_ms()));
  }
  void run_due() {
    while (!due_.empty() && due_.begin()->first <= now_ms()) {
      const std::function<void()> act = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      act();
    }
  }

  void list_tools(Number /*number*/, Done<Listed<Tool>> done) override {
    done(Listed<Tool>{tools(), 1000});
  }

  void call_tool(Number number, ToolCall call, Done<Called> done) override {
    const auto arguments = Object::read(call.arguments).value_or(Object());
    const std::int64_t ms = read_integer(arguments.find("ms").value_or("300")).value_or(300);
    if (call.name == "denied") return done(Denial{504, "an argument is not allowed", remaining()});
    if (call.name == "echo") return done(Called(said(arguments.string("text").value_or(""))));
    if (call.name == "ask") {
      if (call.task != TaskWish::may) return done(Refusal::needs_task);
      return done(Called(question()));
    }
    if (call.name == "sum") {
      ToolResult result = said(R"({"sum":3})");
      result.structured = parsed(R"({"sum":3})");
      return done(Called(result));
    }
    const bool fails = call.name == "failing";
    if (!fails && call.name != "job" && call.name != "slow") return done(Refusal::unknown_tool);
    if (call.name == "job" && call.task == TaskWish::never) return done(Refusal::needs_task);
    const ToolResult result = said(fails ? "it failed" : "done", fails);
    if (call.task == TaskWish::insist || (call.task == TaskWish::may && !fails)) {
      return done(Called(start(ms, call.ttl_ms, result)));
    }
    for (int step = 1; step <= 3; ++step) {
      at(ms * step / 4, [this, number, step] {
        server->progress(number, {double(step), 4.0, "step " + std::to_string(step)});
      });
    }
    at(ms, [done, result] { done(Called(result)); });
  }

  void list_resources(Number /*number*/, Done<Listed<Resource>> done) override {
    done(
        Listed<Resource>{{{"taper://task", "task", "", "what this task may do", "text/plain"}}, 0});
  }
  void list_templates(Number /*number*/, Done<Listed<Resource>> done) override {
    done(Listed<Resource>{});
  }
  void read_resource(Number /*number*/, std::string uri, Done<ReadResource> done) override {
    if (uri != "taper://task") return done(Refusal::unknown_resource);
    done(ReadResource{{{uri, "text/plain", std::string("41 calls are left")}}, 0, remaining()});
  }

  void get_task(Number /*number*/, std::string task, TaskView /*view*/,
                Done<TaskRecord> done) override {
    const auto found = tasks_.find(task);
    if (found == tasks_.end()) return done(Refusal::unknown_task);
    done(found->second);
  }
  void await_task(Number /*number*/, std::string task, Done<TaskRecord> done) override {
    const auto found = tasks_.find(task);
    if (found == tasks_.end()) return done(Refusal::unknown_task);
    if (is_terminal(found->second.status)) return done(found->second);
    waiting_.emplace(task, std::move(done));
  }
  void update_task(Number /*number*/, std::string task, std::string responses, Input /*input*/,
                   Done<std::monostate> done) override {
    if (!tasks_.contains(task)) return done(Refusal::unknown_task);
    done(std::monostate());
    const auto answers = Object::read(responses).value_or(Object());
    if (const auto word = answers.find("word")) {
      end(task, TaskStatus::completed, said("the answer was " + std::string(*word)));
    }
  }
  void cancel_task(Number /*number*/, std::string task, Done<TaskRecord> done) override {
    const auto found = tasks_.find(task);
    if (found == tasks_.end()) return done(Refusal::unknown_task);
    if (is_terminal(found->second.status)) return done(Refusal::already_ended);
    end(task, TaskStatus::cancelled, {});
    done(tasks_.at(task));
  }

  void subscribe(Number /*number*/, Interests wanted, Done<Interests> done) override {
    std::erase_if(wanted.tasks, [&](const std::string& id) { return !tasks_.contains(id); });
    std::erase_if(wanted.uris, [](const std::string& uri) { return uri != "taper://task"; });
    done(wanted);
  }
  void unsubscribe(Number /*number*/) override {}
  void cancel(Number /*number*/) override {}

 private:
  void at(std::int64_t ms, std::function<void()> act) {
    due_.emplace(now_ms() + ms, std::move(act));
  }

  TaskRecord made(std::optional<std::int64_t> ttl_ms) {
    std::random_device random;
    TaskRecord task;
    for (int i = 0; i < 4; ++i) task.id += std::to_string(random());
    task.created_s = task.updated_s = now_ms() / 1000;
    task.ttl_ms = ttl_ms.value_or(60'000);
    task.poll_ms = 50;
    task.remaining = remaining();
    return task;
  }

  TaskRecord question() {
    TaskRecord task = made(std::nullopt);
    task.status = TaskStatus::input_required;
    task.payload = parsed(R"({"word":{"method":"elicitation/create","params":{"mode":"form",
        "message":"Which word?","requestedSchema":{"type":"object",
        "properties":{"word":{"type":"string"}},"required":["word"]}}}})");
    return tasks_[task.id] = task;
  }

  TaskRecord start(std::int64_t ms, std::optional<std::int64_t> ttl_ms, const ToolResult& result) {
    const TaskRecord task = made(ttl_ms);
    const std::string id = task.id;
    tasks_[id] = task;
    for (int step = 1; step <= 3; ++step) {
      at(ms * step / 4, [this, id, step] {
        server->task_progress(id, {double(step), 4.0, "step " + std::to_string(step)});
      });
    }
    at(ms, [this, id, result] { end(id, TaskStatus::completed, result); });
    return task;
  }

  void end(const std::string& id, TaskStatus status, std::optional<ToolResult> result) {
    TaskRecord& task = tasks_.at(id);
    if (is_terminal(task.status)) return;
    task.status = status;
    task.updated_s = now_ms() / 1000;
    if (result) {
      task.is_error = result->is_error;
      task.payload = *result;
    }
    server->task_changed(task);
    const auto [from, to] = waiting_.equal_range(id);
    const std::multimap<std::string, Done<TaskRecord>> told(from, to);
    waiting_.erase(from, to);
    for (const auto& [name, done] : told) done(task);
  }

  std::multimap<std::int64_t, std::function<void()>> due_;
  std::map<std::string, TaskRecord> tasks_;
  std::multimap<std::string, Done<TaskRecord>> waiting_;
};

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(STDOUT_FILENO, text.data(), text.size());
    if (wrote <= 0) ::_exit(1);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

}  // namespace

int main() {
  Fake fake;
  Server server({"taper-fake", "", "0.0.0", "Made-up tools for trying clients.", 1000}, fake,
                write_all);
  fake.server = &server;
  std::array<char, 65536> buffer{};
  while (true) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, 1, fake.wait_ms());
    fake.run_due();
    if (ready <= 0) continue;
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got <= 0) break;
    server.feed({buffer.data(), static_cast<std::size_t>(got)});
  }
  server.close();
  return 0;
}
