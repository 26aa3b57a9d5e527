// Tasks: the extension of 2026-07-28 and the core feature of 2025-11-25, over the same questions.
#include <algorithm>

#include "runtime/base/limits.h"
#include "runtime/edge/mcp/connection.h"

namespace taper::mcp {

// The task that is asked for; empty when the request was answered with an error.
std::optional<std::string> Server::Connection::task_id(const Ask& ask) {
  if (ask.version == Version::modern && !ask.takes_tasks) {
    needs_tasks(ask.request.id);
    return std::nullopt;
  }
  std::optional<std::string> id = ask.params().string("taskId");
  if (!id) {
    fail(ask, kInvalidParams, "taskId must be a string");
    return std::nullopt;
  }
  if (id->size() > limits::kMcpNameBytesMax) {
    fail(ask, kInvalidParams, "Unknown task");
    return std::nullopt;
  }
  return id;
}

void Server::Connection::get_task(const Ask& ask) {
  const std::optional<std::string> id = task_id(ask);
  const auto number = id ? pend(ask, *id) : std::nullopt;
  if (!number) return;
  const TaskView view = ask.version == Version::modern ? TaskView::with_payload : TaskView::status;
  backend_.get_task(*number, *id, view, reply(*number, &Connection::task_told));
}

void Server::Connection::task_told(const Pending& pending, const TaskRecord& task) {
  if (is_terminal(task.status)) followed_.erase(task.id);
  answer(pending.id, render_task(target(pending.version), task));
}

void Server::Connection::task_result(const Ask& ask) {
  const std::optional<std::string> id = task_id(ask);
  const auto number = id ? pend(ask, *id) : std::nullopt;
  if (number) backend_.await_task(*number, *id, reply(*number, &Connection::task_ended));
}

void Server::Connection::task_ended(const Pending& pending, const TaskRecord& task) {
  if (is_terminal(task.status)) followed_.erase(task.id);
  if (const auto* result = std::get_if<ToolResult>(&task.payload)) {
    return answer(pending.id, render_call(target(pending.version), *result, task.id));
  }
  if (const auto* error = std::get_if<RpcError>(&task.payload)) return refuse(pending, *error);
  if (task.status == TaskStatus::input_required) {
    return send(error_line(pending.id, kInternalError,
                           "the task waits for input, which clients of 2026-07-28 give"));
  }
  const bool cancelled = task.status == TaskStatus::cancelled;
  send(error_line(pending.id, kInternalError,
                  cancelled ? "the task was cancelled" : "the task left no result"));
}

void Server::Connection::update_task(const Ask& ask) {
  const std::optional<std::string> id = task_id(ask);
  if (!id) return;
  const std::string_view responses = ask.params().find("inputResponses").value_or("null");
  if (!Object::read(responses)) {
    return fail(ask, kInvalidParams, "inputResponses must be an object without a name twice");
  }
  const auto number = pend(ask, *id);
  if (!number) return;
  backend_.update_task(*number, *id, std::string(responses), ask.input,
                       reply(*number, &Connection::task_updated));
}

void Server::Connection::task_updated(const Pending& pending, const std::monostate& /*nothing*/) {
  answer(pending.id, ResultWriter(target(pending.version)).end());
}

void Server::Connection::cancel_task(const Ask& ask) {
  const std::optional<std::string> id = task_id(ask);
  const auto number = id ? pend(ask, *id) : std::nullopt;
  if (number) backend_.cancel_task(*number, *id, reply(*number, &Connection::task_cancelled));
}

void Server::Connection::task_cancelled(const Pending& pending, const TaskRecord& task) {
  if (pending.version == Version::modern) return task_updated(pending, {});
  task_told(pending, task);
}

void Server::Connection::follow(const Pending& pending, const TaskRecord& task) {
  if (is_terminal(task.status) || followed_.size() >= limits::kMcpTasksFollowedMax) return;
  followed_[task.id] = {pending.progress, pending.heard};
}

void Server::Connection::task_changed(const TaskRecord& task) {
  for (auto& [number, one] : subscriptions_) {
    auto& wanted = one.granted.tasks;
    const auto found = std::find(wanted.begin(), wanted.end(), task.id);
    if (!one.acknowledged || found == wanted.end()) continue;
    // An end is final: whatever came later would contradict it.
    if (is_terminal(task.status)) wanted.erase(found);
    send(notification_line("notifications/tasks",
                           render_task_changed(target(Version::modern), task, one.id)));
  }
  const auto found = followed_.find(task.id);
  if (found == followed_.end()) return;
  if (is_terminal(task.status)) followed_.erase(found);
  send(notification_line("notifications/tasks/status",
                         render_task_changed(target(Version::v2025_11_25), task, std::nullopt)));
}

void Server::Connection::task_progress(std::string_view task, const Progress& progress) {
  const auto found = followed_.find(task);
  if (found == followed_.end() || !found->second.progress) return;
  ObjectWriter related;
  related.text("taskId", task);
  ObjectWriter meta;
  meta.json(kRelatedTaskKey, std::move(related).end());
  emit_progress(*found->second.progress, found->second.heard, progress, Version::v2025_11_25,
                std::move(meta));
}

}  // namespace taper::mcp
