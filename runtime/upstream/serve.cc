#include "runtime/upstream/serve.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "runtime/base/file.h"
#include "runtime/base/limits.h"
#include "runtime/sandbox/builtin/message.h"
#include "runtime/upstream/client.h"
#include "runtime/upstream/server_process.h"
#include "runtime/upstream/value.h"

namespace taper::upstream {
namespace {

using sandbox::BuiltinReply;
using sandbox::BuiltinRequest;

constexpr int kCleanEnd = 0;
constexpr int kBroken = 1;
constexpr int kFramingBroken = 2;

template <class T>
std::optional<T> input(const BuiltinRequest& request, std::string_view name) {
  for (const authority::InputValue& value : request.inputs) {
    if (value.name != name) continue;
    const T* held = std::get_if<T>(&value.value);
    return held != nullptr ? std::optional<T>(*held) : std::nullopt;
  }
  return std::nullopt;
}

struct Question {
  std::optional<ToolCall> call;  // empty: its definitions are asked for
  std::string era;
  std::int64_t timeout_ms = 0;
};

// What the call's request says of itself: what is known of it, and nothing else. Empty: no object.
std::optional<ToolCall> with_meta(ToolCall call, const std::string& text) {
  const std::optional<mcp::Json> json = mcp::Json::parse(text);
  const std::optional<mcp::Object> meta = json ? mcp::Object::read(json->text()) : std::nullopt;
  if (!meta) return std::nullopt;
  for (const char* name : {"traceparent", "tracestate", "baggage"}) {
    if (std::optional<std::string> value = meta->string(name)) {
      call.meta.emplace_back(name, std::move(*value));
    }
  }
  call.progress = mcp::read_bool(meta->find("progress").value_or("null")) == true;
  return call;
}

// False: the broker does not ask so.
bool read_input(const BuiltinRequest& request, ToolCall& call) {
  const std::int64_t offered = input<std::int64_t>(request, "input").value_or(0);
  if (offered < 0 || offered > static_cast<std::int64_t>(authority::Input::urls)) return false;
  call.input = static_cast<authority::Input>(offered);
  call.state = input<std::string>(request, "state");
  const auto responses = input<std::string>(request, "responses");
  if (!responses) return true;
  const std::optional<mcp::Json> given = mcp::Json::parse(*responses);
  if (!given || !given->is_object()) return false;
  call.responses = *given;
  return true;
}

// Empty: the broker does not ask so.
std::optional<Question> read_question(const BuiltinRequest& request) {
  const auto ask = input<std::string>(request, "ask");
  const auto era = input<std::string>(request, "era");
  const auto timeout_ms = input<std::int64_t>(request, "timeout_ms");
  if (!ask || !era || !Client::is_era(*era) || !timeout_ms || *timeout_ms < 0) return std::nullopt;
  Question question{std::nullopt, *era, std::min(*timeout_ms, limits::kLeaseTtlMaxMs)};
  if (*ask == "definitions") return question;
  const auto name = input<std::string>(request, "name");
  const auto text = input<std::string>(request, "arguments");
  const auto pinned = input<std::string>(request, "pinned");
  std::optional<mcp::Json> arguments = mcp::Json::parse(text.value_or(""));
  if (*ask != "call" || !name || !pinned || !arguments || !arguments->is_object()) {
    return std::nullopt;
  }
  question.call = with_meta({*name, std::move(*arguments), *pinned},
                            input<std::string>(request, "meta").value_or("{}"));
  if (!question.call || !read_input(request, *question.call)) return std::nullopt;
  return question;
}

// The server in its cell, and who speaks with it.
class Session {
 public:
  Session(int socket, const ServerProgram& server)
      : socket_(socket), process_(server.fd, server.argv) {}

  // Until there is something to read on the socket, or the server is no good any more.
  Status wait() {
    if (!client_) return success();
    return process_.wait_for(socket_, [&](const Line& line) {
      return client_->take_unasked(line, process_.now_ms() + limits::kUpstreamCallMs);
    });
  }

  // Empty: it is asked for another era than before.
  std::optional<BuiltinReply> answer(const Question& question) {
    if (client_ && era_ != question.era) return std::nullopt;
    if (!client_) {
      client_ = std::make_unique<Client>(process_, question.era,
                                         [this](const sandbox::ToolProgress& told) { tell(told); });
    }
    era_ = question.era;
    const std::int64_t until_ms = process_.now_ms() + question.timeout_ms;
    Result<sandbox::BuiltinResult> result =
        question.call ? client_->call(*question.call, until_ms) : client_->definitions(until_ms);
    BuiltinReply reply;
    if (result.ok()) {
      reply.result = std::move(result).value();
    } else {
      reply.error = result.error();
    }
    return reply;
  }

 private:
  // A broken stream is noticed by whoever answers.
  void tell(const sandbox::ToolProgress& told) const {
    (void)write_all(socket_, "socket", sandbox::frame(sandbox::encode_progress(told)));
  }

  int socket_;
  ServerProcess process_;
  std::string era_;
  std::unique_ptr<Client> client_;  // from the first question on
};

bool is_over(const BuiltinReply& reply) {
  return reply.error.code() == Code::upstream_drift || reply.error.code() == Code::upstream_broken;
}

}  // namespace

int serve_upstream(int socket, const ServerProgram& server) {
  Session session(socket, server);
  for (;;) {
    if (!session.wait().ok()) return kBroken;
    const sandbox::ReadFrame read = sandbox::read_request(socket);
    if (read.got == sandbox::ReadFrame::Got::end) return kCleanEnd;
    if (read.got == sandbox::ReadFrame::Got::broken) return kBroken;
    if (read.got == sandbox::ReadFrame::Got::too_long) return kFramingBroken;
    const Result<BuiltinRequest> request = sandbox::decode_request(read.bytes);
    const std::optional<Question> question = request.ok() ? read_question(*request) : std::nullopt;
    if (!question) return kFramingBroken;
    const std::optional<BuiltinReply> reply = session.answer(*question);
    if (!reply) return kFramingBroken;
    if (!write_all(socket, "socket", sandbox::frame(sandbox::encode_reply(*reply))).ok()) {
      return kBroken;
    }
    if (is_over(*reply)) return kBroken;
  }
}

}  // namespace taper::upstream
