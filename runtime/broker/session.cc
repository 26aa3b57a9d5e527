#include "runtime/broker/session.h"

#include <utility>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"

namespace taper::broker {
namespace {

Error unexpected(std::string_view expected, std::string_view got) {
  return Error(Code::session_unexpected, {"message", std::string(expected), std::string(got), ""});
}

std::string_view kind_name(const AgentMessage& message) {
  constexpr std::string_view kNames[] = {"hello",  "challenge", "open",
                                         "opened", "refused",   "tagged"};
  return kNames[message.index()];
}

}  // namespace

Session::Session(Host& host, Send send) : host_(host), send_(std::move(send)) {}

Session::Session(Host& host, const TaskId& task, Send send)
    : host_(host), send_(std::move(send)), phase_(Phase::live), plain_(true), task_(task) {}

void Session::take(ByteSpan message) {
  if (over()) return;
  if (plain_) {
    const Status read = take_plain(message);
    if (read.ok()) return;
    host_.misused(*this, read.error());
    return end(read.code());
  }
  const Result<AgentMessage> decoded = message.size() > message_bytes_max()
                                           ? Error(Code::message_malformed, {"message", "", "", ""})
                                           : decode_agent_message(message);
  const Status taken = decoded.ok() ? dispatch(*decoded) : Status(decoded.error());
  if (taken.ok() || over()) return;
  host_.misused(*this, taken.error());
  end(taken.code());
}

// What each phase takes; each message once, but for tagged ones.
Status Session::dispatch(const AgentMessage& message) {
  if (phase_ == Phase::hello && std::holds_alternative<Hello>(message)) return take_hello();
  if (phase_ == Phase::open)
    if (const auto* open = std::get_if<Open>(&message)) return take_open(*open);
  if (phase_ == Phase::live)
    if (const auto* tagged = std::get_if<Tagged>(&message)) return take_tagged(*tagged);
  constexpr std::string_view kWanted[] = {"hello", "open", "tagged", "none"};
  return unexpected(kWanted[static_cast<std::size_t>(phase_)], kind_name(message));
}

Status Session::take_hello() {
  asked_ = host_.challenge();
  phase_ = Phase::open;
  send_(encode(AgentMessage(*asked_)));
  return success();
}

Status Session::take_open(const Open& open) {
  const Challenge asked = *std::exchange(asked_, std::nullopt);
  Result<authority::NodeAnswer> answer = host_.admit(*this, asked, open);
  if (!answer.ok()) {
    end(answer.code());
    return success();
  }
  task_ = answer->opened.answer.task;
  channel_.emplace(std::move(answer->channel));
  phase_ = Phase::live;
  send_(encode(AgentMessage(answer->opened)));
  return success();
}

Status Session::take_tagged(const Tagged& tagged) {
  const std::uint64_t number = channel_->opened();
  TAPER_CHECK(channel_->open(tagged.body, tagged.tag));
  TAPER_TRY(SessionMessage message, decode_session_message(tagged.body));
  auto* request = std::get_if<SessionRequest>(&message);
  if (request == nullptr) return unexpected("a request", "a node's message");
  return take_request(number, std::move(*request));
}

Status Session::take_plain(ByteSpan message) {
  TAPER_TRY(SessionMessage taken, decode_session_message(message));
  if (auto* words = std::get_if<SessionEvent>(&taken)) {
    host_.said(*this, std::move(words->body));
    return success();
  }
  auto* request = std::get_if<SessionRequest>(&taken);
  if (request == nullptr) return unexpected("a request", "a node's message");
  return take_request(++plain_taken_, std::move(*request));
}

Status Session::take_request(std::uint64_t number, SessionRequest request) {
  if (request.ask == Ask::abandon) {
    // An answer may have crossed it on the way.
    if (open_.contains(request.request)) host_.ask(*this, number, std::move(request));
    return success();
  }
  open_.insert(number);
  // A close is heard whatever else waits.
  if (open_.size() > limits::kSessionAsksMax && request.ask != Ask::close) {
    reply(number, Code::session_busy, "{}");
    return success();
  }
  host_.ask(*this, number, std::move(request));
  return success();
}

void Session::reply(std::uint64_t number, Code code, std::string body) {
  if (over()) return;
  TAPER_ASSERT(open_.erase(number) == 1);
  send(SessionReply{number, code, std::move(body)});
}

void Session::tell(SessionEvent event) {
  if (live()) send(std::move(event));
}

void Session::send(const SessionMessage& message) {
  if (plain_) return send_(encode(message));
  Tagged tagged;
  tagged.body = encode(message);
  tagged.tag = channel_->seal(tagged.body);
  send_(encode(AgentMessage(std::move(tagged))));
}

void Session::end(Code code) {
  if (over()) return;
  phase_ = Phase::over;
  open_.clear();
  if (!plain_) send_(encode(AgentMessage(Refused{code, ""})));
}

void Session::lost() {
  if (std::exchange(gone_, true)) return;
  phase_ = Phase::over;
  open_.clear();
  host_.gone(*this);
}

std::size_t Session::message_bytes_max() const {
  return live() ? limits::kAgentRequestBytesMax : limits::kAgentOpenBytesMax;
}

}  // namespace taper::broker
