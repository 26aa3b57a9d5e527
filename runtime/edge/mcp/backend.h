// What a connection asks of whoever decides and runs. The codec knows no authority: every question
// goes to a Backend, which answers whenever it can, through a Done. A Done may be called at once,
// later, or never; after the connection has ended it does nothing. It is called at most once, and
// on the thread that feeds the connection.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/edge/mcp/json.h"

namespace taper::mcp {

// Names one question for cancel() and progress(); never used twice on a connection.
using Number = std::uint64_t;

// The agent is told the code and a fixed text, nothing else; `remaining` is an object or absent.
struct Denial {
  std::uint32_t code = 0;  // of codes.def
  std::string text;
  Json remaining;
};

enum class Refusal : std::uint8_t {
  unknown_tool,      // or one that is not discoverable
  unknown_resource,  // or someone else's
  unknown_task,      // or someone else's, or expired: all answered with the same bytes
  needs_task,        // the tool runs only as a task, and the client cannot or does not want one
  never_task,        // the client insists on a task, and the tool never makes one
  already_ended,     // cancel of a task in a terminal state (told to legacy clients only)
  internal,
};

// For a requestState that names no call that waits, of this client and with these arguments.
inline constexpr std::string_view kForeignState =
    "this requestState was not given out for this call";

// An error of JSON-RPC, as an upstream server gave it.
struct RpcError {
  std::int64_t code = 0;
  std::string message;
  Json data;
};

// The denial told as this error: its number and what remains stand in the data.
RpcError as_error(const Denial& denial, std::int64_t code, std::string message);

template <class T>
using Outcome = std::variant<T, Denial, Refusal, RpcError>;
template <class T>
using Done = std::function<void(Outcome<T>)>;

enum class TaskSupport : std::uint8_t { forbidden, optional, required };

struct Tool {
  std::string name;  // [A-Za-z0-9_.-]{1,128}
  std::string title;
  std::string description;
  Json input_schema;   // an object
  Json output_schema;  // an object or absent
  Json annotations;    // an object or absent
  TaskSupport task_support = TaskSupport::forbidden;
};

// Lists come whole and in a fixed order; the codec cuts them into pages. `fresh_ms` is how long a
// client may keep them, at most the rest of the lease.
template <class T>
struct Listed {
  std::vector<T> items;
  std::int64_t fresh_ms = 0;
};

struct ToolResult {
  Json content;     // an array of content blocks; absent: none
  Json structured;  // absent: none
  bool is_error = false;
  Json meta;       // of the tool or of an upstream server: an object or absent
  Json remaining;  // an object or absent
  std::optional<std::uint32_t> denial;
};

Json text_content(std::string_view text);  // one text block
ToolResult as_result(const Denial& denial);

enum class TaskStatus : std::uint8_t { working, input_required, completed, failed, cancelled };
bool is_terminal(TaskStatus status);

// One record for both eras: a tool that reported an error has `completed` with `is_error` set,
// which legacy clients are told as failed; `failed` is for an RpcError.
struct TaskRecord {
  std::string id;  // at most limits::kMcpNameBytesMax
  TaskStatus status = TaskStatus::working;
  bool is_error = false;  // of its result, also where that is not handed out
  std::string message;
  std::int64_t created_s = 0;  // UTC
  std::int64_t updated_s = 0;
  std::optional<std::int64_t> ttl_ms;  // from its creation; empty: no limit
  std::optional<std::int64_t> poll_ms;
  // completed: ToolResult; failed: RpcError; input_required: Json, the object of its requests.
  std::variant<std::monostate, ToolResult, RpcError, Json> payload;
  Json remaining;  // an object or absent
};

enum class TaskWish : std::uint8_t {
  never,   // the client cannot take a task for an answer
  may,     // it can; whether it gets one is the backend's choice
  insist,  // it asked for one and takes nothing else
};

// What a client can answer in the middle of a call, by what it declares with each request of
// 2026-07-28: nothing; nothing but to ask again; forms; forms and addresses to be visited.
enum class Input : std::uint8_t { none, retry, forms, urls };

struct ToolCall {
  std::string name;
  std::string arguments;  // exact source bytes of an object; "{}" when the client sent none
  std::string meta;       // exact source bytes of `_meta`; empty when there is none
  TaskWish task = TaskWish::never;
  std::optional<std::int64_t> ttl_ms;  // how long the client wants the task kept
  bool wants_progress = false;
  Input input = Input::none;
  // A call that goes on: the state that was handed out for it, and the exact bytes of an object.
  std::optional<std::string> state = {};
  std::string responses = {};
};
// The call goes on when it is made again with `state` and answers.
struct InputRequired {
  Json requests;      // an object, perhaps empty
  std::string state;  // at most limits::kMcpNameBytesMax
  Json remaining;     // an object or absent
};
using Called = std::variant<ToolResult, TaskRecord, InputRequired>;

struct Resource {
  std::string uri;  // of a template: its pattern
  std::string name;
  std::string title;
  std::string description;
  std::string mime_type;
};
struct ResourceContents {
  std::string uri;
  std::string mime_type;
  std::variant<std::string, Bytes> body;  // text (UTF-8) or bytes
};
struct ReadResource {
  std::vector<ResourceContents> contents;
  std::int64_t fresh_ms = 0;
  Json remaining;
};

// What one subscription wants to hear of, or is granted of it.
struct Interests {
  bool tools = false;
  bool resources = false;  // the list of them
  std::vector<std::string> uris;
  std::vector<std::string> tasks;
};

struct Progress {
  double done = 0;  // must rise; what does not is dropped
  std::optional<double> total;
  std::string message;
};

enum class TaskView : std::uint8_t { status, with_payload };

class Backend {
 public:
  virtual ~Backend() = default;

  virtual void list_tools(Number number, Done<Listed<Tool>> done) = 0;
  // A task must be durable before it is told: a question for it right after must find it.
  virtual void call_tool(Number number, ToolCall call, Done<Called> done) = 0;

  virtual void list_resources(Number number, Done<Listed<Resource>> done) = 0;
  virtual void list_templates(Number number, Done<Listed<Resource>> done) = 0;
  virtual void read_resource(Number number, std::string uri, Done<ReadResource> done) = 0;

  // `view` says whether the answer hands out what the task has made: reading a result is an access
  // of its own. A record without payload may come back for either.
  virtual void get_task(Number number, std::string task, TaskView view, Done<TaskRecord> done) = 0;
  // Answers once the task has ended, with its payload.
  virtual void await_task(Number number, std::string task, Done<TaskRecord> done) = 0;
  virtual void update_task(Number number, std::string task, std::string responses, Input input,
                           Done<std::monostate> done) = 0;
  // The record after the end of the task was durable.
  virtual void cancel_task(Number number, std::string task, Done<TaskRecord> done) = 0;

  // Answers with what it grants of `wanted`. `number` then names the subscription.
  virtual void subscribe(Number number, Interests wanted, Done<Interests> done) = 0;
  virtual void unsubscribe(Number number) = 0;

  // The client no longer waits for the answer: the question, not a task it may have made, is
  // dropped.
  virtual void cancel(Number number) = 0;
};

}  // namespace taper::mcp
