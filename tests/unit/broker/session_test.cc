// One session, message by message: what does not belong there ends it and reaches nobody.
#include "runtime/broker/session.h"

#include <catch2/catch.hpp>
#include <deque>

#include "crypto/crypto.h"
#include "runtime/base/limits.h"
#include "tests/unit/broker/session_fakes.h"

namespace taper::broker {
namespace {

// Both ends, with the wire between them in hand.
struct Wire {
  FakeHost host;
  std::deque<Bytes> sent;
  Session session{host, [this](Bytes message) { sent.push_back(std::move(message)); }};
  std::optional<crypto::Channel> channel;

  template <class Kind>
  Kind next() {
    REQUIRE_FALSE(sent.empty());
    Result<AgentMessage> message = decode_agent_message(sent.front());
    sent.pop_front();
    REQUIRE(message.ok());
    REQUIRE(std::holds_alternative<Kind>(*message));
    return std::get<Kind>(*message);
  }
  void take(const AgentMessage& message) { session.take(encode(message)); }

  Open open(HolderHandshake& holder) {
    take(Hello{});
    Result<Open> made = holder.open(next<Challenge>());
    REQUIRE(made.ok());
    return *made;
  }
  void go_live() {
    HolderHandshake holder = host.holder();
    take(open(holder));
    Result<crypto::Channel> made = holder.conclude(next<Opened>());
    REQUIRE(made.ok());
    channel.emplace(std::move(*made));
  }
  Bytes ask(Ask ask, const std::string& tool = "time.now") {
    SessionRequest request;
    request.ask = ask;
    request.tool = tool;
    Tagged tagged;
    tagged.body = encode(SessionMessage(request));
    tagged.tag = channel->seal(tagged.body);
    return encode(AgentMessage(tagged));
  }
  SessionReply reply() {
    const Tagged tagged = next<Tagged>();
    REQUIRE(channel->open(tagged.body, tagged.tag).ok());
    const Result<SessionMessage> message = decode_session_message(tagged.body);
    REQUIRE(message.ok());
    REQUIRE(std::holds_alternative<SessionReply>(*message));
    return std::get<SessionReply>(*message);
  }
};

TEST_CASE("a session opens and answers name their requests", "[broker][session]") {
  Wire wire;
  wire.go_live();
  CHECK(wire.session.task() == wire.host.task);
  for (std::uint64_t number = 0; number < 3; ++number) {
    wire.session.take(wire.ask(Ask::call));
    const SessionReply reply = wire.reply();
    CHECK(reply.answers == number);
    CHECK(reply.code == Code::ok);
  }
  CHECK(wire.host.requests.size() == 3);
  CHECK(wire.host.misuses.empty());
}

TEST_CASE("a message of the wrong kind or moment ends the session", "[broker][session]") {
  const AgentMessage kinds[] = {Hello{}, Challenge{}, Open{}, Opened{}, Refused{}, Tagged{}};
  for (int phase = 0; phase < 3; ++phase) {
    for (std::size_t kind = 0; kind < std::size(kinds); ++kind) {
      const std::size_t wanted = phase == 0 ? 0 : phase == 1 ? 2 : 5;
      if (kind == wanted) continue;
      Wire wire;
      if (phase == 1) wire.take(Hello{});
      if (phase == 2) wire.go_live();
      wire.sent.clear();
      const int before = wire.host.admissions;
      wire.take(kinds[kind]);
      CHECK(wire.session.over());
      CHECK(wire.next<Refused>().code == Code::session_unexpected);
      CHECK(wire.host.misuses.size() == 1);
      CHECK(wire.host.admissions == before);
      CHECK(wire.host.requests.empty());
    }
  }
}

TEST_CASE("a proof that is refused ends the session and says no more", "[broker][session][R3]") {
  Wire wire;
  HolderHandshake holder = wire.host.holder();
  Open open = wire.open(holder);
  open.signature[3] ^= 1;
  wire.take(open);
  CHECK(wire.session.over());
  const Refused refused = wire.next<Refused>();
  CHECK(refused.code == Code::proof_wrong);
  CHECK(refused.detail.empty());
  wire.take(open);
  CHECK(wire.host.admissions == 1);
  CHECK(wire.sent.empty());
}

TEST_CASE("replayed, reordered, changed and strangers' requests reach nobody",
          "[broker][session][R9]") {
  Wire wire;
  wire.go_live();
  const Bytes first = wire.ask(Ask::call);
  const Bytes second = wire.ask(Ask::call);
  SECTION("replayed") {
    wire.session.take(first);
    (void)wire.reply();
    wire.session.take(first);
    CHECK(wire.host.requests.size() == 1);
  }
  SECTION("reordered") {
    wire.session.take(second);
    CHECK(wire.host.requests.empty());
  }
  SECTION("changed") {
    Result<AgentMessage> message = decode_agent_message(first);
    REQUIRE(message.ok());
    Tagged tagged = std::get<Tagged>(*message);
    tagged.body[tagged.body.size() / 2] ^= 1;
    wire.take(tagged);
    CHECK(wire.host.requests.empty());
  }
  SECTION("cut") {
    Result<AgentMessage> message = decode_agent_message(first);
    REQUIRE(message.ok());
    Tagged tagged = std::get<Tagged>(*message);
    tagged.body.resize(tagged.body.size() - 4);
    wire.take(tagged);
    CHECK(wire.host.requests.empty());
  }
  SECTION("by a process without the session's key") {
    SessionRequest request;
    request.ask = Ask::call;
    Tagged tagged;
    tagged.body = encode(SessionMessage(request));
    crypto::random_bytes(tagged.tag.bytes);
    wire.take(tagged);
    CHECK(wire.host.requests.empty());
  }
  SECTION("of another session of the same holder") {
    Wire other;
    other.go_live();
    other.session.take(first);
    CHECK(other.host.requests.empty());
    CHECK(other.session.over());
    return;
  }
  CHECK(wire.session.over());
  CHECK(wire.host.misuses == std::vector<Code>{Code::signature_wrong});
}

TEST_CASE("a node's own message sent back as a request ends the session", "[broker][session]") {
  Wire wire;
  wire.go_live();
  wire.session.take(wire.ask(Ask::call));
  wire.take(wire.next<Tagged>());
  CHECK(wire.session.over());
  CHECK(wire.host.requests.size() == 1);
}

TEST_CASE("too many requests at once are answered as busy, a close is heard", "[broker][session]") {
  Wire wire;
  wire.go_live();
  wire.host.answers_at_once = false;
  for (std::size_t i = 0; i < limits::kSessionAsksMax; ++i) wire.session.take(wire.ask(Ask::call));
  CHECK(wire.sent.empty());
  wire.session.take(wire.ask(Ask::call));
  const SessionReply busy = wire.reply();
  CHECK(busy.code == Code::session_busy);
  CHECK(busy.answers == limits::kSessionAsksMax);
  wire.session.take(wire.ask(Ask::close));
  CHECK(wire.host.requests.back().ask == Ask::close);
  wire.session.reply(0, Code::ok, "{}");
  CHECK(wire.reply().answers == 0);
}

TEST_CASE("an abandon reaches the host only while its request is open", "[broker][session]") {
  Wire wire;
  wire.go_live();
  wire.session.take(wire.ask(Ask::call));
  (void)wire.reply();
  wire.session.take(wire.ask(Ask::abandon));  // names request 0, which is answered
  CHECK(wire.host.requests.size() == 1);
  CHECK_FALSE(wire.session.over());
}

TEST_CASE("two holders' sessions take nothing of each other's", "[broker][session][R48]") {
  Wire one, other;
  one.go_live();
  other.go_live();
  one.host.answers_at_once = other.host.answers_at_once = false;
  one.session.take(one.ask(Ask::call, "one.tool"));
  other.session.take(other.ask(Ask::call, "other.tool"));
  other.session.reply(0, Code::ok, R"({"secret":"of the other"})");
  const Bytes reply = other.sent.front();
  // The other's answer is none to the first, nor its request.
  const Result<AgentMessage> envelope = decode_agent_message(reply);
  REQUIRE(envelope.ok());
  const auto& tagged = std::get<Tagged>(*envelope);
  crypto::Channel channel = std::move(*one.channel);
  CHECK(channel.open(tagged.body, tagged.tag).code() == Code::signature_wrong);
  one.session.take(other.ask(Ask::call, "other.tool"));
  CHECK(one.session.over());
  CHECK(one.host.requests.size() == 1);
  CHECK(one.host.requests[0].tool == "one.tool");
  CHECK(other.session.live());
}

TEST_CASE("a session that goes is told its host once, with its unanswered challenge",
          "[broker][session]") {
  FakeHost host;
  std::deque<Bytes> sent;
  const auto drop = [&sent](Bytes message) { sent.push_back(std::move(message)); };
  {
    Session silent(host, drop);
  }
  CHECK(host.departures == 1);
  CHECK(host.withdrawn.empty());
  {
    Session half(host, drop);
    half.take(encode(AgentMessage(Hello{})));
    half.take(encode(AgentMessage(Hello{})));
    CHECK(half.over());
    half.lost();
    CHECK(host.departures == 2);
  }
  CHECK(host.departures == 2);
  CHECK(host.withdrawn == std::vector<Nonce>{host.asked.challenge});
  Wire wire;
  wire.go_live();
  wire.session.lost();
  CHECK(wire.host.withdrawn.empty());
  wire.session.take(wire.ask(Ask::call));
  CHECK(wire.host.requests.empty());
}

TEST_CASE("a message longer than any that makes sense now ends the session", "[broker][session]") {
  Wire wire;
  wire.take(Hello{});
  Open open;
  open.capsule = Bytes(limits::kCapsuleBytesMax, 1);
  CHECK(encode(AgentMessage(open)).size() <= wire.session.message_bytes_max());
  wire.session.take(Bytes(wire.session.message_bytes_max() + 1, 1));
  CHECK(wire.session.over());
  CHECK(wire.host.misuses == std::vector<Code>{Code::message_malformed});
  Wire live;
  live.go_live();
  SessionRequest request;
  request.ask = Ask::call;
  request.tool = std::string(limits::kNameBytesMax, 't');
  request.arguments = Bytes(limits::kMcpLineBytesMax, ' ');
  Tagged tagged;
  tagged.body = encode(SessionMessage(request));
  CHECK(encode(AgentMessage(tagged)).size() <= live.session.message_bytes_max());
}

TEST_CASE("after its end a session says nothing more", "[broker][session]") {
  Wire wire;
  wire.go_live();
  wire.host.answers_at_once = false;
  wire.session.take(wire.ask(Ask::call));
  wire.session.end(Code::lease_ended);
  CHECK(wire.next<Refused>().code == Code::lease_ended);
  wire.session.reply(0, Code::ok, "{}");
  wire.session.tell({});
  wire.session.take(wire.ask(Ask::call));
  CHECK(wire.sent.empty());
  CHECK(wire.host.requests.size() == 1);
}

// A session over a channel that the node made itself.
struct Plain {
  FakeHost host;
  std::deque<Bytes> sent;
  Session session{host, host.task, [this](Bytes message) { sent.push_back(std::move(message)); }};

  void ask(const SessionMessage& message) { session.take(encode(message)); }
  SessionReply reply() {
    REQUIRE_FALSE(sent.empty());
    const Result<SessionMessage> message = decode_session_message(sent.front());
    sent.pop_front();
    REQUIRE(message.ok());
    return std::get<SessionReply>(*message);
  }
};

TEST_CASE("a channel to an agent needs no opening and no tags", "[broker][session]") {
  Plain plain;
  CHECK(plain.session.live());
  CHECK(plain.session.task() == plain.host.task);
  SessionRequest request;
  request.ask = Ask::discover;
  for (std::uint64_t number = 1; number < 4; ++number) {
    plain.ask(request);
    CHECK(plain.reply().answers == number);
  }
  plain.ask(SessionEvent{{}, "the last words"});
  CHECK(plain.host.words == "the last words");
  plain.session.end(Code::cancelled);
  CHECK(plain.sent.empty());
  plain.ask(request);
  CHECK(plain.host.requests.size() == 3);
}

TEST_CASE("what does not belong on a channel ends it", "[broker][session]") {
  SessionRequest request;
  request.ask = Ask::discover;
  Tagged tagged;
  tagged.body = encode(SessionMessage(request));
  const Bytes bad[] = {{},
                       {1, 2, 3},
                       encode(AgentMessage(Hello{})),
                       encode(AgentMessage(tagged)),
                       encode(SessionMessage(SessionReply{1, Code::ok, "{}"}))};
  for (const Bytes& message : bad) {
    Plain plain;
    plain.session.take(message);
    CHECK(plain.session.over());
    CHECK(plain.host.misuses.size() == 1);
    CHECK(plain.host.requests.empty());
    CHECK(plain.host.admissions == 0);
  }
}

}  // namespace
}  // namespace taper::broker
