#include "runtime/broker/session_client.h"

#include <utility>

#include "runtime/base/assert.h"

namespace taper::broker {

SessionClient::SessionClient(authority::HolderHandshake handshake, Send send, Listener listener)
    : handshake_(std::move(handshake)), send_(std::move(send)), listener_(std::move(listener)) {}

void SessionClient::start() { send_(encode(AgentMessage(Hello{}))); }

void SessionClient::take(ByteSpan message) {
  if (over_) return;
  const Result<AgentMessage> decoded = decode_agent_message(message);
  const Status taken = decoded.ok() ? dispatch(*decoded) : Status(decoded.error());
  if (!taken.ok()) lost(taken.error());
}

Status SessionClient::dispatch(const AgentMessage& message) {
  // Nothing shows who wrote it: it ends this session and says nothing of the task.
  if (const auto* refused = std::get_if<Refused>(&message))
    return Error(refused->code, {"session", "", refused->detail, ""});
  const auto* challenge = std::get_if<Challenge>(&message);
  if (challenge != nullptr && !std::exchange(asked_, true)) {
    TAPER_TRY(const Open open, handshake_.open(*challenge));
    send_(encode(AgentMessage(open)));
    return success();
  }
  const auto* opened = std::get_if<Opened>(&message);
  if (opened != nullptr && asked_ && !channel_) {
    TAPER_TRY(crypto::Channel channel, handshake_.conclude(*opened));
    channel_.emplace(std::move(channel));
    listener_.opened(*opened);
    return success();
  }
  const auto* tagged = std::get_if<Tagged>(&message);
  if (tagged != nullptr && channel_) return take_tagged(*tagged);
  return Error(Code::session_unexpected, {"message", "the next of the opening", "another", ""});
}

Status SessionClient::take_tagged(const Tagged& tagged) {
  TAPER_CHECK(channel_->open(tagged.body, tagged.tag));
  TAPER_TRY(SessionMessage message, decode_session_message(tagged.body));
  if (const auto* event = std::get_if<SessionEvent>(&message)) {
    if (listener_.happened) listener_.happened(*event);
    return success();
  }
  auto* reply = std::get_if<SessionReply>(&message);
  const auto found = reply == nullptr ? open_.end() : open_.find(reply->answers);
  if (found == open_.end())
    return Error(Code::session_unexpected,
                 {"message", "a reply to an open request", "another", ""});
  const Answered answered = std::move(found->second);
  open_.erase(found);
  answered(std::move(*reply));
  return success();
}

std::uint64_t SessionClient::ask(const SessionRequest& request, Answered answered) {
  TAPER_ASSERT(live());
  const std::uint64_t number = channel_->sealed();
  Tagged tagged;
  tagged.body = encode(SessionMessage(request));
  tagged.tag = channel_->seal(tagged.body);
  if (request.ask != Ask::abandon) open_.emplace(number, std::move(answered));
  send_(encode(AgentMessage(std::move(tagged))));
  return number;
}

bool is_task_end(Code code) {
  switch (code) {
    case Code::ok:
    case Code::task_failed:
    case Code::cancelled:
    case Code::operator_killed:
    case Code::lease_ended:
    case Code::idle_ended:
    case Code::window_ended:
    case Code::denials_ended:
    case Code::violation:
    case Code::drift_ended:
    case Code::clock_ended:
    case Code::stale_ended:
    case Code::step_denied:
    case Code::budget_calls:
    case Code::log_quota:
    case Code::revoked: return true;
    default: return false;
  }
}

void SessionClient::lost(const Error& error) {
  if (std::exchange(over_, true)) return;
  for (auto& [number, answered] : std::exchange(open_, {})) answered(Error(error));
  listener_.over(error);
}

}  // namespace taper::broker
