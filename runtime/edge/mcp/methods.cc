// Opening, tools and resources.
#include <algorithm>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/text.h"
#include "runtime/edge/mcp/connection.h"

namespace taper::mcp {
namespace {

bool is_tool_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kMcpNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.' || c == '-';
         });
}

// The cursor of a list: empty when there is none, no value when it cannot be one of ours.
std::optional<std::string> cursor_of(const Object& params) {
  if (!params.find("cursor")) return std::string();
  std::optional<std::string> cursor = params.string("cursor");
  if (!cursor || cursor->size() > limits::kMcpCursorBytesMax || !from_hex(*cursor)) {
    return std::nullopt;
  }
  return cursor;
}

// A cursor is the last item's name in hex, so it stays good while that item is there.
template <class T>
std::optional<Page<T>> cut(const Listed<T>& listed, std::string_view cursor,
                           std::string T::* name) {
  Page<T> page{listed.items, 0, 0, listed.fresh_ms, {}};
  if (!cursor.empty()) {
    const Bytes last = from_hex(cursor).value_or(Bytes());
    const auto found = std::find_if(listed.items.begin(), listed.items.end(),
                                    [&](const T& item) { return item.*name == as_text(last); });
    if (found == listed.items.end()) return std::nullopt;
    page.from = static_cast<std::size_t>(found - listed.items.begin()) + 1;
  }
  page.to = std::min(listed.items.size(), page.from + limits::kMcpPageItems);
  if (page.to < listed.items.size()) page.next = to_hex(as_bytes(listed.items[page.to - 1].*name));
  return page;
}

constexpr std::string_view kBadCursor = "the cursor is not one of this list";

}  // namespace

void Server::Connection::initialize(const Ask& ask) {
  const std::optional<std::string> wanted = ask.params().string("protocolVersion");
  const auto client = Object::read(ask.params().find("clientInfo").value_or("null"));
  if (!wanted || kind_of(ask.params().find("capabilities").value_or("null")) != Kind::object ||
      !client || !client->string("name") || !client->string("version")) {
    return fail(ask, kInvalidParams, "protocolVersion, capabilities and clientInfo are required");
  }
  legacy_ = legacy_version(*wanted).value_or(kNewestLegacy);
  answer(ask.request.id, render_initialize(target(*legacy_)));
}

void Server::Connection::acknowledge(const Ask& ask) {
  answer(ask.request.id, ResultWriter(target(ask.version)).end());
}

void Server::Connection::discover(const Ask& ask) {
  answer(ask.request.id, render_discover(identity_));
}

void Server::Connection::list_prompts(const Ask& ask) {
  if (cursor_of(ask.params()) != std::string()) return fail(ask, kInvalidParams, kBadCursor);
  answer(ask.request.id, render_prompts(target(ask.version)));
}

void Server::Connection::get_prompt(const Ask& ask) { fail(ask, kInvalidParams, "Unknown prompt"); }

void Server::Connection::list_tools(const Ask& ask) {
  std::optional<std::string> cursor = cursor_of(ask.params());
  if (!cursor) return fail(ask, kInvalidParams, kBadCursor);
  const auto number = pend(ask, std::move(*cursor));
  if (number) backend_.list_tools(*number, reply(*number, &Connection::tools_listed));
}

void Server::Connection::tools_listed(const Pending& pending, const Listed<Tool>& listed) {
  const auto page = cut(listed, pending.subject, &Tool::name);
  if (!page) return send(error_line(pending.id, kInvalidParams, kBadCursor));
  answer(pending.id, render_tools(target(pending.version), *page));
}

void Server::Connection::call_tool(const Ask& ask) {
  const Object& params = ask.params();
  const std::optional<std::string> name = params.string("name");
  const std::string_view arguments = params.find("arguments").value_or("{}");
  if (!name || kind_of(arguments) != Kind::object) {
    return fail(ask, kInvalidParams, "name must be a string and arguments an object");
  }
  if (arguments.size() > limits::kArgumentBytesMax) {
    return fail(ask, kInvalidParams, "the arguments are too long");
  }
  if (!is_tool_name(*name)) return fail(ask, kInvalidParams, "Unknown tool");
  ToolCall call{*name,           std::string(arguments), std::string(ask.meta),
                TaskWish::never, std::nullopt,           ask.progress.has_value(),
                ask.input};
  if (!read_answers(ask, call)) return;
  if (ask.takes_tasks) call.task = TaskWish::may;
  const std::optional<std::string_view> task = params.find("task");
  if (task && ask.version == Version::v2025_11_25) {
    const std::optional<Object> wish = Object::read(*task);
    const std::string_view ttl = wish ? wish->find("ttl").value_or("null") : "";
    call.task = TaskWish::insist;
    call.ttl_ms = read_integer(ttl);
    if (!wish || (ttl != "null" && call.ttl_ms.value_or(-1) < 0)) {
      return fail(ask, kInvalidParams, "task must be an object, its ttl a whole number or null");
    }
  }
  const auto number = pend(ask);
  if (!number) return;
  pending_.at(*number).call = call.task;
  backend_.call_tool(*number, std::move(call), reply(*number, &Connection::called));
}

// Of a call that is made again because it asked for input. False: it was answered with an error.
bool Server::Connection::read_answers(const Ask& ask, ToolCall& call) {
  const auto wrong = [&](std::string_view text) {
    fail(ask, kInvalidParams, text);
    return false;
  };
  const bool modern = ask.version == Version::modern;
  const bool goes_on = ask.params().find("requestState").has_value();
  const std::optional<std::string_view> responses = ask.params().find("inputResponses");
  if (!goes_on) {
    return !modern || !responses || wrong("inputResponses without the requestState they answer");
  }
  call.state = ask.params().string("requestState");
  if (!modern || !call.state || call.state->size() > limits::kMcpNameBytesMax) {
    return wrong(kForeignState);
  }
  call.responses = responses.value_or("{}");
  return Object::read(call.responses) ||
         wrong("inputResponses must be an object without a name twice");
}

void Server::Connection::called(const Pending& pending, const Called& called) {
  if (const auto* result = std::get_if<ToolResult>(&called)) {
    TAPER_ASSERT(pending.call != TaskWish::insist);
    return answer(pending.id, render_call(target(pending.version), *result));
  }
  if (const auto* input = std::get_if<InputRequired>(&called)) {
    if (pending.version != Version::modern) return refuse(pending, Refusal::internal);
    return answer(pending.id, render_input_required(target(pending.version), *input));
  }
  const auto& task = std::get<TaskRecord>(called);
  TAPER_ASSERT(pending.call != TaskWish::never);
  if (pending.version != Version::modern) follow(pending, task);
  answer(pending.id, render_created_task(target(pending.version), task));
}

void Server::Connection::list_resources(const Ask& ask) {
  std::optional<std::string> cursor = cursor_of(ask.params());
  if (!cursor) return fail(ask, kInvalidParams, kBadCursor);
  const auto number = pend(ask, std::move(*cursor));
  if (number) backend_.list_resources(*number, reply(*number, &Connection::resources_listed));
}

void Server::Connection::resources_listed(const Pending& pending, const Listed<Resource>& listed) {
  const auto page = cut(listed, pending.subject, &Resource::uri);
  if (!page) return send(error_line(pending.id, kInvalidParams, kBadCursor));
  answer(pending.id, render_resources(target(pending.version), *page));
}

void Server::Connection::list_templates(const Ask& ask) {
  std::optional<std::string> cursor = cursor_of(ask.params());
  if (!cursor) return fail(ask, kInvalidParams, kBadCursor);
  const auto number = pend(ask, std::move(*cursor));
  if (number) backend_.list_templates(*number, reply(*number, &Connection::templates_listed));
}

void Server::Connection::templates_listed(const Pending& pending, const Listed<Resource>& listed) {
  const auto page = cut(listed, pending.subject, &Resource::uri);
  if (!page) return send(error_line(pending.id, kInvalidParams, kBadCursor));
  answer(pending.id, render_templates(target(pending.version), *page));
}

void Server::Connection::read_resource(const Ask& ask) {
  const std::optional<std::string> uri = ask.params().string("uri");
  if (!uri || uri->size() > limits::kTextBytesMax) {
    return fail(ask, kInvalidParams, "uri must be a string, and not too long");
  }
  const auto number = pend(ask, *uri);
  if (number) backend_.read_resource(*number, *uri, reply(*number, &Connection::resource_read));
}

void Server::Connection::resource_read(const Pending& pending, const ReadResource& read) {
  answer(pending.id, render_read(target(pending.version), read));
}

}  // namespace taper::mcp
