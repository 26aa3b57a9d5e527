// A connection over a backend that remembers what it was asked and answers when the test says so.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "runtime/edge/mcp/server.h"
#include "runtime/edge/mcp/version.h"

namespace taper::mcp {

inline Json json(std::string_view text) {
  const std::optional<Json> value = Json::parse(text);
  REQUIRE(value);
  return *value;
}

// Every question is a line "verb details"; its Done is kept under its number.
class FakeBackend : public Backend {
 public:
  std::vector<std::string> asked;
  std::map<Number, Done<Listed<Tool>>> tools;
  std::map<Number, Done<Called>> calls;
  std::map<Number, Done<Listed<Resource>>> lists;
  std::map<Number, Done<ReadResource>> reads;
  std::map<Number, Done<TaskRecord>> tasks;
  std::map<Number, Done<std::monostate>> updates;
  std::map<Number, Done<Interests>> subscriptions;
  std::vector<ToolCall> tool_calls;
  Interests wanted;
  Number last = 0;

  void list_tools(Number number, Done<Listed<Tool>> done) override {
    keep(tools, number, std::move(done), "list_tools");
  }
  void call_tool(Number number, ToolCall call, Done<Called> done) override {
    tool_calls.push_back(call);
    keep(calls, number, std::move(done), "call_tool " + call.name);
  }
  void list_resources(Number number, Done<Listed<Resource>> done) override {
    keep(lists, number, std::move(done), "list_resources");
  }
  void list_templates(Number number, Done<Listed<Resource>> done) override {
    keep(lists, number, std::move(done), "list_templates");
  }
  void read_resource(Number number, std::string uri, Done<ReadResource> done) override {
    keep(reads, number, std::move(done), "read_resource " + uri);
  }
  void get_task(Number number, std::string task, TaskView view, Done<TaskRecord> done) override {
    keep(tasks, number, std::move(done),
         (view == TaskView::status ? "get_task status " : "get_task payload ") + task);
  }
  void await_task(Number number, std::string task, Done<TaskRecord> done) override {
    keep(tasks, number, std::move(done), "await_task " + task);
  }
  void update_task(Number number, std::string task, std::string responses, Input /*input*/,
                   Done<std::monostate> done) override {
    keep(updates, number, std::move(done), "update_task " + task + " " + responses);
  }
  void cancel_task(Number number, std::string task, Done<TaskRecord> done) override {
    keep(tasks, number, std::move(done), "cancel_task " + task);
  }
  void subscribe(Number number, Interests interests, Done<Interests> done) override {
    wanted = std::move(interests);
    keep(subscriptions, number, std::move(done), "subscribe");
  }
  void unsubscribe(Number number) override {
    asked.push_back("unsubscribe " + std::to_string(number));
  }
  void cancel(Number number) override { asked.push_back("cancel " + std::to_string(number)); }

 private:
  template <class T>
  void keep(std::map<Number, Done<T>>& where, Number number, Done<T> done, std::string line) {
    last = number;
    asked.push_back(std::move(line));
    where.emplace(number, std::move(done));
  }
};

class Peer {
 public:
  FakeBackend backend;
  std::vector<std::string> sent;  // lines without their line feed
  Server server{Identity{"taper", "Taper", "1.0", "Ask for little.", 0}, backend,
                [this](std::string_view line) { sink(line); }};

  // What the line is answered with at once; several answers are joined by line feeds.
  std::string ask(std::string_view line) {
    const std::size_t before = sent.size();
    server.feed(std::string(line) + "\n");
    return since(before);
  }
  std::string since(std::size_t before) const {
    std::string joined;
    for (std::size_t i = before; i < sent.size(); ++i) joined += (i > before ? "\n" : "") + sent[i];
    return joined;
  }
  // What is sent while `act` runs.
  template <class Act>
  std::string during(Act act) {
    const std::size_t before = sent.size();
    act();
    return since(before);
  }
  template <class T>
  std::string reply(std::map<Number, Done<T>>& where, Outcome<T> outcome) {
    REQUIRE(where.contains(backend.last));
    return during([&] { where.at(backend.last)(std::move(outcome)); });
  }
  void open(std::string_view version) {
    ask(R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":")" +
        std::string(version) + R"(","capabilities":{},"clientInfo":{"name":"c","version":"1"}}})");
    ask(R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
    sent.clear();
  }

 private:
  void sink(std::string_view line) {
    REQUIRE(line.ends_with('\n'));
    line.remove_suffix(1);
    REQUIRE(line.find('\n') == line.npos);
    REQUIRE(is_valid_json(line));
    sent.emplace_back(line);
  }
};

// A request as each era has it; `params` are members without braces, or empty.
inline std::string legacy(std::string_view method, std::string_view params = {}, int id = 1) {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + std::string(method) +
         R"(","params":{)" + std::string(params) + "}}";
}

inline constexpr std::string_view kNoCapabilities = "{}";
inline constexpr std::string_view kTasks = R"({"extensions":{"io.modelcontextprotocol/tasks":{}}})";

inline std::string modern(std::string_view method, std::string_view params = {},
                          std::string_view capabilities = kNoCapabilities, int id = 1,
                          std::string_view meta = {}) {
  return legacy(method,
                std::string(params) + (params.empty() ? "" : ",") +
                    R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",)" +
                    R"("io.modelcontextprotocol/clientCapabilities":)" + std::string(capabilities) +
                    (meta.empty() ? "" : ",") + std::string(meta) + "}",
                id);
}

inline std::string result(std::string_view body, int id = 1) {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"result":)" + std::string(body) +
         "}";
}

inline std::string error(int code, std::string_view text, int id = 1) {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"error":{"code":)" +
         std::to_string(code) + R"(,"message":")" + std::string(text) + R"("}})";
}

// "_meta" as every modern result ends, with `more` before the server's name.
inline std::string served(std::string_view more = {}) {
  return R"("_meta":{)" + std::string(more) + (more.empty() ? "" : ",") +
         R"("io.modelcontextprotocol/serverInfo":{"name":"taper","title":"Taper","version":"1.0"}})";
}

}  // namespace taper::mcp
