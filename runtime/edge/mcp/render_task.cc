// One record of a task, told in two ways: flat and with its outcome since 2026-07-28, bare before.
#include <algorithm>
#include <array>

#include "runtime/base/text.h"
#include "runtime/edge/mcp/render.h"

namespace taper::mcp {
namespace {

std::string_view status_word(Version version, const TaskRecord& task) {
  static constexpr std::array<std::string_view, 5> kWords = {"working", "input_required",
                                                             "completed", "failed", "cancelled"};
  TaskStatus status = task.status;
  if (version != Version::modern && status == TaskStatus::completed && task.is_error) {
    status = TaskStatus::failed;
  }
  return kWords.at(static_cast<std::size_t>(status));
}

void write_task(ObjectWriter& out, Version version, const TaskRecord& task) {
  const bool modern = version == Version::modern;
  const auto* error = std::get_if<RpcError>(&task.payload);
  const bool explain = task.message.empty() && error != nullptr;
  out.text("taskId", task.id)
      .text("status", status_word(version, task))
      .text_if("statusMessage", explain ? error->message : task.message)
      .text("createdAt", format_utc_s(task.created_s))
      .text("lastUpdatedAt", format_utc_s(task.updated_s));
  const std::string_view ttl = modern ? "ttlMs" : "ttl";
  if (task.ttl_ms) {
    out.number(ttl, std::max<std::int64_t>(*task.ttl_ms, 0));
  } else {
    out.raw(ttl, "null");
  }
  if (task.poll_ms) out.number(modern ? "pollIntervalMs" : "pollInterval", *task.poll_ms);
}

// What each state must carry is always there, also when the backend handed nothing out.
void write_payload(ObjectWriter& out, const Identity& identity, const TaskRecord& task) {
  if (task.status == TaskStatus::input_required) {
    const auto* requests = std::get_if<Json>(&task.payload);
    out.raw("inputRequests", requests && requests->is_object() ? requests->text() : "{}");
  }
  if (task.status == TaskStatus::completed) {
    const auto* result = std::get_if<ToolResult>(&task.payload);
    out.json("result", render_call({Version::modern, identity}, result ? *result : ToolResult{}));
  }
  if (task.status == TaskStatus::failed) {
    const auto* given = std::get_if<RpcError>(&task.payload);
    const RpcError error = given ? *given : RpcError{kInternalError, "the task failed", {}};
    ObjectWriter body;
    body.number("code", foreign_code(error.code)).text("message", error.message);
    body.json("data", error.data);
    out.json("error", std::move(body).end());
  }
}

}  // namespace

bool is_terminal(TaskStatus status) {
  return status != TaskStatus::working && status != TaskStatus::input_required;
}

Json render_created_task(Target target, const TaskRecord& task) {
  ResultWriter result(target, "task");
  if (target.version == Version::modern) {
    write_task(result.body(), target.version, task);
  } else {
    ObjectWriter inner;
    write_task(inner, target.version, task);
    result.body().json("task", std::move(inner).end());
  }
  return std::move(result.remaining(task.remaining)).end();
}

Json render_task(Target target, const TaskRecord& task) {
  ResultWriter result(target);
  write_task(result.body(), target.version, task);
  if (target.version == Version::modern) write_payload(result.body(), target.identity, task);
  return std::move(result.remaining(task.remaining)).end();
}

Json render_task_changed(Target target, const TaskRecord& task,
                         const std::optional<Id>& subscription) {
  ObjectWriter params;
  write_task(params, target.version, task);
  if (target.version == Version::modern) write_payload(params, target.identity, task);
  ObjectWriter meta;
  if (subscription) meta.raw(kSubscriptionKey, subscription->source);
  meta.json(kRemainingKey, task.remaining);
  if (!meta.empty()) params.json("_meta", std::move(meta).end());
  return std::move(params).end();
}

}  // namespace taper::mcp
