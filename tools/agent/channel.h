// The requests of this process to the broker that started it: frames of bare SessionMessages, over
// the socket that it was given. docs/formats/session.md
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "runtime/base/limits.h"
#include "runtime/broker/frames.h"
#include "tools/agent/queue.h"
#include "tools/taper/connect/backend.h"

namespace taper::tools {

class Channel final : public Asker {
 public:
  // What is told unasked: of a call with a handle, and of a request that is unanswered.
  struct Watch {
    std::function<void(const broker::SessionEvent&)> happened;
    std::function<void(Ticket, const broker::SessionEvent&)> progressed;
  };
  explicit Channel(Watch watch) : watch_(std::move(watch)) {}

  void ask(Ticket ticket, broker::SessionRequest request, Told told) override;
  void abandon(Ticket ticket) override;
  // The program's last words, as they are.
  void say(std::string words);

  // What came from the broker, any cut of it. Error: message_malformed; nothing after it is read.
  Status take(ByteSpan bytes);
  Queue& out() { return out_; }  // what is to be written to it

 private:
  struct Pending {
    Ticket ticket = 0;
    Told told;
  };
  void send(const broker::SessionMessage& message);
  void answered(const broker::SessionReply& reply);
  void happened(const broker::SessionEvent& event);

  Watch watch_;
  broker::FrameReader frames_{limits::kAgentMessageBytesMax};
  Queue out_;
  std::uint64_t sent_ = 0;  // requests; they are numbered from 1
  std::map<std::uint64_t, Pending> pending_;
};

}  // namespace taper::tools
