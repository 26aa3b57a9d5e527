// What an agent's helper asks its broker: numbered, answered, abandoned; and what ends that.
#include <catch2/catch.hpp>
#include <vector>

#include "tools/agent/channel.h"

namespace taper::tools {
namespace {

using broker::Ask;
using broker::SessionEvent;
using broker::SessionMessage;
using broker::SessionReply;
using broker::SessionRequest;

struct Ends {
  std::vector<std::string> events;
  Channel channel{{.happened = [this](const auto& event) { events.push_back(event.body); },
                   .progressed =
                       [this](Asker::Ticket ticket, const auto& event) {
                         events.push_back(std::to_string(ticket) + event.body);
                       }}};
  std::vector<std::string> told;

  void ask(Asker::Ticket ticket) {
    SessionRequest request;
    request.ask = Ask::discover;
    channel.ask(ticket, request, [this, ticket](const Replied& replied) {
      told.push_back(std::to_string(ticket) + std::get<SessionReply>(replied).body);
    });
  }
  Status answer(std::uint64_t number, const std::string& body) {
    return channel.take(
        broker::frame(broker::encode(SessionMessage(SessionReply{number, Code::ok, body}))));
  }
};

TEST_CASE("an agent's helper tells answers to whoever asked", "[tools][agent]") {
  Ends ends;
  ends.ask(7);
  ends.ask(8);
  CHECK_FALSE(ends.channel.out().empty());
  CHECK(ends.answer(2, "b").ok());
  CHECK(ends.answer(1, "a").ok());
  CHECK(ends.answer(1, "again").ok());
  CHECK(ends.answer(9, "nobody's").ok());
  CHECK(ends.told == std::vector<std::string>{"8b", "7a"});
  CHECK(
      ends.channel.take(broker::frame(broker::encode(SessionMessage(SessionEvent{{}, "x"})))).ok());
  ends.ask(9);
  for (const std::uint64_t number : {3U, 1U})
    CHECK(ends.channel
              .take(broker::frame(broker::encode(SessionMessage(SessionEvent{{}, "y", number}))))
              .ok());
  CHECK(ends.events == std::vector<std::string>{"x", "9y"});
}

TEST_CASE("what an agent's helper abandoned is told nobody, and takes a number", "[tools][agent]") {
  Ends ends;
  ends.ask(1);
  ends.channel.abandon(1);
  ends.channel.abandon(1);
  ends.ask(2);
  CHECK(ends.answer(1, "late").ok());
  CHECK(ends.answer(3, "").ok());
  CHECK(ends.told == std::vector<std::string>{"2"});
}

TEST_CASE("an agent's helper believes no message that does not fit", "[tools][agent]") {
  const Bytes whole =
      broker::frame(broker::encode(SessionMessage(SessionReply{1, Code::ok, "{}"})));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Ends ends;
    ends.ask(1);
    Bytes damaged = whole;
    damaged[at] ^= 0x80;
    const Status taken = ends.channel.take(damaged);
    CHECK((!taken.ok() || ends.told.empty() || ends.told[0] != "1{}"));
  }
  Ends ends;
  ends.ask(1);
  for (const std::uint8_t byte : whole) CHECK(ends.channel.take({&byte, 1}).ok());
  CHECK(ends.told == std::vector<std::string>{"1{}"});
}

}  // namespace
}  // namespace taper::tools
