#include "runtime/edge/mcp/connection.h"

#include <utility>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"

namespace taper::mcp {

namespace {

Input input_of(const Object& capabilities) {
  const auto elicitation = Object::read(capabilities.find("elicitation").value_or("null"));
  if (!elicitation) return Input::retry;
  const bool form = elicitation->find("form") || elicitation->members().empty();
  if (!form) return Input::retry;
  return elicitation->find("url") ? Input::urls : Input::forms;
}

}  // namespace

// Which revisions have a method, and who serves it.
struct Server::Connection::Method {
  std::string_view name;
  Version from;
  Version to;
  void (Connection::*serve)(const Ask& ask);
};

const std::vector<Server::Connection::Method>& Server::Connection::methods() {
  using enum Version;
  static const std::vector<Method> kMethods = {
      {"initialize", v2024_11_05, v2025_11_25, &Connection::initialize},
      {"ping", v2024_11_05, v2025_11_25, &Connection::acknowledge},
      {"server/discover", modern, modern, &Connection::discover},
      {"tools/list", v2024_11_05, modern, &Connection::list_tools},
      {"tools/call", v2024_11_05, modern, &Connection::call_tool},
      {"resources/list", v2024_11_05, modern, &Connection::list_resources},
      {"resources/templates/list", v2024_11_05, modern, &Connection::list_templates},
      {"resources/read", v2024_11_05, modern, &Connection::read_resource},
      {"resources/subscribe", v2024_11_05, v2025_11_25, &Connection::subscribe_uri},
      {"resources/unsubscribe", v2024_11_05, v2025_11_25, &Connection::unsubscribe_uri},
      {"prompts/list", v2024_11_05, modern, &Connection::list_prompts},
      {"prompts/get", v2024_11_05, modern, &Connection::get_prompt},
      {"subscriptions/listen", modern, modern, &Connection::listen},
      {"tasks/get", v2025_11_25, modern, &Connection::get_task},
      {"tasks/result", v2025_11_25, v2025_11_25, &Connection::task_result},
      {"tasks/cancel", v2025_11_25, modern, &Connection::cancel_task},
      {"tasks/update", modern, modern, &Connection::update_task},
  };
  return kMethods;
}

Server::Connection::Connection(Identity identity, Backend& backend, Sink sink)
    : identity_(std::move(identity)), backend_(backend), sink_(std::move(sink)) {}

void Server::Connection::send(std::string_view line) {
  if (open_) sink_(line);
}

void Server::Connection::feed(std::string_view bytes) {
  // A backend may answer at once, and its owner may end the connection then.
  const std::shared_ptr<Connection> keep = shared_from_this();
  lines_.feed(bytes, [this](std::string_view text) { line(text); }, [this] { overlong(); }, open_);
}

void Server::Connection::overlong() {
  send(
      error_line(std::nullopt, kInvalidRequest,
                 "the line is longer than " + std::to_string(limits::kMcpLineBytesMax) + " bytes"));
}

void Server::Connection::line(std::string_view text) {
  const Message read = read_message(text);
  const auto* batch = std::get_if<Batch>(&read);
  if (batch == nullptr) return message(read, Arrival::alone);
  // Only 2025-03-26 has batches. Each request of one is answered by a message of its own.
  if (legacy_ != Version::v2025_03_26) {
    return send(error_line(std::nullopt, kInvalidRequest, "batches are not served"));
  }
  for (const std::string_view element : batch->elements)
    message(read_element(element), Arrival::in_batch);
}

void Server::Connection::message(const Message& message, Arrival arrival) {
  if (!open_) return;
  if (const auto* bad = std::get_if<Malformed>(&message)) {
    send(error_line(bad->id, bad->code, bad->text));
  } else if (const auto* asked = std::get_if<Request>(&message)) {
    request(*asked, arrival);
  } else if (const auto* told = std::get_if<Notification>(&message)) {
    notification(*told);
  }
}

void Server::Connection::request(const Request& request, Arrival arrival) {
  if (by_id_.contains(request.id.key)) {
    // Without the id, which belongs to the answer of the request that has it.
    return send(error_line(std::nullopt, kInvalidRequest, "a request with this id is unanswered"));
  }
  const auto bad = [&](int code, std::string_view text) {
    send(error_line(request.id, code, text));
  };
  const std::optional<std::string_view> source = request.params.find("_meta");
  const std::optional<Object> meta = source ? Object::read(*source) : Object();
  if (!meta) return bad(kInvalidParams, "_meta must be an object without a name twice");
  const bool modern = meta->find(kVersionKey) || request.method == "server/discover";
  if (arrival == Arrival::in_batch && (modern || request.method == "initialize")) {
    return bad(kInvalidRequest, "not within a batch");
  }
  if (modern) return modern_request(request, *meta, source.value_or(""));
  if (legacy_ || request.method == "initialize" || request.method == "ping") {
    return legacy_request(request, *meta, source.value_or(""));
  }
  bad(kInvalidParams,
      "_meta must have io.modelcontextprotocol/protocolVersion, or initialize come first");
}

void Server::Connection::modern_request(const Request& request, const Object& meta,
                                        std::string_view meta_source) {
  const auto bad = [&](std::string_view text) {
    send(error_line(request.id, kInvalidParams, text));
  };
  const std::optional<std::string> version = meta.string(kVersionKey);
  if (!version || version->size() > limits::kMcpNameBytesMax) {
    return bad("_meta io.modelcontextprotocol/protocolVersion must be a string");
  }
  if (*version != kModernName) {
    ObjectWriter data;
    data.strings("supported", {std::string(kModernName)}).text("requested", *version);
    return send(error_line(request.id, kUnsupportedVersion, "Unsupported protocol version",
                           std::move(data).end()));
  }
  const auto capabilities = Object::read(meta.find(kCapabilitiesKey).value_or("null"));
  const auto extensions =
      capabilities ? Object::read(capabilities->find("extensions").value_or("{}")) : std::nullopt;
  if (!extensions) {
    return bad("_meta io.modelcontextprotocol/clientCapabilities must be an object");
  }
  const auto tasks = extensions->find(kTasksExtension);
  if (tasks && kind_of(*tasks) != Kind::object) {
    return bad("the settings of an extension must be an object");
  }
  if (kind_of(meta.find(kClientInfoKey).value_or("{}")) != Kind::object) {
    return bad("_meta io.modelcontextprotocol/clientInfo must be an object");
  }
  Ask ask{request,      Version::modern, tasks.has_value(),
          std::nullopt, meta_source,     input_of(*capabilities)};
  if (const auto token = meta.find("progressToken")) {
    ask.progress = read_id(*token);
    if (!ask.progress) return bad("progressToken must be a string or an integer, and short");
  }
  dispatch(ask);
}

void Server::Connection::legacy_request(const Request& request, const Object& meta,
                                        std::string_view meta_source) {
  Ask ask{request, legacy_.value_or(kNewestLegacy), false, std::nullopt, meta_source};
  if (const auto token = meta.find("progressToken")) {
    ask.progress = read_id(*token);
    if (!ask.progress) {
      return fail(ask, kInvalidParams, "progressToken must be a string or an integer, and short");
    }
  }
  dispatch(ask);
}

void Server::Connection::dispatch(const Ask& ask) {
  for (const Method& method : methods()) {
    if (method.name == ask.request.method && method.from <= ask.version &&
        ask.version <= method.to) {
      return (this->*method.serve)(ask);
    }
  }
  fail(ask, kMethodNotFound, "Method not found");
}

void Server::Connection::notification(const Notification& notification) {
  // Everything else that a client may tell changes nothing here.
  if (notification.method != "notifications/cancelled") return;
  const std::optional<std::string_view> value = notification.params.find("requestId");
  const std::optional<Id> id = value ? read_id(*value) : std::nullopt;
  const auto found = id ? by_id_.find(id->key) : by_id_.end();
  if (found == by_id_.end()) return;
  const Number number = found->second;
  by_id_.erase(found);
  if (subscriptions_.erase(number) > 0) return backend_.unsubscribe(number);
  pending_.erase(number);
  backend_.cancel(number);
}

std::optional<Number> Server::Connection::pend(const Ask& ask, std::string subject) {
  if (pending_.size() >= limits::kMcpInFlightMax) {
    fail(ask, kInternalError, "too many requests are unanswered; wait for an answer");
    return std::nullopt;
  }
  const Number number = ++last_number_;
  by_id_.emplace(ask.request.id.key, number);
  pending_.emplace(
      number,
      Pending{
          number, ask.request.id, ask.version, ask.progress, {}, std::move(subject), std::nullopt});
  return number;
}

std::optional<Pending> Server::Connection::take(Number number) {
  const auto found = pending_.find(number);
  if (found == pending_.end()) return std::nullopt;
  Pending pending = std::move(found->second);
  pending_.erase(found);
  by_id_.erase(pending.id.key);
  return pending;
}

void Server::Connection::needs_tasks(const Id& id) {
  ObjectWriter extensions;
  extensions.raw(kTasksExtension, "{}");
  ObjectWriter capabilities;
  capabilities.json("extensions", std::move(extensions).end());
  ObjectWriter data;
  data.json("requiredCapabilities", std::move(capabilities).end());
  send(error_line(id, kMissingCapability, "Missing required client capability",
                  std::move(data).end()));
}

void Server::Connection::refuse(const Pending& pending, const Denial& denial) {
  // A call's denial is for the model to read; who wants a task for an answer takes only errors.
  if (pending.call && *pending.call != TaskWish::insist) {
    return answer(pending.id, render_call(target(pending.version), as_result(denial)));
  }
  refuse(pending,
         as_error(denial, denial.code, "E" + std::to_string(denial.code) + ": " + denial.text));
}

void Server::Connection::refuse(const Pending& pending, const RpcError& error) {
  send(error_line(pending.id, foreign_code(error.code), error.message, error.data));
}

void Server::Connection::refuse(const Pending& pending, Refusal refusal) {
  const bool modern = pending.version == Version::modern;
  switch (refusal) {
    case Refusal::unknown_tool: return send(error_line(pending.id, kInvalidParams, "Unknown tool"));
    case Refusal::unknown_task: return send(error_line(pending.id, kInvalidParams, "Unknown task"));
    case Refusal::unknown_resource: {
      ObjectWriter data;
      data.text("uri", pending.subject);
      return send(error_line(pending.id, modern ? kInvalidParams : kResourceNotFoundOld,
                             "Resource not found", std::move(data).end()));
    }
    case Refusal::needs_task:
      if (modern) return needs_tasks(pending.id);
      if (pending.version < Version::v2025_11_25) {
        ToolResult told;
        told.content = text_content("this tool runs only as a task, which this client cannot take");
        told.is_error = true;
        return answer(pending.id, render_call(target(pending.version), told));
      }
      return send(error_line(pending.id, kMethodNotFound, "this tool runs only as a task"));
    case Refusal::never_task:
      return send(error_line(pending.id, kMethodNotFound, "this tool does not run as a task"));
    case Refusal::already_ended:
      if (modern) return answer(pending.id, ResultWriter(target(pending.version)).end());
      return send(error_line(pending.id, kInvalidParams, "the task has already ended"));
    case Refusal::internal: break;
  }
  send(error_line(pending.id, kInternalError, "Internal error"));
}

void Server::Connection::close() {
  if (!open_) return;
  open_ = false;
  for (const auto& [number, pending] : std::exchange(pending_, {})) backend_.cancel(number);
  for (const auto& [number, one] : std::exchange(subscriptions_, {})) backend_.unsubscribe(number);
  for (const auto& [uri, number] : std::exchange(legacy_uris_, {})) backend_.unsubscribe(number);
  by_id_.clear();
  followed_.clear();
}

Server::Server(Identity identity, Backend& backend, Sink sink)
    : connection_(std::make_shared<Connection>(std::move(identity), backend, std::move(sink))) {}

Server::~Server() {
  if (connection_) connection_->close();
}

Server::Server(Server&&) noexcept = default;

void Server::feed(std::string_view bytes) { connection_->feed(bytes); }
void Server::close() { connection_->close(); }
void Server::progress(Number number, const Progress& progress) {
  connection_->progress(number, progress);
}
void Server::task_progress(std::string_view task, const Progress& progress) {
  connection_->task_progress(task, progress);
}
void Server::task_changed(const TaskRecord& task) { connection_->task_changed(task); }
void Server::tools_changed() { connection_->tools_changed(); }
void Server::resources_changed() { connection_->resources_changed(); }
void Server::resource_updated(std::string_view uri) { connection_->resource_updated(uri); }
void Server::end_subscriptions() { connection_->end_subscriptions(); }

}  // namespace taper::mcp
