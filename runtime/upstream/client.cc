#include "runtime/upstream/client.h"

#include <algorithm>
#include <utility>

#include "runtime/base/limits.h"
#include "runtime/upstream/errors.h"
#include "runtime/upstream/question.h"
#include "runtime/upstream/result.h"
#include "runtime/upstream/value.h"

namespace taper::upstream {
namespace {

using mcp::Json;
using mcp::Object;
using mcp::ObjectWriter;

constexpr std::int64_t kMethodNotFound = -32601;
constexpr std::int64_t kInvalidParams = -32602;
constexpr std::int64_t kUnsupportedVersion = -32022;

Error not_a_message(std::string_view line) {
  if (depth_of(line) > limits::kUpstreamJsonDepthMax) {
    return broken("message",
                  "nested more than " + std::to_string(limits::kUpstreamJsonDepthMax) + " deep");
  }
  return broken("message",
                "no message of JSON-RPC: " + one_line(line, limits::kSchemaWordsBytesMax));
}

Error without_answer(std::string_view method, const Error& error) {
  if (error.detail().field != "timeout") return error;
  return broken("timeout", "no answer to " + std::string(method));
}

}  // namespace

bool Client::is_era(std::string_view era) {
  return era == "auto" || era == mcp::kModernName || mcp::legacy_version(era).has_value();
}

Client::Client(Link& link, std::string_view era, Tell tell) : link_(link), tell_(std::move(tell)) {
  if (era == "auto") return;
  era_ = era == mcp::kModernName ? mcp::Version::modern : mcp::legacy_version(era);
}

Status Client::send(std::string_view method, Json params, std::optional<std::int64_t> id) {
  ObjectWriter message;
  message.text("jsonrpc", "2.0");
  if (id) message.number("id", *id);
  message.text("method", method).json("params", params);
  return link_.send(std::move(message).end().text(), until_ms_);
}

Result<Client::Answer> Client::ask(std::string_view method, ObjectWriter params,
                                   ObjectWriter meta) {
  if (modern()) add_protocol(meta);
  if (!meta.empty()) params.json("_meta", std::move(meta).end());
  awaited_ = ++last_id_;
  const Status sent = send(method, params.empty() ? Json() : std::move(params).end(), awaited_);
  if (!sent.ok()) return without_answer(method, sent.error());
  for (;;) {
    const Result<Line> line = link_.receive(until_ms_);
    if (!line.ok()) return without_answer(method, line.error());
    if (line->overlong) {
      // Most likely the answer; should it come after all, nobody waits for it. Should it have been
      // the news of a change, that is not missed either.
      stale_ = true;
      abandoned_.insert(std::exchange(awaited_, 0));
      return Error(Code::too_large,
                   {.field = std::string(method),
                    .expected = "at most " + std::to_string(limits::kUpstreamLineBytesMax) +
                                " bytes in one message",
                    .got = "more",
                    .fix = "ask for less"});
    }
    TAPER_TRY(std::optional<Answer> answer, take(*line));
    if (answer) return std::move(*answer);
  }
}

Result<std::optional<Client::Answer>> Client::take(const Line& line) {
  std::optional<Answer> answer;
  if (mcp::trim(line.text).empty()) {
    TAPER_CHECK(count_stray());
    return answer;
  }
  if (!is_strict_json(line.text)) return not_a_message(line.text);
  const Batches batches = version_ == mcp::Version::v2025_03_26 ? Batches::taken : Batches::refused;
  const auto messages = read_messages(line.text, batches);
  if (!messages) return not_a_message(line.text);
  for (const Message& message : *messages) TAPER_CHECK(take_message(message, answer));
  return answer;
}

Status Client::take_message(const Message& message, std::optional<Answer>& answer) {
  if (message.kind == Message::Kind::request) return take_request(message);
  if (message.kind == Message::Kind::notification) {
    if (is_progress(message)) return take_progress(message);
    take_notification(message);
    return count_stray();
  }
  const bool failed = message.kind == Message::Kind::error;
  if (message.id == "null") return broken("message", "error without an id: " + message.text);
  const std::int64_t id = mcp::read_integer(message.id).value_or(0);
  if (id != 0 && id == awaited_) {
    awaited_ = 0;
    answer = {failed, message.code, message.text, std::string(message.body)};
    return success();
  }
  if (id != 0 && id == listen_id_) {
    listen_id_ = 0;
    told_ = false;
    return success();
  }
  if (abandoned_.erase(id) != 0) return success();
  return broken("message", "an answer to nothing that was asked: id " + std::string(message.id));
}

Status Client::take_request(const Message& message) {
  TAPER_CHECK(count_stray());
  ObjectWriter reply;
  reply.text("jsonrpc", "2.0").raw("id", message.id);
  if (message.method == "ping") {
    reply.raw("result", "{}");
  } else {
    ObjectWriter error;
    error.number("code", kMethodNotFound).text("message", "Method not found");
    reply.json("error", std::move(error).end());
  }
  return link_.send(std::move(reply).end().text(), until_ms_);
}

void Client::take_notification(const Message& message) {
  if (message.method == "notifications/tools/list_changed") stale_ = true;
  if (message.method != "notifications/subscriptions/acknowledged" || listen_id_ == 0) return;
  const std::optional<Object> params = Object::read(message.body);
  const std::optional<Object> kinds =
      params ? Object::read(params->find("notifications").value_or("null")) : std::nullopt;
  told_ = kinds && mcp::read_bool(kinds->find("toolsListChanged").value_or("null")) == true;
  stale_ = true;  // what changed before went untold
}

bool Client::is_progress(const Message& message) const {
  if (message.method != "notifications/progress" || heard_.id == 0 || heard_.id != awaited_)
    return false;
  const std::optional<Object> params = Object::read(message.body);
  return params && mcp::read_integer(params->find("progressToken").value_or("null")) == heard_.id;
}

Status Client::take_progress(const Message& message) {
  constexpr std::int64_t kSecondMs = 1000;
  const std::int64_t now_ms = link_.now_ms();
  if (now_ms - heard_.second_ms >= kSecondMs) {
    heard_.second_ms = now_ms;
    heard_.in_second = 0;
  }
  if (++heard_.in_second > limits::kUpstreamProgressPerS) {
    return broken("flood", "more than " + std::to_string(limits::kUpstreamProgressPerS) +
                               " notifications of progress in a second");
  }
  const Object params = Object::read(message.body).value_or(Object());
  const std::optional<double> done = mcp::read_number(params.find("progress").value_or("null"));
  const bool soon = heard_.told_ms && now_ms - *heard_.told_ms < limits::kUpstreamProgressMs;
  if (!done || (heard_.done && *done <= *heard_.done) || soon) return success();
  heard_.done = done;
  heard_.told_ms = now_ms;
  if (tell_) {
    tell_({*done, mcp::read_number(params.find("total").value_or("null")),
           one_line(params.string("message").value_or(""), limits::kProgressTextBytesMax)});
  }
  return success();
}

Status Client::count_stray() {
  if (++strays_ <= limits::kUpstreamStrayMax) return success();
  return broken("flood", "more than " + std::to_string(limits::kUpstreamStrayMax) +
                             " messages that nobody asked for");
}

Status Client::take_unasked(const Line& line, std::int64_t until_ms) {
  until_ms_ = until_ms;
  if (line.overlong) {
    stale_ = true;
    return count_stray();
  }
  TAPER_TRY(const std::optional<Answer> answer, take(line));
  return success();
}

// What changes while it is read is read again; each change is a stray message, so that ends.
Status Client::list() {
  do {
    stale_ = false;
    TAPER_CHECK(list_once());
  } while (stale_);
  return success();
}

Status Client::list_once() {
  std::size_t bytes = 0;
  std::string cursor;
  tools_.clear();
  for (std::size_t pages = 0; pages == 0 || !cursor.empty(); ++pages) {
    if (pages == limits::kUpstreamPagesMax) return broken("message", "tools/list: no end");
    ObjectWriter params;
    if (!cursor.empty()) params.raw("cursor", cursor);
    TAPER_TRY(const Answer answer, ask("tools/list", std::move(params)));
    if (answer.failed) {
      return broken("message",
                    "tools/list: error " + std::to_string(answer.code) + " " + answer.text);
    }
    TAPER_CHECK(check_complete(answer.result));
    bytes += answer.result.size();
    if (bytes > limits::kUpstreamListBytesMax) return broken("message", "tools/list: too long");
    TAPER_CHECK(read_page(answer.result, tools_, &cursor));
  }
  return success();
}

Status Client::check_tool(const ToolCall& call) const {
  const auto tool = std::ranges::find(tools_, call.name, &Definition::name);
  if (tool == tools_.end()) return drifted("name", call.name, "no such tool");
  return same_definition(*tool, call.pinned);
}

Result<sandbox::BuiltinResult> Client::definitions(std::int64_t until_ms) {
  until_ms_ = until_ms;
  strays_ = 0;
  TAPER_CHECK(open());
  TAPER_CHECK(list());
  mcp::ArrayWriter list, left_out;
  bool all = true;
  for (const Definition& tool : tools_) {
    if (tool.unfit.empty()) {
      list.raw(tool.text);
      continue;
    }
    all = false;
    ObjectWriter one;
    one.text("name", one_line(tool.name, limits::kNameBytesMax)).text("why", tool.unfit);
    left_out.raw(std::move(one).end().text());
  }
  sandbox::BuiltinResult told;
  told.fields = {{"definitions", std::move(list).end().text()},
                 {"version", std::string(mcp::name_of(version_))},
                 {"server", server_}};
  if (!all) told.fields.push_back({"left_out", std::move(left_out).end().text()});
  return told;
}

Result<sandbox::BuiltinResult> Client::call(const ToolCall& call, std::int64_t until_ms) {
  until_ms_ = until_ms;
  strays_ = 0;
  TAPER_CHECK(open());
  if (stale_ || !told_) TAPER_CHECK(list());
  TAPER_CHECK(check_tool(call));
  ObjectWriter params;
  params.text("name", call.name).json("arguments", call.arguments);
  params.json("inputResponses", call.responses);
  if (call.state) params.text("requestState", *call.state);
  ObjectWriter meta;
  for (const auto& [name, text] : call.meta) meta.text(name, text);
  heard_ = {};
  heard_.id = call.progress ? last_id_ + 1 : 0;
  if (call.progress) meta.number("progressToken", heard_.id);
  input_ = call.input;
  Result<Answer> given = ask("tools/call", std::move(params), std::move(meta));
  input_ = authority::Input::none;
  TAPER_TRY(const Answer answer, std::move(given));
  if (stale_) {
    TAPER_CHECK(list());
    TAPER_CHECK(check_tool(call));
  }
  return conclude(call, answer);
}

Result<sandbox::BuiltinResult> Client::conclude(const ToolCall& call, const Answer& answer) const {
  if (!answer.failed && modern() && is_question(answer.result))
    return read_question(answer.result, call.input);
  if (!answer.failed) return read_call_result(answer.result);
  if (modern() && answer.code == kUnsupportedVersion) {
    return drifted("era", mcp::kModernName, answer.text);
  }
  const std::string said = one_line(answer.text, limits::kUpstreamTextShownBytes);
  if (answer.code == kInvalidParams) {
    return Error(Code::tool_input, {.field = "", .expected = "", .got = said, .fix = ""});
  }
  return Error(
      Code::tool_failed,
      {.field = "error " + std::to_string(answer.code), .expected = "", .got = said, .fix = ""});
}

}  // namespace taper::upstream
