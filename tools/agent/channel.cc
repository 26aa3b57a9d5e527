#include "tools/agent/channel.h"

#include <algorithm>
#include <utility>

namespace taper::tools {

void Channel::send(const broker::SessionMessage& message) {
  out_.put(as_text(broker::frame(broker::encode(message))));
}

void Channel::ask(Ticket ticket, broker::SessionRequest request, Told told) {
  pending_[++sent_] = {ticket, std::move(told)};
  send(std::move(request));
}

void Channel::abandon(Ticket ticket) {
  const auto found = std::ranges::find_if(
      pending_, [ticket](const auto& entry) { return entry.second.ticket == ticket; });
  if (found == pending_.end()) return;
  broker::SessionRequest request;
  request.ask = broker::Ask::abandon;
  request.request = found->first;
  pending_.erase(found);
  ++sent_;
  send(std::move(request));
}

void Channel::say(std::string words) { send(broker::SessionEvent{{}, std::move(words)}); }

// One that was abandoned is answered too, where the answer crossed that on its way.
void Channel::answered(const broker::SessionReply& reply) {
  const auto found = pending_.find(reply.answers);
  if (found == pending_.end()) return;
  const Told told = std::move(found->second.told);
  pending_.erase(found);
  told(reply);
}

void Channel::happened(const broker::SessionEvent& event) {
  if (!event.request) return watch_.happened(event);
  const auto found = pending_.find(*event.request);
  if (found != pending_.end()) watch_.progressed(found->second.ticket, event);
}

Status Channel::take(ByteSpan bytes) {
  frames_.feed(bytes);
  for (;;) {
    TAPER_TRY(const std::optional<Bytes> frame, frames_.next());
    if (!frame) return success();
    TAPER_TRY(const broker::SessionMessage message, broker::decode_session_message(*frame));
    if (const auto* reply = std::get_if<broker::SessionReply>(&message)) answered(*reply);
    if (const auto* event = std::get_if<broker::SessionEvent>(&message)) happened(*event);
  }
}

}  // namespace taper::tools
