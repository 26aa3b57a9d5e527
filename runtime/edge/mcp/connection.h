// The state of one connection: what is unanswered, what is subscribed to, which revision was agreed
// on. Private to this folder; server.h is its public face.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/edge/mcp/lines.h"
#include "runtime/edge/mcp/message.h"
#include "runtime/edge/mcp/render.h"
#include "runtime/edge/mcp/server.h"

namespace taper::mcp {

// A request on its way in. Views into the line.
struct Ask {
  const Request& request;
  Version version;
  bool takes_tasks = false;    // modern: declared for this very request
  std::optional<Id> progress;  // its token
  std::string_view meta;       // exact source of `_meta`; empty: none
  Input input = Input::none;   // modern: as far as it is declared
  const Object& params() const { return request.params; }
};

enum class Arrival : std::uint8_t { alone, in_batch };

// Progress told so far: it must rise.
struct Heard {
  std::optional<double> last;
};

// What is kept of a request until it is answered.
struct Pending {
  Number number = 0;
  Id id;
  Version version;
  std::optional<Id> progress;
  Heard heard;
  std::string subject;           // task id, URI or cursor, where the answer needs it
  std::optional<TaskWish> call;  // of a tools/call
};

struct Subscription {
  Id id;
  bool acknowledged = false;
  Interests granted;
};

// A task of a legacy client, told of as its state changes.
struct Followed {
  std::optional<Id> progress;
  Heard heard;
};

class Server::Connection : public std::enable_shared_from_this<Server::Connection> {
 public:
  Connection(Identity identity, Backend& backend, Sink sink);

  void feed(std::string_view bytes);
  void close();
  void progress(Number number, const Progress& progress);
  void task_progress(std::string_view task, const Progress& progress);
  void task_changed(const TaskRecord& task);
  void tools_changed();
  void resources_changed();
  void resource_updated(std::string_view uri);
  void end_subscriptions();

 private:
  struct Method;
  static const std::vector<Method>& methods();

  void line(std::string_view line);
  void overlong();
  void message(const Message& message, Arrival arrival);
  void request(const Request& request, Arrival arrival);
  void modern_request(const Request& request, const Object& meta, std::string_view meta_source);
  void legacy_request(const Request& request, const Object& meta, std::string_view meta_source);
  void dispatch(const Ask& ask);
  void notification(const Notification& notification);

  // connection.cc: requests that wait for the backend.
  std::optional<Number> pend(const Ask& ask, std::string subject = {});
  std::optional<Pending> take(Number number);
  template <class T>
  Done<T> reply(Number number, void (Connection::*render)(const Pending&, const T&));
  void refuse(const Pending& pending, const Denial& denial);
  void refuse(const Pending& pending, Refusal refusal);
  void refuse(const Pending& pending, const RpcError& error);
  Target target(Version version) const { return {version, identity_}; }
  void send(std::string_view line);
  void answer(const Id& id, const Json& result) { send(result_line(id, result)); }
  void fail(const Ask& ask, int code, std::string_view text) {
    send(error_line(ask.request.id, code, text));
  }
  void needs_tasks(const Id& id);

  // methods.cc
  void initialize(const Ask& ask);
  void acknowledge(const Ask& ask);  // ping, and what has nothing to say
  void discover(const Ask& ask);
  void list_tools(const Ask& ask);
  void call_tool(const Ask& ask);
  void list_resources(const Ask& ask);
  void list_templates(const Ask& ask);
  void read_resource(const Ask& ask);
  void list_prompts(const Ask& ask);
  void get_prompt(const Ask& ask);
  bool read_answers(const Ask& ask, ToolCall& call);
  void called(const Pending& pending, const Called& called);
  void tools_listed(const Pending& pending, const Listed<Tool>& listed);
  void resources_listed(const Pending& pending, const Listed<Resource>& listed);
  void templates_listed(const Pending& pending, const Listed<Resource>& listed);
  void resource_read(const Pending& pending, const ReadResource& read);

  // task_methods.cc
  void get_task(const Ask& ask);
  void task_result(const Ask& ask);
  void update_task(const Ask& ask);
  void cancel_task(const Ask& ask);
  std::optional<std::string> task_id(const Ask& ask);
  void task_told(const Pending& pending, const TaskRecord& task);
  void task_ended(const Pending& pending, const TaskRecord& task);
  void task_updated(const Pending& pending, const std::monostate& nothing);
  void task_cancelled(const Pending& pending, const TaskRecord& task);
  void follow(const Pending& pending, const TaskRecord& task);

  // subscriptions.cc
  void listen(const Ask& ask);
  void subscribe_uri(const Ask& ask);
  void unsubscribe_uri(const Ask& ask);
  void listening(Number number, const Outcome<Interests>& granted);
  void uri_granted(const Pending& pending, const Interests& granted);
  bool has_room(const Ask& ask);
  void tell(std::string_view method, bool Interests::* wanted);
  void emit_progress(const Id& token, Heard& heard, const Progress& progress, Version version,
                     ObjectWriter meta);

  Identity identity_;
  Backend& backend_;
  Sink sink_;
  LineReader lines_;
  bool open_ = true;
  std::optional<Version> legacy_;  // set by `initialize`
  Number last_number_ = 0;
  std::map<Number, Pending> pending_;
  std::map<Number, Subscription> subscriptions_;
  std::map<std::string, Number> by_id_;  // Id::key of pending_ and subscriptions_
  std::map<std::string, Number, std::less<>> legacy_uris_;
  std::map<std::string, Followed, std::less<>> followed_;
};

template <class T>
Done<T> Server::Connection::reply(Number number,
                                  void (Connection::*render)(const Pending&, const T&)) {
  return [weak = weak_from_this(), number, render](Outcome<T> outcome) {
    const std::shared_ptr<Connection> self = weak.lock();
    if (!self) return;
    const std::optional<Pending> pending = self->take(number);
    if (!pending) return;  // cancelled, or answered before
    if (const T* value = std::get_if<T>(&outcome)) {
      (self.get()->*render)(*pending, *value);
    } else if (const auto* denial = std::get_if<Denial>(&outcome)) {
      self->refuse(*pending, *denial);
    } else if (const auto* refusal = std::get_if<Refusal>(&outcome)) {
      self->refuse(*pending, *refusal);
    } else {
      self->refuse(*pending, std::get<RpcError>(outcome));
    }
  };
}

}  // namespace taper::mcp
